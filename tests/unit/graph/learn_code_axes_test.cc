// Checks engine/graph/learn_code_axes: how many axes different data get, that samples of equal or
// enormous rows make valid ones, and that learning can be stopped. The test's thread.
// Always holds: learning is deterministic, so the same data get the same axes.
#include <catch2/catch.hpp>
#include <cmath>

#include "engine/graph/code_axes.h"
#include "tests/support/dice.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using vecserve::test::Dice;

// Rows that differ along the first `spread` coordinates of a turned basis only.
std::vector<float> sample(std::uint32_t dim, std::uint32_t spread, std::uint32_t count) {
  Dice dice(8);
  std::vector<float> rows;
  for (std::uint32_t r = 0; r < count; ++r) {
    std::vector<float> row(dim, 1.0f);
    for (std::uint32_t s = 0; s < spread; ++s) {
      const float along = static_cast<float>(dice.below(1000)) * 0.01f;
      for (std::uint32_t i = 0; i < dim; ++i) {
        row[i] += along * std::sin(static_cast<float>((s + 1) * (i + 1)) * 0.37f);
      }
    }
    rows.insert(rows.end(), row.begin(), row.end());
  }
  return rows;
}

std::shared_ptr<const CodeAxes> learn(std::uint32_t dim, const std::vector<float>& rows) {
  return CodeAxes::learn(RowShape::make(Metric::l2, ScalarType::f32, dim),
                         graph_kernels_for("generic"), rows,
                         static_cast<std::uint32_t>(rows.size() / dim), [] { return false; });
}

TEST_CASE("learning code axes: rows that differ along few directions get one line") {
  const auto axes = learn(300, sample(300, 10, 500));
  CHECK(axes->lines() == 1);
  CHECK(axes->axis_count() == 52);
}

TEST_CASE("learning code axes: rows that differ everywhere keep their coordinates") {
  const auto axes = learn(400, sample(400, 400, 900));
  CHECK(axes->axis_count() == 400);
  CHECK(axes->lines() == 7);
}

TEST_CASE("learning code axes: short vectors need none") {
  const auto axes = learn(20, sample(20, 5, 100));
  CHECK(axes->axis_count() == 20);
  CHECK(axes->lines() == 1);
}

TEST_CASE("learning code axes: equal, enormous and single rows make valid axes") {
  for (const float value : {0.0f, 1.0f, 1e20f, 3e38f}) {
    CAPTURE(value);
    const auto axes = learn(100, std::vector<float>(100 * 64, value));
    REQUIRE(axes != nullptr);
    std::vector<float> scratch(axes->scratch_floats());
    std::vector<std::uint8_t> record(axes->record_bytes());
    axes->encode(std::vector<float>(100, 2.0f).data(), scratch.data(), record.data());
    CHECK(record[0] >= 1);
  }
  CHECK(learn(70, std::vector<float>(70, 4.0f)) != nullptr);
}

TEST_CASE("learning code axes: ends when it is told to") {
  const std::vector<float> rows = sample(200, 20, 300);
  CHECK(CodeAxes::learn(RowShape::make(Metric::l2, ScalarType::f32, 200),
                        graph_kernels_for("generic"), rows, 300, [] { return true; }) == nullptr);
}

}  // namespace
