// Checks engine/scan/rank_select against sorting: every rank of few values, some of many, with
// values that are spread, equal, infinite, tiny or far from all others. Single-threaded.
// Always holds: the seed is printed with a failure.
#include "engine/scan/rank_select.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <random>
#include <vector>

namespace {

using vecserve::engine::value_at_rank;

constexpr float kInf = std::numeric_limits<float>::infinity();

void check(const std::vector<float>& values) {
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const std::size_t step = std::max<std::size_t>(1, values.size() / 50);
  for (std::size_t rank = 0; rank < values.size(); rank += step) {
    std::vector<float> shuffled = values;
    CHECK(value_at_rank(shuffled, rank) == sorted[rank]);
    std::sort(shuffled.begin(), shuffled.end());
    CHECK(shuffled == sorted);  // none was lost
  }
  std::vector<float> shuffled = values;
  CHECK(value_at_rank(shuffled, values.size() - 1) == sorted.back());
}

TEST_CASE("rank select: the value that sorting finds, of few and of many", "[scan]") {
  const unsigned seed = 41;
  CAPTURE(seed);
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3.0f, 2.0f);
  for (const std::size_t count : {1U, 2U, 3U, 255U, 256U, 257U, 1000U, 5000U}) {
    CAPTURE(count);
    std::vector<float> values(count);
    for (float& value : values) value = normal(random);
    check(values);
    for (float& value : values) value = static_cast<float>(static_cast<int>(value));  // many ties
    check(values);
  }
}

TEST_CASE("rank select: values that are alike, far apart, tiny, or no numbers any more", "[scan]") {
  std::vector<float> values(600, 7.0f);
  check(values);
  values[100] = 1e30f;  // the others share a drawer
  check(values);
  values[101] = -3e38f;
  values[102] = 3e38f;  // further apart than a float can say
  check(values);
  values[103] = kInf;
  check(values);
  values[104] = -kInf;
  check(values);
  values.assign(600, kInf);
  check(values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i * 7 % 600) * 1e-45f;  // denormals
  }
  check(values);
}

}  // namespace
