// Checks engine/scan/reference: distances that can be worked out by hand, the fixed order of
// additions, and coordinates of every type. Single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/reference.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

double f32_distance(Metric metric, const std::vector<float>& q, const std::vector<float>& x) {
  const auto dim = static_cast<std::uint32_t>(q.size());
  return reference_distance(RowShape::make(metric, ScalarType::f32, dim), q.data(),
                            reinterpret_cast<const std::byte*>(x.data()));
}

TEST_CASE("reference: each metric on vectors done by hand", "[scan]") {
  const std::vector<float> q{1, 2, 3};
  const std::vector<float> x{3, 0, -1};
  CHECK(f32_distance(Metric::l2, q, x) == 4.0 + 4.0 + 16.0);
  CHECK(f32_distance(Metric::dot, q, x) == 0.0);
  CHECK_FALSE(std::signbit(f32_distance(Metric::dot, q, x)));
  CHECK(f32_distance(Metric::dot, q, q) == -14.0);
  CHECK(f32_distance(Metric::cosine, q, x) == 1.0);
  CHECK(f32_distance(Metric::l1, q, x) == 8.0);
}

TEST_CASE("reference: a cosine stays between 0 and 2", "[scan]") {
  for (const float scale : {1e-30f, 1.0f, 1e30f}) {
    const std::vector<float> q{0.1f * scale, 0.7f * scale, -0.3f * scale};
    const std::vector<float> minus{-q[0], -q[1], -q[2]};
    CHECK(f32_distance(Metric::cosine, q, q) >= 0.0);
    CHECK(f32_distance(Metric::cosine, q, q) < 1e-15);
    CHECK(f32_distance(Metric::cosine, q, minus) <= 2.0);
    CHECK(f32_distance(Metric::cosine, q, minus) > 2.0 - 1e-15);
  }
  CHECK(f32_distance(Metric::cosine, {0, 0}, {1, 0}) == 1.0);
}

TEST_CASE("reference: additions are made in the documented order", "[scan]") {
  // With 2^60 in sum 0 and ones elsewhere, each order loses different ones.
  for (std::uint32_t dim = 1; dim <= 40; ++dim) {
    std::vector<float> q(dim, 0.0f);
    std::vector<float> x(dim, 1.0f);
    x[0] = 0x1p30f;
    double sums[8] = {};
    for (std::uint32_t i = 0; i < dim; ++i) {
      const double d = static_cast<double>(q[i]) - static_cast<double>(x[i]);
      sums[i % 8] += d * d;
    }
    const double expected =
        ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
    CAPTURE(dim);
    CHECK(f32_distance(Metric::l2, q, x) == expected);
  }
}

TEST_CASE("reference: nothing overflows, however large the floats", "[scan]") {
  const std::vector<float> q(1000, 3e38f);
  const std::vector<float> x(1000, -3e38f);
  CHECK(f32_distance(Metric::l2, q, x) == Approx(1000 * 3.6e77).epsilon(1e-6));
  CHECK(f32_distance(Metric::cosine, q, x) == Approx(2.0));
}

TEST_CASE("reference: the narrow types", "[scan]") {
  const std::vector<float> q{1.5f, -2.0f};
  const std::uint16_t half[2] = {0x3e00, 0x4000};  // 1.5, 2
  const std::uint16_t brain[2] = {0x3fc0, 0x4000};
  const std::int8_t i8[2] = {-128, 127};
  const std::uint8_t u8[2] = {255, 0};
  const auto l1 = [&q](ScalarType type, const void* row) {
    return reference_distance(RowShape::make(Metric::l1, type, 2), q.data(),
                              static_cast<const std::byte*>(row));
  };
  CHECK(l1(ScalarType::f16, half) == 4.0);
  CHECK(l1(ScalarType::bf16, brain) == 4.0);
  CHECK(l1(ScalarType::i8, i8) == 129.5 + 129.0);
  CHECK(l1(ScalarType::u8, u8) == 253.5 + 2.0);
  CHECK(coordinate(ScalarType::f16, reinterpret_cast<const std::byte*>(half), 1) == 2.0);
  CHECK(coordinate(ScalarType::u8, reinterpret_cast<const std::byte*>(u8), 0) == 255.0);
}

TEST_CASE("reference: hamming counts bits over whole and broken words", "[scan]") {
  for (const std::uint32_t dim : {1u, 7u, 8u, 63u, 64u, 65u, 200u}) {
    const RowShape shape = RowShape::make(Metric::hamming, ScalarType::bit, dim);
    std::vector<std::byte> q((shape.row_bytes + 7) / 8 * 8);
    std::vector<std::byte> x(shape.row_bytes);
    CAPTURE(dim);
    CHECK(reference_distance(shape, q.data(), x.data()) == 0.0);
    for (std::uint32_t i = 0; i < dim; i += 3) x[i / 8] |= std::byte{1} << (i % 8);
    CHECK(reference_distance(shape, q.data(), x.data()) == (dim + 2) / 3);
    CHECK(coordinate(ScalarType::bit, x.data(), 0) == 1.0);
    if (dim > 1) CHECK(coordinate(ScalarType::bit, x.data(), 1) == 0.0);
  }
}

}  // namespace
