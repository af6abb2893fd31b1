// Checks engine/scan/coarse_pass: all rows in order, chosen rows and seeds give the rows of the
// answer with bounds around their distances, for one query and for groups, and masks hold. Seeded,
// single-threaded. Whole scans are in tests/conformance/scanner_test.cc. Always holds: distances
// are the oracle's.
#include "engine/scan/coarse_pass.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>

#include "tests/support/data.h"
#include "tests/support/oracle.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kRows = 1100;
constexpr std::uint32_t kWant = 7;

struct Fixture {
  explicit Fixture(std::uint32_t count) : rows(shape()) {
    VectorSource source(rows.shape(), DataKind::normal, 9);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      rows.add(source.next_row(), IdView(std::uint64_t{r}), kRows);
    }
    blocks = rows.scan_blocks();
    blocks.resize(1);
    bits = rows.all_bits();
    bits.resize(1);
    for (std::uint32_t q = 0; q < count; ++q) {
      queries.emplace_back(rows.shape(), source.next_row());
      views.push_back(queries.back().view());
      views.back().want = kWant;
      lists.emplace_back();
      lists.back().reset(kWant);
    }
    request.shape = rows.shape();
    request.blocks = blocks;
    request.queries = views;
    masks.push_back(make_mask(bits));
    request.masks = masks;
    REQUIRE(prepared.prepare(request));
  }
  static RowShape shape() {
    RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 40);
    shape.coarse = true;
    return shape;
  }
  // The rows that are left of a query in the end.
  std::set<std::uint32_t> left(std::uint32_t query) {
    QueryCandidates out;
    lists[query].finish(prepared.threshold(query), std::numeric_limits<double>::infinity(), out);
    std::set<std::uint32_t> rows_left;
    for (const Candidate& candidate : out.list) {
      CHECK(rows_left.insert(candidate.position).second);
    }
    return rows_left;
  }
  void check_holds_the_nearest(std::uint32_t query) {
    const std::set<std::uint32_t> mine = left(query);
    const auto truth = oracle_rows(rows.shape(), blocks, masks[0], views[query].f32);
    for (std::uint32_t i = 0; i < kWant; ++i) CHECK(mine.count(truth[i].position) == 1);
    CHECK(mine.size() < 100);
  }

  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<ScanMask> masks;
  std::vector<TestQuery> queries;
  std::vector<ScanQuery> views;
  std::vector<BoundList> lists;
  ScanRequest request;
  CoarseQueries prepared;
  CoarsePass pass;
  CoarseJob job{request, prepared, coarse_kernels_for("generic")};
};

TEST_CASE("coarse pass: rows in order leave the nearest of every query of a group", "[scan]") {
  for (const std::uint32_t count : {1u, 3u, 20u}) {
    CAPTURE(count);
    Fixture f(count);
    const std::vector<Group> groups{{0, count, 0}};
    f.prepared.pack(groups);
    f.pass.rows_in_order(f.job, {0, 0, kRows, false}, groups[0], f.prepared.panels(0), false,
                         f.lists);
    for (std::uint32_t q = 0; q < count; ++q) f.check_holds_the_nearest(q);
  }
}

TEST_CASE("coarse pass: rows that the mask has not are never kept", "[scan]") {
  Fixture f(1);
  for (std::uint64_t& word : f.bits[0]) word &= 0x5555555555555555u;
  f.masks[0] = make_mask(f.bits);
  f.pass.rows_in_order(f.job, {0, 0, kRows, false}, {0, 1, 0}, nullptr, false, f.lists);
  for (const std::uint32_t row : f.left(0)) CHECK(row % 2 == 0);
}

TEST_CASE("coarse pass: chosen rows are counted from the piece's first", "[scan]") {
  Fixture f(1);
  const std::vector<std::uint64_t> chosen{1u << 3, std::uint64_t{1} << 63};
  CoarsePass::ask_for(f.job, {0, 128, 128, true}, 3);
  f.pass.chosen_rows(f.job, {0, 128, 128, true}, 0, chosen.data(), f.lists[0]);
  CHECK(f.left(0) == std::set<std::uint32_t>{131, 255});
}

TEST_CASE("coarse pass: seeds lower the threshold to no less than the distance of one of them",
          "[scan]") {
  Fixture f(1);
  const auto truth = oracle_rows(f.rows.shape(), f.blocks, f.masks[0], f.views[0].f32);
  f.prepared.threshold(0).lower_to(0.0f);  // would turn everything away
  BoundList seeds;
  seeds.reset(kWant);
  const std::vector<std::uint64_t> all(kRows / 64 + 1, ~std::uint64_t{0});
  f.pass.seed_rows(f.job, {0, 0, kRows, true}, 0, all.data(), false, seeds);
  SharedThreshold fresh;
  fresh.reset(std::numeric_limits<float>::infinity());
  seeds.tighten(fresh);
  CHECK(static_cast<double>(fresh.get()) >= truth[kWant - 1].distance);
  CHECK(static_cast<double>(fresh.get()) <= truth[kWant - 1].distance * 1.1);
}

}  // namespace
