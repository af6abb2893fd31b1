// Checks engine/scan/sketch_bounds: codes of a query, and the reach that a threshold means for each
// metric. Single-threaded. That no row within the threshold is ever turned away is in
// tests/conformance/sketch_kernels_test.cc.
// Always holds: the axes are coordinates, so that numbers can be worked out by hand.
#include "engine/scan/sketch_bounds.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kDim = 256;

SketchAxes coordinates(Metric metric, double largest = 0.0) {
  std::vector<float> axes(64 * kDim, 0.0f);
  for (std::uint32_t a = 0; a < 64; ++a) axes[a * kDim + a] = 1.0f;
  return SketchAxes(RowShape::make(metric, ScalarType::f32, kDim), 64,
                    std::vector<float>(kDim, 0.0f), std::move(axes), std::vector<float>(64, 0.5f),
                    largest);
}

SketchQuery query_of(const SketchAxes& axes, float first, float last) {
  std::vector<float> vector(kDim, 0.0f);
  vector[0] = first;
  vector[kDim - 1] = last;
  std::vector<float> scratch(axes.scratch_floats());
  SketchQuery query;
  make_sketch_query(axes, vector.data(),
                    std::hypot(static_cast<double>(first), static_cast<double>(last)),
                    scratch.data(), query);
  return query;
}

TEST_CASE("sketch query: codes are y in two parts, with their sum as a bias", "[sketch]") {
  const SketchQuery query = query_of(coordinates(Metric::l2), 8.0f, 6.0f);
  REQUIRE(query.served);
  CHECK(128 * query.probe.high[0] + query.probe.low[0] == 16256);
  CHECK(query.probe.high[1] == 0);
  CHECK(query.probe.bias[0] == 128 * 16256);
  CHECK(query.probe.bias[1] == 0);
  // y = 8 times the step of a row's codes, 0.5; the score has it twice.
  CHECK(query.probe.steps[0] * 16256.0f == Approx(8.0f));
  CHECK(query.probe.steps[1] == 0.0f);
  CHECK(query.probe.first.base == Approx(100.0f).epsilon(1e-3));
  CHECK(query.probe.first.base < 100.0f);
  CHECK(query.probe.first.twice_left == Approx(12.0f));
}

TEST_CASE("sketch query: the reach of a threshold is its root, rounded up", "[sketch]") {
  const SketchQuery query = query_of(coordinates(Metric::l2), 8.0f, 6.0f);
  CHECK(reach_of(query, 49.0f).first >= 7.0f);
  CHECK(reach_of(query, 49.0f).first < 7.01f);
  CHECK(reach_of(query, 49.0f).all >= 7.0f);
  CHECK(reach_of(query, -1.0f).all >= 0.0f);
  CHECK(reach_of(query, -1.0f).all < 0.01f);
  CHECK(std::isinf(reach_of(query, std::numeric_limits<float>::infinity()).first));
}

TEST_CASE("sketch query: a cosine distance is half a squared distance of unit vectors",
          "[sketch]") {
  SketchQuery query = query_of(coordinates(Metric::cosine), 3.0f, 4.0f);
  REQUIRE(query.served);
  CHECK(reach_of(query, 0.5f).first >= 1.0f);
  CHECK(reach_of(query, 0.5f).first < 1.001f);
}

TEST_CASE("sketch query: a dot distance is shifted by the largest and scaled by the query",
          "[sketch]") {
  // The row (10, 0) and the query (5, 0), scaled to (10, 0): distance -50, points the same.
  SketchQuery query = query_of(coordinates(Metric::dot, 10.0), 5.0f, 0.0f);
  REQUIRE(query.served);
  CHECK(reach_of(query, -50.0f).first >= 0.0f);
  CHECK(reach_of(query, -50.0f).first < 0.1f);
  // The row (0, 10): distance 0, squared distance of the points 200.
  CHECK(reach_of(query, 0.0f).first >= std::sqrt(200.0f));
  CHECK(reach_of(query, 0.0f).first < std::sqrt(200.0f) * 1.01f);
}

TEST_CASE("sketch query: one that axes cannot see is not served", "[sketch]") {
  CHECK_FALSE(query_of(coordinates(Metric::l2), 1e20f, 0.0f).served);
  CHECK_FALSE(query_of(coordinates(Metric::dot, 10.0), 0.0f, 0.0f).served);
}

}  // namespace
