// Checks engine/rows/learn_axes: it finds the directions along which rows differ, orders them,
// makes steps that hold the sample, and gives valid axes or none for samples that have nothing to
// learn. Seeded, single-threaded. Always holds: the same sample gives the same axes.
#include "engine/rows/learn_axes.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kDim = 96;

bool never() {
  return false;
}

// Rows around (5, 5, ...) that differ by `spread[a]` along coordinate a, and by 0.01 along the
// rest.
AxesSample sample_of(const std::vector<float>& spread, std::uint32_t count, float scale = 1.0f) {
  CAPTURE(count);
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  AxesSample sample;
  sample.count = count;
  sample.rows.resize(std::size_t{count} * kDim);
  for (std::uint32_t r = 0; r < count; ++r) {
    for (std::uint32_t i = 0; i < kDim; ++i) {
      const float width = i < spread.size() ? spread[i] : 0.01f;
      sample.rows[std::size_t{r} * kDim + i] = scale * (5.0f + width * normal(random));
    }
  }
  return sample;
}

TEST_CASE("learn axes: the first are those along which rows differ most", "[sketch]") {
  for (const float scale : {1.0f, 1e-12f, 1e12f}) {
    CAPTURE(scale);
    const std::vector<float> spread = {1.0f, 10.0f, 100.0f};
    const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
    const auto axes = learn_axes(shape, sample_of(spread, 1000, scale), never);
    REQUIRE(axes != nullptr);
    CHECK(axes->count() == 16);
    CHECK(axes->defect() < 1e-5);
    // A vector that lies along coordinate 2 from the mean is seen along the first axis alone.
    std::vector<float> vector(kDim, 5.0f * scale);
    vector[2] += 100.0f * scale;
    std::vector<float> scratch(axes->scratch_floats());
    SketchPoint point;
    axes->see_row(vector.data(), scratch.data(), point);
    REQUIRE(point.served);
    CHECK(std::fabs(point.along[0]) == Approx(100.0f * scale).epsilon(0.1));
    CHECK(std::fabs(point.along[1]) < 5.0f * scale);
    CHECK(point.left < 5.0 * static_cast<double>(scale));
  }
}

TEST_CASE("learn axes: a code of 127 steps reaches as far as the rows do, or 4.5 deviations",
          "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  const auto axes = learn_axes(shape, sample_of({20.0f}, 2000), never);
  REQUIRE(axes != nullptr);
  CHECK(axes->steps()[0] * 127.0f > 50.0f);
  CHECK(axes->steps()[0] * 127.0f <= 4.5f * 20.0f * 1.1f);
}

TEST_CASE("learn axes: rows that differ along one direction only still give sixteen axes",
          "[sketch]") {
  std::vector<float> rows(300 * kDim, 1.0f);
  for (std::uint32_t r = 0; r < 300; ++r) rows[r * kDim + 3] = static_cast<float>(r);
  AxesSample sample{rows, 300, 0.0};
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  const auto axes = learn_axes(shape, sample, never);
  REQUIRE(axes != nullptr);
  CHECK(axes->count() == 16);
  CHECK(axes->defect() < 1e-5);
}

TEST_CASE("learn axes: equal rows, too few rows, and sums beyond floats teach nothing",
          "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  CHECK(learn_axes(shape, {std::vector<float>(300 * kDim, 2.5f), 300, 0.0}, never) == nullptr);
  CHECK(learn_axes(shape, sample_of({1.0f}, kSketchSampleMin - 1), never) == nullptr);
  CHECK(learn_axes(shape, {std::vector<float>(300 * kDim, 1e30f), 300, 0.0}, never) == nullptr);
  CHECK(learn_axes(shape, sample_of({1.0f}, kSketchSampleMin), never) != nullptr);
}

TEST_CASE("learn axes: asked to stop it returns nothing", "[sketch]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  int asked = 0;
  const auto axes = learn_axes(shape, sample_of({1.0f}, 500), [&] { return ++asked == 3; });
  CHECK(axes == nullptr);
  CHECK(asked == 3);
}

}  // namespace
