// Checks the choice in engine/scan/sketch_kernels: it goes no further than the float table that was
// forced, and ends with one that runs everywhere. What the tables compute is in
// tests/conformance/sketch_kernels_test.cc. Single-threaded.
#include "engine/scan/sketch_kernels.h"

#include <catch2/catch.hpp>
#include <string_view>

namespace {

using namespace vecserve::engine;

TEST_CASE("sketch kernels: the last table runs everywhere, and all have names and functions",
          "[sketch]") {
  REQUIRE_FALSE(sketch_kernel_tables().empty());
  CHECK(std::string_view(sketch_kernel_tables().back()->name) == "generic");
  CHECK(sketch_kernel_tables().back()->supported());
  for (const SketchKernels* table : sketch_kernel_tables()) {
    CHECK(std::string_view(table->name) != "");
    CHECK(table->measure != nullptr);
    CHECK(table->sift != nullptr);
  }
}

TEST_CASE("sketch kernels: a forced float table is not gone beyond", "[sketch]") {
  CHECK(std::string_view(sketch_kernels_for("generic").name) == "generic");
  CHECK(std::string_view(sketch_kernels_for("nobody").name) == "generic");
  CHECK(std::string_view(sketch_kernels_for("avx2").name) != "avx512_vnni");
  CHECK(sketch_kernels_for("avx512_dl").supported());
}

}  // namespace
