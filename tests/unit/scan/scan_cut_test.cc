// Checks engine/scan/scan_cut: pieces, stretches and groups of requests with and without sketches,
// masks that want nothing, and the edges of none, one and many. Single-threaded.
// Always holds: what is cut covers everything once, in order.
#include "engine/scan/scan_cut.h"

#include <catch2/catch.hpp>

#include "tests/support/data.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Cut {
  explicit Cut(std::uint32_t count) : rows(shape()) {
    VectorSource source(rows.shape(), DataKind::normal, 4);
    for (std::uint32_t r = 0; r < count; ++r)
      rows.add(source.next_row(), IdView(std::uint64_t{r}), 320);
    blocks = rows.scan_blocks();
    sketches = make_sketches(rows.shape(), blocks);
    bits = rows.all_bits();
    masks.push_back(make_mask(bits));
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
  }
  static RowShape shape() {
    RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 64);
    shape.coarse = true;
    return shape;
  }
  [[nodiscard]] const SketchAxes* axes() const { return &sketches.front()->axes(); }

  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<std::shared_ptr<const SketchPlane>> sketches;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<ScanMask> masks;
  ScanRequest request;
  std::vector<Piece> pieces;
  std::vector<Stretch> stretches;
};

// Every row once and in order.
void check_covers(const Cut& cut) {
  std::uint32_t block = 0;
  std::uint32_t next = 0;
  for (const Piece& piece : cut.pieces) {
    if (piece.block != block) {
      REQUIRE(next == cut.blocks[block].count);
      block = piece.block;
      next = 0;
    }
    REQUIRE(piece.first == next);
    REQUIRE(piece.rows > 0);
    REQUIRE(piece.first % 64 == 0);
    next += piece.rows;
  }
  REQUIRE(next == cut.blocks[block].count);
}

TEST_CASE("scan cut: rows with sketches come in one piece to a block, others in small ones",
          "[scan]") {
  Cut cut(1000);
  REQUIRE(cut.blocks.size() == 4);
  cut_pieces(cut.request, cut.axes(), 4096, cut.pieces);
  check_covers(cut);
  REQUIRE(cut.pieces.size() == 4);
  CHECK(cut.pieces[0].rows == 320);
  CHECK(cut.pieces[0].sketched);
  CHECK_FALSE(cut.pieces[3].sketched);
  cut_pieces(cut.request, nullptr, 4096, cut.pieces);
  check_covers(cut);
  CHECK(cut.pieces[0].rows == 128);
  CHECK(cut.pieces.size() == 10);
  CHECK(piece_rows(std::size_t{1} << 30) == 64);
}

TEST_CASE("scan cut: the rows that came after the sketch are a piece of their own", "[scan]") {
  Cut cut(700);
  const SketchPlane part(sketch_axes(cut.rows.shape(), cut.blocks), *cut.blocks[0].block, 200);
  cut.blocks[0].sketch = &part;
  cut_pieces(cut.request, &part.axes(), 64, cut.pieces);
  check_covers(cut);
  REQUIRE(cut.pieces.size() >= 2);
  CHECK(cut.pieces[0].rows == 192);
  CHECK(cut.pieces[0].sketched);
  CHECK(cut.pieces[1].rows == 128);
  CHECK_FALSE(cut.pieces[1].sketched);
}

TEST_CASE("scan cut: blocks that no mask wants are left out", "[scan]") {
  Cut cut(700);
  cut.masks[0].words[1] = nullptr;
  cut.masks[0].eligible[1] = 0;
  cut_pieces(cut.request, cut.axes(), 64, cut.pieces);
  for (const Piece& piece : cut.pieces) CHECK(piece.block != 1);
  CHECK(cut.pieces.size() == 2);
}

