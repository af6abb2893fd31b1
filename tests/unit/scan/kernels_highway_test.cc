// Checks engine/scan/kernels_highway (or the file that stands in for it): the tables are complete
// and differently named. What they compute is checked in tests/conformance/kernels_test.cc.
// Single-threaded.
#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "engine/scan/kernels.h"

namespace {

using namespace vecserve::engine;

TEST_CASE("highway kernels: every table has a name of its own and every kernel", "[scan]") {
  std::set<std::string> names{"generic"};
  for (const KernelTable* table : highway_kernels()) {
    CAPTURE(table->name);
    CHECK(names.insert(table->name).second);
    CHECK(table->lanes >= 4);
    CHECK(table->lanes <= 16);
    CHECK(table->hamming != nullptr);
    for (const auto& by_type : table->sums) {
      for (const FloatKernel kernel : by_type) CHECK(kernel != nullptr);
    }
    static_cast<void>(table->supported());
  }
}

}  // namespace
