// The interval of a ratio of percentiles, on rounds from a seed: it holds what is true as often as
// it says, and is wider where calls of a round resemble each other. What the rig's rounds give is
// the affair of rounds_test. Main thread.
#include "tools/hedge/resampled.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>

#include "tools/loadgen/random.h"
#include "tools/plot/views.h"

using namespace vecserve;
using namespace vecserve::hedge;

namespace {

// Rounds of exponential latencies with mean `mean`; in each, every call by `shift` times another
// exponential.
std::vector<RoundLatencies> rounds_of(loadgen::Random& random, std::size_t rounds,
                                      std::size_t calls, double mean, double shift) {
  std::vector<RoundLatencies> made(rounds);
  for (RoundLatencies& round : made) {
    const double moved = shift * random.exponential();
    for (std::size_t i = 0; i < calls; ++i) round.push_back(moved + mean * random.exponential());
    std::sort(round.begin(), round.end());
  }
  return made;
}

}  // namespace

TEST_CASE("resampled: the interval holds the true ratio about as often as it says") {
  const std::uint64_t seed = 5;
  CAPTURE(seed);
  loadgen::Random random(seed);
  int held = 0;
  const int trials = 200;
  for (int i = 0; i < trials; ++i) {
    const auto above = rounds_of(random, 16, 200, 3.0, 0.0);
    const auto below = rounds_of(random, 16, 200, 1.0, 0.0);
    const RatioInterval interval = resampled_ratio(above, below, 0.9);
    held += interval.low <= 3.0 && 3.0 <= interval.high ? 1 : 0;
  }
  // 95 % of 200, and what chance and sixteen rounds take off it.
  CHECK(held >= 178);
  CHECK(held <= 199);
}

TEST_CASE("resampled: rounds that differ make it wider than as many calls of their own do") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  loadgen::Random random(seed);
  const auto below = rounds_of(random, 12, 500, 1.0, 0.0);
  const RatioInterval alone = resampled_ratio(rounds_of(random, 12, 500, 3.0, 0.0), below, 0.9);
  const RatioInterval together = resampled_ratio(rounds_of(random, 12, 500, 3.0, 6.0), below, 0.9);
  CHECK(together.precision() > 2.0 * alone.precision());
}

TEST_CASE("resampled: equal rounds leave no doubt, and the percentile is that of all calls") {
  const std::uint64_t seed = 9;
  CAPTURE(seed);
  loadgen::Random random(seed);
  const RoundLatencies slow = rounds_of(random, 1, 101, 4.0, 0.0).front();
  const RoundLatencies fast = rounds_of(random, 1, 101, 1.0, 0.0).front();
  const std::vector<RoundLatencies> above(5, slow), below(5, fast);
  for (const double p : {0.0, 0.5, 0.9, 0.999, 1.0}) {
    CAPTURE(p);
    const double expected = plot::percentile_of(slow, p) / plot::percentile_of(fast, p);
    const RatioInterval interval = resampled_ratio(above, below, p);
    CHECK(interval.low == expected);
    CHECK(interval.high == expected);
    CHECK(interval.precision() == 0.0);
  }
}

TEST_CASE("resampled: both kinds take the same rounds in each draw") {
  // One round in two is a hundred times as slow, for both kinds alike: the ratio is ten in each.
  std::vector<RoundLatencies> above, below;
  for (int round = 0; round < 8; ++round) {
    const double scale = round % 2 == 0 ? 1.0 : 100.0;
    above.push_back(RoundLatencies(10, 10.0 * scale));
    below.push_back(RoundLatencies(10, scale));
  }
  const RatioInterval interval = resampled_ratio(above, below, 0.5);
  CHECK(interval.low == Approx(10.0));
  CHECK(interval.high == Approx(10.0));
}

TEST_CASE("resampled: of no round nothing is said, of one no more than its ratio") {
  CHECK(resampled_ratio({}, {}, 0.5).high == 0.0);
  CHECK(resampled_ratio({}, {}, 0.5).precision() == 0.0);
  const std::vector<RoundLatencies> above = {{2.0, 4.0}}, below = {{1.0, 1.0}};
  const RatioInterval interval = resampled_ratio(above, below, 1.0);
  CHECK(interval.low == 4.0);
  CHECK(interval.high == 4.0);
}