TEST_CASE("scan cut: pieces grow where few rows are eligible, by the mask that has most",
          "[scan]") {
  Cut cut(320);
  cut.masks[0].eligible[0] = 160;
  CHECK(rows_per_eligible(cut.request, 0, 0) == 2);
  cut_pieces(cut.request, nullptr, 8192, cut.pieces);
  check_covers(cut);
  REQUIRE(cut.pieces.size() == 3);
  CHECK(cut.pieces[0].rows == 128);  // instead of 64
  cut.masks[0].eligible[0] = 1;
  CHECK(rows_per_eligible(cut.request, 0, 0) == 128);
  cut_pieces(cut.request, nullptr, 8192, cut.pieces);
  CHECK(cut.pieces.size() == 1);
  ScanMask all = make_mask(cut.bits);
  CHECK(all.eligible[0] == 320);
  cut.masks.push_back(all);
  cut.request.masks = cut.masks;
  CHECK(rows_per_eligible(cut.request, 1, 0) == 1);
  cut_pieces(cut.request, nullptr, 8192, cut.pieces);
  CHECK(cut.pieces.size() == 5);
  cut.masks[1].words[0] = nullptr;
  cut_pieces(cut.request, nullptr, 8192, cut.pieces);
  CHECK(cut.pieces.size() == 1);
}

TEST_CASE("scan cut: stretches join sketched pieces, one for each thread at least", "[scan]") {
  Cut cut(1000);
  cut_pieces(cut.request, cut.axes(), 64, cut.pieces);
  cut_stretches(cut.pieces, 1, cut.stretches);
  REQUIRE(cut.stretches.size() == 2);
  CHECK(cut.stretches[0].count == 3);
  CHECK(cut.stretches[0].rows == 960);
  CHECK(cut.stretches[0].sketched);
  CHECK(cut.stretches[1].first == 3);
  CHECK_FALSE(cut.stretches[1].sketched);
  cut_stretches(cut.pieces, 4, cut.stretches);
  CHECK(cut.stretches.size() == 4);
  cut_stretches({}, 4, cut.stretches);
  CHECK(cut.stretches.empty());
}

TEST_CASE("scan cut: a sample of few rows is all of them, in windows", "[scan]") {
  Cut cut(1000);
  cut_pieces(cut.request, cut.axes(), 64, cut.pieces);
  std::vector<Piece> sample;
  cut_sample(cut.pieces, sample);
  // Three blocks of 320 rows have sketches; windows begin 512 rows apart, and end with their piece.
  REQUIRE(sample.size() == 2);
  CHECK(sample[0].block == 0);
  CHECK(sample[0].first == 0);
  CHECK(sample[0].rows == 320);
  CHECK(sample[1].block == 1);
  CHECK(sample[1].first == 192);
  CHECK(sample[1].rows == 128);
  cut_sample({}, sample);
  CHECK(sample.empty());
}

TEST_CASE("scan cut: a sample of many rows is every eighth, at even distances", "[scan]") {
  std::vector<Piece> pieces;
  for (std::uint32_t b = 0; b < 100; ++b) pieces.push_back({b, 0, 8192, b != 50});
  std::vector<Piece> sample;
  cut_sample(pieces, sample);
  std::uint64_t rows = 0;
  std::uint64_t last = 0;
  for (const Piece& window : sample) {
    CHECK(window.block != 50);
    CHECK(window.first % 64 == 0);
    CHECK(window.first + window.rows <= 8192);
    const std::uint64_t at = std::uint64_t{window.block} * 8192 + window.first;
    CHECK(at >= last);
    last = at + window.rows;
    rows += window.rows;
  }
  CHECK(rows == 99 * 8192 / 8);
}

TEST_CASE("scan cut: neighbouring queries with one mask are a group, up to the most", "[scan]") {
  Cut cut(10);
  std::vector<ScanQuery> queries(7);
  for (std::size_t q : {3u, 4u}) queries[q].mask = 1;
  cut.request.queries = queries;
  std::vector<Group> groups;
  cut_groups(cut.request, 2, groups);
  REQUIRE(groups.size() == 4);
  CHECK(groups[0].count == 2);
  CHECK(groups[1].first == 2);
  CHECK(groups[1].count == 1);
  CHECK(groups[2].mask == 1);
  CHECK(groups[3].first == 5);
  cut.request.queries = {};
  cut_groups(cut.request, 2, groups);
  CHECK(groups.empty());
}

}  // namespace
