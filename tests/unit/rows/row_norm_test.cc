// Checks engine/rows/row_norm: the float is never below the true norm and close above it.
// Single-threaded, seeded. Always holds: the truth is computed in long double.
// Part of unit_rows, which links that layer and what is below it, nothing above.
#include "engine/rows/row_norm.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace {

using namespace vecserve;
using engine::row_norm_up;
using engine::RowShape;

TEST_CASE("row norm: at least the true norm, and at most a little more", "[rows]") {
  std::mt19937_64 random(11);
  for (const std::uint32_t dim : {1u, 2u, 3u, 5u, 128u, 1023u}) {
    for (const float scale : {1.0f, 1e-20f, 1e18f, 1e30f}) {
      CAPTURE(dim, scale);
      std::vector<float> x(dim);
      std::normal_distribution<float> normal;
      long double sum = 0;
      for (float& value : x) {
        value = normal(random) * scale;
        sum += static_cast<long double>(value) * static_cast<long double>(value);
      }
      const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, dim);
      const auto norm = static_cast<long double>(
          row_norm_up(shape, reinterpret_cast<const std::byte*>(x.data())));
      CHECK(norm >= std::sqrt(sum));
      CHECK(norm <= std::sqrt(sum) * (1.0L + 0x1p-22L));
    }
  }
}

TEST_CASE("row norm: zero, denormals and what no float can hold", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 4);
  const auto norm = [&shape](std::vector<float> x) {
    return row_norm_up(shape, reinterpret_cast<const std::byte*>(x.data()));
  };
  CHECK(norm({0, 0, 0, 0}) == 0.0f);
  CHECK(norm({0x1p-149f, 0, 0, 0}) >= 0x1p-149f);
  CHECK(norm({3.4e38f, 3.4e38f, 3.4e38f, 3.4e38f}) == std::numeric_limits<float>::infinity());
}

TEST_CASE("row norm: bytes", "[rows]") {
  const RowShape shape = RowShape::make(Metric::cosine, ScalarType::i8, 2);
  const std::int8_t x[2] = {-3, 4};
  const float norm = row_norm_up(shape, reinterpret_cast<const std::byte*>(x));
  CHECK(norm >= 5.0f);
  CHECK(norm < 5.00001f);
}

TEST_CASE("square of floats: as a sum one by one, for any count and size", "[rows]") {
  std::mt19937_64 random(12);
  std::normal_distribution<float> normal;
  CHECK(engine::square_of(nullptr, 0) == 0.0);
  for (const std::uint32_t count : {1u, 3u, 4u, 5u, 784u, 1023u}) {
    for (const float scale : {1.0f, 1e-20f, 1e18f}) {
      CAPTURE(count, scale);
      std::vector<float> x(count);
      long double sum = 0;
      for (float& value : x) {
        value = normal(random) * scale;
        sum += static_cast<long double>(value) * static_cast<long double>(value);
      }
      const auto off =
          std::fabs(static_cast<long double>(engine::square_of(x.data(), count)) - sum);
      CHECK(off <= sum * (static_cast<long double>(count) * 0x1p-53L));
    }
  }
}

}  // namespace
