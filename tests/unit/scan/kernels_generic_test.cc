// Checks engine/scan/kernels_generic on sums done by hand. What all tables have in common is in
// tests/conformance/kernels_test.cc. Single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/scan/kernels.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

TEST_CASE("generic kernels: three sums of small whole numbers are exact", "[scan]") {
  alignas(64) float query[32] = {};
  alignas(64) float row[32] = {};
  for (std::uint32_t i = 0; i < 17; ++i) {
    query[i] = static_cast<float>(i);
    row[i] = 2.0f;
  }
  const float* queries[1] = {query};
  const auto sum = [&](Metric metric) {
    float out = -1.0f;
    float_kernel(generic_kernels(), metric, ScalarType::f32)(
        {queries, reinterpret_cast<const std::byte*>(row), &out, 128, 1, 1, 17});
    return out;
  };
  // Sums over i = 0..16 of (i - 2)^2, 2 i and |i - 2|.
  CHECK(sum(Metric::l2) == 1496.0f - 4 * 136.0f + 17 * 4.0f);
  CHECK(sum(Metric::dot) == 272.0f);
  CHECK(sum(Metric::cosine) == 272.0f);
  CHECK(sum(Metric::l1) == 136.0f - 2 * 17.0f + 2 * 3.0f);
}

TEST_CASE("generic kernels: hamming", "[scan]") {
  const std::uint64_t query[2] = {0xff, 1};
  const std::uint64_t rows[4] = {0x0f, 1, 0, 0};
  const std::uint64_t* queries[1] = {query};
  std::uint32_t counts[2] = {};
  generic_kernels().hamming(
      {queries, reinterpret_cast<const std::byte*>(rows), counts, 16, 1, 2, 2});
  CHECK(counts[0] == 4);
  CHECK(counts[1] == 9);
}

}  // namespace
