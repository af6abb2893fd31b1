// Checks what is particular to engine/scan/coarse_scanner; its answers are held to the contract by
// tests/conformance/scanner_test.cc. Rows come from a seed; threads are those of a pool.
// Always holds: what the coarse plane cannot serve is answered all the same.
#include "engine/scan/coarse_scanner.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

#include "engine/scan/reference.h"
#include "tests/support/data.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Fixture {
  explicit Fixture(bool coarse, std::uint32_t count = 5'000, std::uint32_t dim = 128)
      : shape(RowShape::make(Metric::l2, ScalarType::f32, dim)), rows(make(coarse)) {
    VectorSource source(shape, DataKind::normal, 11);
    for (std::uint32_t r = 0; r < count; ++r) {
      rows.add(source.next_row(), IdView(std::uint64_t{r}), 0);
    }
    query.emplace_back(shape, source.next_row());
    blocks = rows.scan_blocks();
    bits = rows.all_bits();
    masks.push_back(make_mask(bits));
    view = query[0].view();
    view.want = 10;
  }

  TestRows make(bool coarse) {
    shape.coarse = coarse;
    return TestRows(shape);
  }

  ScanRequest request() const {
    ScanRequest request;
    request.shape = shape;
    request.blocks = blocks;
    request.masks = masks;
    request.queries = {&view, 1};
    request.threads = 2;
    return request;
  }

  RowShape shape;
  TestRows rows;
  std::vector<TestQuery> query;
  std::vector<ScanBlock> blocks;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<ScanMask> masks;
  ScanQuery view;
};

}  // namespace

TEST_CASE("coarse scanner: few rows are left over of many", "[scan]") {
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  const Fixture data(true);
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.queries[0].list.size() >= 10);
  CHECK(result.queries[0].list.size() < 100);
  CHECK(std::isfinite(result.queries[0].floor));
}

TEST_CASE("coarse scanner: blocks without the plane go to the full one", "[scan]") {
  WorkerPool pool(1);
  const auto scanner = make_coarse_scanner(*choose_kernels("generic").value(), pool);
  const Fixture data(false);
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.queries[0].list.size() >= 10);
}

TEST_CASE("coarse scanner: a cancelled request stops", "[scan]") {
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  const Fixture data(true);
  CancelToken token;
  token.cancel();
  const StopCheck stop(kNoDeadline, &token);
  ScanRequest request = data.request();
  request.stop = &stop;
  ScanResult result;
  REQUIRE(scanner->scan(request, result).ok());
  CHECK(result.stopped);
}

TEST_CASE("coarse scanner: its name tells the kernels", "[scan]") {
  WorkerPool pool(1);
  const auto scanner = make_coarse_scanner(*choose_kernels("generic").value(), pool);
  CHECK(scanner->name() == "cpu/coarse/generic");
}

TEST_CASE("coarse scanner: the time in each plane is told of timed requests, and only of those",
          "[scan]") {
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  for (const bool coarse : {true, false}) {
    Fixture data(coarse);
    ScanRequest request = data.request();
    ScanResult result;
    REQUIRE(scanner->scan(request, result).ok());
    CHECK(result.counts.sketch_ns + result.counts.coarse_ns + result.counts.full_ns == 0);
    request.timed = true;
    for (int again = 0; again < 2; ++again) {
      REQUIRE(scanner->scan(request, result).ok());
      CHECK(result.counts.sketch_ns == 0);
      CHECK((result.counts.coarse_ns > 0) == coarse);
      CHECK((result.counts.full_ns > 0) == !coarse);
    }
  }
}

TEST_CASE("coarse scanner: sketches are timed beside what they leave", "[scan]") {
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  Fixture data(true, 20'000);
  const auto sketches = make_sketches(data.shape, data.blocks);
  ScanRequest request = data.request();
  request.timed = true;
  ScanResult result;
  REQUIRE(scanner->scan(request, result).ok());
  CHECK(result.counts.sketch_ns > 0);
  CHECK(result.counts.coarse_ns > 0);
  CHECK(result.counts.full_ns == 0);
}

TEST_CASE("coarse scanner: of few eligible rows among many, the nearest are found", "[scan]") {
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  Fixture data(true, 20'000, 32);
  // Now and then one, and a few words where all are: more than the average tells.
  for (auto& words : data.bits) {
    for (std::size_t w = 0; w < words.size(); ++w) {
      words[w] = w % 97 == 5 ? ~std::uint64_t{0} : w % 3 == 0 ? std::uint64_t{1} << w % 64 : 0;
    }
  }
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    for (std::size_t p = data.blocks[b].count; p < data.bits[b].size() * 64; ++p) {
      data.bits[b][p / 64] &= ~(std::uint64_t{1} << p % 64);
    }
  }
  data.masks[0] = make_mask(data.bits);
  std::vector<double> distances;
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    for (std::uint32_t p = 0; p < data.blocks[b].count; ++p) {
      if ((data.bits[b][p / 64] >> p % 64 & 1) == 0) continue;
      distances.push_back(
          reference_distance(data.shape, data.query[0].vector(), data.blocks[b].block->vector(p)));
    }
  }
  std::sort(distances.begin(), distances.end());
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.counts.coarse == distances.size());
  std::vector<double> found;
  for (const Candidate& row : result.queries[0].list) {
    CHECK((data.bits[row.block][row.position / 64] >> row.position % 64 & 1) == 1);
    found.push_back(reference_distance(data.shape, data.query[0].vector(),
                                       data.blocks[row.block].block->vector(row.position)));
  }
  std::sort(found.begin(), found.end());
  REQUIRE(found.size() >= 10);
  for (std::size_t i = 0; i < 10; ++i) CHECK(found[i] == distances[i]);
}
