// Checks engine/scan/sketch_sieve: which blocks it covers, what it finds nearest, that masks hold,
// and that samples of several pieces are measured one after the other. Seeded, single-threaded.
// Whole scans over sketches are in tests/conformance/scanner_test.cc. Always holds: expected rows
// come from the reference, by sorting all of them.
#include "engine/scan/sketch_sieve.h"

#include <bit>
#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "tests/support/data.h"
#include "tests/support/oracle.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kRows = 640;
constexpr std::uint32_t kBlockRows = 192;

struct Fixture {
  explicit Fixture(Metric metric = Metric::l2) : rows(shape_of(metric)) {
    VectorSource source(rows.shape(), DataKind::normal, 5);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      const auto vector = source.next_row();
      if (r == 100) first = vector;
      rows.add(vector, IdView(std::uint64_t{r}), kBlockRows);
    }
    blocks = rows.scan_blocks();
    sketches = make_sketches(rows.shape(), blocks);
    bits = rows.all_bits();
    masks.push_back(make_mask(bits));
    query.emplace(rows.shape(), first, 0.01f);
    views.push_back(query->view());
    views[0].want = 10;
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
    for (std::uint32_t b = 0; b + 1 < blocks.size(); ++b) {
      pieces.push_back({b, 0, blocks[b].count, true});
    }
  }
  static RowShape shape_of(Metric metric) {
    RowShape shape = RowShape::make(metric, ScalarType::f32, 80);
    shape.coarse = true;
    return shape;
  }

  TestRows rows;
  std::vector<std::byte> first;
  std::vector<ScanBlock> blocks;
  std::vector<std::shared_ptr<const SketchPlane>> sketches;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<ScanMask> masks;
  std::optional<TestQuery> query;
  std::vector<ScanQuery> views;
  ScanRequest request;
  std::vector<Piece> pieces;
  SketchSieve sieve{sketch_kernels_for("generic")};
  SieveBench bench;
};

TEST_CASE("sieve: covers blocks with sketches along one set of axes", "[sketch]") {
  Fixture f;
  REQUIRE(f.blocks.size() == 4);
  REQUIRE(test::prepare(f.sieve, f.request));
  CHECK(f.sieve.serves(0));
  CHECK(f.sieve.covers(f.blocks[0]));
  CHECK_FALSE(f.sieve.covers(f.blocks[3]));
  // Other axes, though learned from the same rows.
  const SketchPlane other(sketch_axes(f.rows.shape(), f.blocks), *f.blocks[1].block, kBlockRows);
  f.blocks[1].sketch = &other;
  REQUIRE(test::prepare(f.sieve, f.request));
  CHECK(f.sieve.covers(f.blocks[0]));
  CHECK_FALSE(f.sieve.covers(f.blocks[1]));
  for (ScanBlock& block : f.blocks) block.sketch = nullptr;
  CHECK_FALSE(test::prepare(f.sieve, f.request));
}

TEST_CASE("sieve: what looks nearest has the least bounds, within the mask and the threshold",
          "[sketch]") {
  for (const Metric metric : {Metric::l2, Metric::cosine, Metric::dot}) {
    Fixture f(metric);
    CAPTURE(to_string(metric));
    for (std::uint64_t& word : f.bits[1]) word = 0;  // nobody of the second block
    REQUIRE(test::prepare(f.sieve, f.request));
    f.sieve.measure(f.request, f.pieces, 0, f.bench);
    std::vector<SketchSieve::Near> near;
    const float all = std::numeric_limits<float>::infinity();
    f.sieve.nearest(f.request, f.pieces, 0, all, 3, f.bench, near);
    REQUIRE(near.size() <= 3);
    REQUIRE_FALSE(near.empty());
    float most = 0.0f;
    for (const auto& row : near) {
      CHECK(row.piece != 1);
      CHECK(row.bound == f.bench.bounds[row.piece * kBlockRows + row.row]);
      most = std::max(most, row.bound);
    }
    if (near.size() == 3) {
      std::uint32_t nearer = 0;
      for (std::uint32_t p : {0u, 2u}) {
        for (std::uint32_t r = 0; r < kBlockRows; ++r) {
          nearer += f.bench.bounds[p * kBlockRows + r] < most ? 1u : 0u;
        }
      }
      CHECK(nearer <= 2);
    }
    f.sieve.nearest(f.request, f.pieces, 0, metric == Metric::dot ? -1e6f : -1.0f, 3, f.bench,
                    near);
    for (const auto& row : near) CHECK(row.bound <= 1.0f);
  }
}

