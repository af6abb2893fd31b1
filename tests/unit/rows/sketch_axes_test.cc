// Checks engine/rows/sketch_axes: which shapes have sketches, what a vector looks like from known
// axes, the metrics' maps, and that distances never grow. Seeded, single-threaded. Bounds over all
// kinds of data are in tests/conformance/sketch_kernels_test.cc.
// Always holds: expected numbers are worked out by hand or in doubles.
#include "engine/rows/sketch_axes.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kDim = 70;

// The first sixteen coordinates as axes.
SketchAxes coordinates(Metric metric, double largest = 0.0, float mean = 0.0f) {
  std::vector<float> axes(16 * kDim, 0.0f);
  for (std::uint32_t a = 0; a < 16; ++a) axes[a * kDim + a] = 1.0f;
  return SketchAxes(RowShape::make(metric, ScalarType::f32, kDim), 16,
                    std::vector<float>(kDim, mean), std::move(axes), std::vector<float>(16, 0.5f),
                    largest);
}

SketchPoint seen(const SketchAxes& axes, const std::vector<float>& vector, bool query = false) {
  std::vector<float> scratch(axes.scratch_floats());
  SketchPoint point;
  if (query) {
    axes.see_query(vector.data(), scratch.data(), point);
  } else {
    axes.see_row(vector.data(), scratch.data(), point);
  }
  return point;
}

std::vector<float> vector_of(float first, float last) {
  std::vector<float> vector(kDim, 0.0f);
  vector.front() = first;
  vector.back() = last;
  return vector;
}

TEST_CASE("sketch axes: shapes with a bound and 64 to 4096 coordinates have them", "[sketch]") {
  CHECK(SketchAxes::serves(RowShape::make(Metric::l2, ScalarType::f32, 64)));
  CHECK(SketchAxes::serves(RowShape::make(Metric::cosine, ScalarType::i8, 4096)));
  CHECK_FALSE(SketchAxes::serves(RowShape::make(Metric::l2, ScalarType::f32, 63)));
  CHECK_FALSE(SketchAxes::serves(RowShape::make(Metric::l2, ScalarType::f32, 4097)));
  CHECK_FALSE(SketchAxes::serves(RowShape::make(Metric::l1, ScalarType::f32, 128)));
  CHECK_FALSE(SketchAxes::serves(RowShape::make(Metric::hamming, ScalarType::bit, 128)));
}

TEST_CASE("sketch axes: a quarter of the coordinates, from 16 to 64 in sixteens", "[sketch]") {
  const auto count = [](std::uint32_t dim) {
    return SketchAxes::count_for(RowShape::make(Metric::l2, ScalarType::f32, dim));
  };
  CHECK(count(64) == 16);
  CHECK(count(127) == 16);
  CHECK(count(128) == 32);
  CHECK(count(200) == 48);
  CHECK(count(256) == 64);
  CHECK(count(4096) == 64);
}

TEST_CASE("sketch axes: what is along the axes and what they leave out", "[sketch]") {
  const SketchPoint point = seen(coordinates(Metric::l2, 0.0, 1.0f), vector_of(4.0f, 5.0f));
  REQUIRE(point.served);
  CHECK(point.along[0] == 3.0f);
  CHECK(point.along[1] == -1.0f);
  // Coordinates 16 to 69 less the mean: 53 times -1, and 4.
  CHECK(point.left == Approx(std::sqrt(53.0 + 16.0)).margin(1e-4));
  CHECK(point.left_first == Approx(point.left));
  CHECK(point.error < 1e-3);
  CHECK(point.left_error < 1e-3);
}

TEST_CASE("sketch axes: cosine sees unit vectors, of any length but nearly none", "[sketch]") {
  const SketchAxes axes = coordinates(Metric::cosine);
  for (const float scale : {1e-8f, 1.0f, 1e10f}) {
    const SketchPoint point = seen(axes, vector_of(3.0f * scale, 4.0f * scale));
    REQUIRE(point.served);
    CHECK(point.along[0] == Approx(0.6f));
    CHECK(point.left == Approx(0.8));
  }
  CHECK_FALSE(seen(axes, vector_of(0.0f, 0.0f)).served);
  CHECK_FALSE(seen(axes, vector_of(1e-20f, 0.0f)).served);
}

TEST_CASE("sketch axes: dot adds what a row lacks to the largest, and scales the query to it",
          "[sketch]") {
  const SketchAxes axes = coordinates(Metric::dot, 10.0);
  const SketchPoint row = seen(axes, vector_of(6.0f, 0.0f));
  REQUIRE(row.served);
  CHECK(row.along[0] == 6.0f);
  CHECK(row.extra == Approx(8.0));
  const SketchPoint query = seen(axes, vector_of(0.0f, 0.5f), true);
  REQUIRE(query.served);
  CHECK(query.left == Approx(10.0));
  CHECK(query.extra == 0.0);
  CHECK_FALSE(seen(axes, vector_of(10.01f, 0.0f)).served);
  CHECK_FALSE(seen(axes, vector_of(0.0f, 0.0f), true).served);
}

TEST_CASE("sketch axes: vectors too long for floats are not served", "[sketch]") {
  CHECK_FALSE(seen(coordinates(Metric::l2), vector_of(1e20f, 0.0f)).served);
  CHECK(seen(coordinates(Metric::l2), vector_of(1e14f, 0.0f)).served);
}

TEST_CASE("sketch axes: axes far from orthonormal serve nothing", "[sketch]") {
  std::vector<float> axes(16 * kDim, 0.1f);
  const SketchAxes skewed(RowShape::make(Metric::l2, ScalarType::f32, kDim), 16,
                          std::vector<float>(kDim, 0.0f), std::move(axes),
                          std::vector<float>(16, 1.0f), 0.0);
  CHECK(skewed.defect() > 0.25);
  CHECK_FALSE(seen(skewed, vector_of(1.0f, 1.0f)).served);
}

TEST_CASE("sketch axes: points are never further from each other than the vectors", "[sketch]") {
  const SketchAxes axes = coordinates(Metric::l2, 0.0, 0.25f);
  std::mt19937 random(3);
  CAPTURE(3);
  for (int pair = 0; pair < 200; ++pair) {
    std::vector<float> a(kDim);
    std::vector<float> b(kDim);
    double square = 0.0;
    for (std::uint32_t i = 0; i < kDim; ++i) {
      a[i] = static_cast<float>(random() % 2000) - 1000.0f;
      b[i] = a[i] + static_cast<float>(random() % 20) - 10.0f;
      square += static_cast<double>(a[i] - b[i]) * static_cast<double>(a[i] - b[i]);
    }
    const SketchPoint p = seen(axes, a);
    const SketchPoint q = seen(axes, b);
    double near = (p.left - q.left) * (p.left - q.left);
    for (std::uint32_t i = 0; i < 16; ++i) {
      near += static_cast<double>(p.along[i] - q.along[i]) *
              static_cast<double>(p.along[i] - q.along[i]);
    }
    const double errors = p.error + q.error + p.left_error + q.left_error;
    REQUIRE(std::sqrt(near) <= std::sqrt(square) + errors);
    REQUIRE(errors < 1.0);
  }
}

}  // namespace
