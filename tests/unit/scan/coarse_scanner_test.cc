// Checks what is particular to engine/scan/coarse_scanner; its answers are held to the contract by
// tests/conformance/scanner_test.cc. Rows come from a seed; threads are those of a pool.
// Always holds: what the coarse plane cannot serve is answered all the same.
#include "engine/scan/coarse_scanner.h"

#include <catch2/catch.hpp>

#include "tests/support/data.h"

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