TEST_CASE("sieve: when many are wanted, about as many of those that the mask has are nearest",
          "[sketch]") {
  Fixture f;
  for (auto& words : f.bits) {
    for (std::uint64_t& word : words) word &= 0x3333'3333'3333'3333;
  }
  f.masks[0] = make_mask(f.bits);
  REQUIRE(test::prepare(f.sieve, f.request));
  f.sieve.measure(f.request, f.pieces, 0, f.bench);
  std::vector<SketchSieve::Near> near;
  const float all = std::numeric_limits<float>::infinity();
  for (const std::uint32_t want : {20U, 64U, 200U, 600U}) {
    CAPTURE(want);
    f.sieve.nearest(f.request, f.pieces, 0, all, want, f.bench, near);
    CHECK(near.size() >= std::min(want / 2, 288U));
    CHECK(near.size() <= want + want / 2);
    float most = 0.0f;
    for (std::size_t i = 0; i < near.size(); ++i) {
      CHECK((f.bits[near[i].piece][near[i].row / 64] >> near[i].row % 64 & 1) == 1);
      CHECK(near[i].bound == f.bench.bounds[near[i].piece * kBlockRows + near[i].row]);
      most = std::max(most, near[i].bound);
      if (i == 0) continue;
      const bool later = near[i].piece > near[i - 1].piece ||
                         (near[i].piece == near[i - 1].piece && near[i].row > near[i - 1].row);
      CHECK(later);
    }
    // None that is left out is nearer than those that are not.
    std::size_t within = 0;
    for (std::uint32_t p = 0; p < 3; ++p) {
      for (std::uint32_t r = 0; r < kBlockRows; ++r) {
        const bool eligible = (f.bits[p][r / 64] >> r % 64 & 1) == 1;
        within += eligible && f.bench.bounds[p * kBlockRows + r] <= most ? 1U : 0U;
      }
    }
    CHECK(within == near.size());
  }
}

TEST_CASE("sieve: rows that all have one bound are not all nearest", "[sketch]") {
  Fixture f;
  REQUIRE(test::prepare(f.sieve, f.request));
  f.sieve.measure(f.request, f.pieces, 0, f.bench);
  std::fill(f.bench.bounds.begin(), f.bench.bounds.end(), 0.0f);
  std::fill(f.bench.least.begin(), f.bench.least.end(), 0.0f);
  std::vector<SketchSieve::Near> near;
  for (const std::uint32_t want : {3U, 50U}) {
    f.sieve.nearest(f.request, f.pieces, 0, 1.0f, want, f.bench, near);
    CHECK(near.size() == want);
  }
}

TEST_CASE("sieve: every row within the threshold passes, and no row without its bit", "[sketch]") {
  for (const Metric metric : {Metric::l2, Metric::cosine, Metric::dot}) {
    Fixture f(metric);
    CAPTURE(to_string(metric));
    const auto truth = oracle_rows(f.rows.shape(), f.blocks, f.masks[0], f.views[0].f32);
    REQUIRE(test::prepare(f.sieve, f.request));
    const auto threshold = std::nextafter(static_cast<float>(truth[9].distance),
                                          std::numeric_limits<float>::infinity());
    std::set<std::pair<std::uint32_t, std::uint32_t>> passed;
    std::vector<SketchSurvivor> survivors(kBlockRows);
    for (const Piece& piece : f.pieces) {
      const SketchCount count = f.sieve.sift(f.request, piece, 0, threshold, survivors.data());
      CHECK(count.all <= count.first);
      for (std::uint32_t i = 0; i < count.all; ++i) {
        CHECK(survivors[i].bound <= f.sieve.reach(0, threshold));
        passed.emplace(piece.block, survivors[i].row);
      }
    }
    for (std::size_t i = 0; i < 10; ++i) {
      if (truth[i].block < 3) CHECK(passed.count({truth[i].block, truth[i].position}) == 1);
    }
    CHECK(passed.size() < kRows);
  }
}

}  // namespace
