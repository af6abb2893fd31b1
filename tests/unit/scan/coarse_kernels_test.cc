// Checks engine/scan/coarse_kernels: the layout of packed queries and the choice of a table. What
// all tables have in common is in tests/conformance/coarse_kernels_test.cc. Single-threaded. Always
// holds: passes whatever instruction sets this machine has.
#include "engine/scan/coarse_kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string_view>
#include <vector>

namespace {

using namespace vecserve::engine;

TEST_CASE("packed queries: four codes of each of sixteen queries, then the next four", "[scan]") {
  constexpr std::size_t kStride = 64;
  constexpr std::uint32_t kQueries = 19;
  std::vector<std::int8_t> codes(kQueries * kStride);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<std::int8_t>(i * 37 % 255);
  std::vector<std::int8_t> packed(2 * 16 * kStride, 77);
  pack_queries(codes.data(), kStride, kQueries, packed.data());
  std::uint32_t wrong = 0;
  for (std::size_t q = 0; q < 32; ++q) {
    for (std::size_t i = 0; i < kStride; ++i) {
      const std::size_t at = q / 16 * 16 * kStride + i / 4 * 64 + q % 16 * 4 + i % 4;
      const std::int8_t expected = q < kQueries ? codes[q * kStride + i] : std::int8_t{0};
      if (packed[at] != expected) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("packed queries: one query fills one panel, none fills nothing", "[scan]") {
  std::vector<std::int8_t> codes(64, 5);
  std::vector<std::int8_t> packed(16 * 64 + 1, 77);
  pack_queries(codes.data(), 64, 0, packed.data());
  CHECK(packed[0] == 77);
  pack_queries(codes.data(), 64, 1, packed.data());
  CHECK(packed[3] == 5);
  CHECK(packed[4] == 0);
  CHECK(packed[16 * 64 - 1] == 0);
  CHECK(packed[16 * 64] == 77);
}

TEST_CASE("coarse tables: generic is the last, runs everywhere, and names differ", "[scan]") {
  const auto tables = coarse_kernel_tables();
  REQUIRE_FALSE(tables.empty());
  CHECK(std::string_view(tables.back()->name) == "generic");
  CHECK(tables.back()->supported());
  for (const CoarseKernels* table : tables) {
    CAPTURE(table->name);
    CHECK(table->one_l2 != nullptr);
    CHECK(table->one_dot != nullptr);
    CHECK(table->batch_l2 != nullptr);
    CHECK(table->batch_dot != nullptr);
    CHECK(std::count_if(tables.begin(), tables.end(), [table](const CoarseKernels* other) {
            return std::string_view(other->name) == table->name;
          }) == 1);
  }
}

TEST_CASE("coarse tables: never beyond the float table, and always one that runs", "[scan]") {
  CHECK(std::string_view(coarse_kernels_for("generic").name) == "generic");
  CHECK(std::string_view(coarse_kernels_for("no such table").name) == "generic");
  const std::string_view avx2 = coarse_kernels_for("avx2").name;
  CHECK((avx2 == "avx2" || avx2 == "generic"));
  for (const char* name : {"avx512", "avx512_dl"}) CHECK(coarse_kernels_for(name).supported());
  for (const CoarseKernels* table : coarse_kernel_tables()) {
    if (table->supported()) {
      CHECK(coarse_kernels_for("avx512").name == table->name);
      break;
    }
  }
}

}  // namespace
