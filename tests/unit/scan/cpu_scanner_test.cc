// Checks engine/scan/cpu_scanner beyond the contract: its name, that ineligible tiles are not
// touched, and that a failed allocation leaves it usable. Single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/cpu_scanner.h"

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <new>
#include <string>

#include "tests/support/data.h"
#include "tests/support/failing_new.h"
#include "tests/support/match.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Search {
  Search() : rows(RowShape::make(Metric::l2, ScalarType::f32, 1024)) {
    VectorSource source(rows.shape(), DataKind::normal, 3);
    for (std::uint32_t r = 0; r < 512; ++r) rows.add(source.next_row(), IdView(r), 0);
    blocks = rows.scan_blocks();
    bits = rows.all_bits();
    query = std::make_unique<TestQuery>(rows.shape(), source.next_row());
    views.push_back(query->view());
    views[0].want = 20;
    masks.push_back(make_mask(bits));
  }
  ScanRequest request() const {
    ScanRequest out;
    out.shape = rows.shape();
    out.blocks = blocks;
    out.masks = masks;
    out.queries = views;
    return out;
  }
  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<std::vector<std::uint64_t>> bits;
  std::unique_ptr<TestQuery> query;
  std::vector<ScanQuery> views;
  std::vector<ScanMask> masks;
};

TEST_CASE("cpu scanner: its name tells the kernels, and it knows which shapes make sense",
          "[scan]") {
  WorkerPool pool(1);
  const auto scanner = make_cpu_scanner(**choose_kernels("generic"), pool);
  CHECK(scanner->name() == "cpu/generic");
  CHECK(scanner->supports(RowShape::make(Metric::hamming, ScalarType::bit, 8)));
  CHECK_FALSE(scanner->supports(RowShape::make(Metric::l2, ScalarType::bit, 8)));
  CHECK_FALSE(scanner->supports(RowShape::make(Metric::hamming, ScalarType::f32, 8)));
}

TEST_CASE("cpu scanner: tiles without an eligible row are not touched", "[scan]") {
  WorkerPool pool(1);
  for (const std::string_view name : kernel_names()) {
    const auto scanner = make_cpu_scanner(**choose_kernels(name), pool);
    Search search;
    // 64 rows of 4 KiB are 64 pages: take the second tile's away and make its rows ineligible.
    search.bits[0][1] = 0;
    search.masks[0] = make_mask(search.bits);
    auto* second = const_cast<std::byte*>(search.blocks[0].block->vector(64));
    constexpr std::size_t kTileBytes = std::size_t{64} * 4096;
    REQUIRE(::mprotect(second, kTileBytes, PROT_NONE) == 0);
    ScanResult result;
    const bool ok = scanner->scan(search.request(), result).ok();
    REQUIRE(::mprotect(second, kTileBytes, PROT_READ | PROT_WRITE) == 0);
    CHECK(ok);
    CHECK(result.queries[0].list.size() >= 20);
  }
}

TEST_CASE("cpu scanner: nothing is allocated once a request of that size was served", "[scan]") {
  WorkerPool pool(1);
  const Search search;
  const auto scanner = make_cpu_scanner(**choose_kernels(""), pool);
  ScanResult result;
  REQUIRE(scanner->scan(search.request(), result).ok());
  const ScanRequest request = search.request();
  fail_allocation(0);
  const bool ok = scanner->scan(request, result).ok();
  const bool pending = allocation_failure_pending();
  fail_allocation(-1);
  CHECK(ok);
  CHECK(pending);
}

TEST_CASE("cpu scanner: an allocation that fails anywhere leaves it as good as before", "[scan]") {
  WorkerPool pool(1);
  const Search search;
  const ScanRequest request = search.request();
  const auto truth =
      oracle_rows(search.rows.shape(), search.blocks, search.masks[0], search.query->vector());
  for (long n = 0;; ++n) {
    const auto scanner = make_cpu_scanner(**choose_kernels(""), pool);
    ScanResult result;
    bool threw = false;
    fail_allocation(n);
    try {
      static_cast<void>(scanner->scan(request, result));
    } catch (const std::bad_alloc&) {
      threw = true;
    }
    const bool pending = allocation_failure_pending();
    fail_allocation(-1);
    CHECK(threw != pending);
    REQUIRE(scanner->scan(request, result).ok());
    REQUIRE(contract_violation(search.views[0], result.queries[0], truth) == "");
    if (pending) {
      CHECK(n > 5);
      break;
    }
  }
}

}  // namespace
