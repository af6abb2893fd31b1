// The cost model: its quantiles against sorted samples, what it predicts for sizes never seen, how
// it forgets, and which batch size it settles on. Comes before dispatch_test.
// Test thread only. Always holds: seeds are printed with every failure.
#include "net/cost_model.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/support/dice.h"

namespace vecserve::net {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// Where time is not what a test is about.
constexpr TimePoint kAtOnce{};

double ratio(Duration a, Duration b) {
  return static_cast<double>(a.count()) / static_cast<double>(b.count());
}

TEST_CASE("cost model: median and slow time are within a cell of the sorted samples") {
  const std::uint64_t seed = GENERATE(1ULL, 2ULL, 3ULL, 4ULL);
  INFO("seed " << seed);
  test::Dice dice(seed);
  FadingQuantiles quantiles;
  std::vector<double> samples;
  for (int i = 0; i < 100; ++i) {  // few enough that fading hardly matters
    const double ns = 2e4 * std::exp2(static_cast<double>(dice.below(1'000)) / 200.0);
    samples.push_back(ns);
    quantiles.record(Duration(static_cast<Duration::rep>(ns)), 1, kAtOnce);
  }
  std::sort(samples.begin(), samples.end());
  const auto median = static_cast<double>(quantiles.median().count());
  CHECK(median >= samples[35]);
  CHECK(median <= samples[65] * 1.13);
  const auto slow = static_cast<double>(quantiles.slow().count());
  CHECK(slow >= samples[97]);
  CHECK(slow <= samples[99] * 1.13);
}

TEST_CASE("cost model: a value is read back from above, within an eighth") {
  for (std::int64_t ns = 1; ns < (std::int64_t{1} << 44); ns = ns * 9 / 7 + 1) {
    FadingQuantiles quantiles;
    quantiles.record(Duration(ns), 1, kAtOnce);
    const Duration clipped(std::min<std::int64_t>(ns, (std::int64_t{1} << 42) - 1));
    CHECK(quantiles.median() >= clipped);
    if (ns >= 256) CHECK(ratio(quantiles.median(), clipped) <= 1.1251);
    CHECK(quantiles.slow() == quantiles.median());
  }
  FadingQuantiles quantiles;
  quantiles.record(Duration(-5), 1, kAtOnce);
  CHECK(quantiles.median() == Duration(288));
}

TEST_CASE("cost model: a device that becomes faster is believed after a while") {
  FadingQuantiles quantiles;
  for (int i = 0; i < 2'000; ++i) quantiles.record(microseconds(900), 1, kAtOnce);
  for (int i = 0; i < 100; ++i) quantiles.record(microseconds(100), 1, kAtOnce);
  CHECK(quantiles.median() > microseconds(800));
  for (int i = 0; i < 100; ++i) quantiles.record(microseconds(100), 1, kAtOnce);
  CHECK(quantiles.median() < microseconds(120));
  CHECK(quantiles.slow() > microseconds(800));
  for (int i = 0; i < 800; ++i) quantiles.record(microseconds(100), 1, kAtOnce);
  CHECK(quantiles.slow() < microseconds(120));
  for (int i = 0; i < 100'000; ++i)
    quantiles.record(microseconds(50), 1, kAtOnce);  // scales down many times
  CHECK(quantiles.slow() < microseconds(57));
  CHECK(quantiles.records() == 103'000);
}

TEST_CASE("cost model: before anything is measured the guess stands for every size") {
  const CostModel cost(microseconds(500), 64);
  CHECK_FALSE(cost.measured());
  CHECK(cost.median(1) == microseconds(500));
  CHECK(cost.slow(64) == microseconds(500));
  CHECK(cost.slow_batch() == microseconds(500));
}

TEST_CASE("cost model: a size never seen is predicted from its neighbours") {
  CostModel cost(microseconds(500), 1'024);
  cost.record(4, microseconds(100), kAtOnce);
  CHECK(ratio(cost.slow(8), 2 * cost.slow(4)) == Approx(1.0));
  CHECK(ratio(cost.slow(1'024), 256 * cost.slow(4)) == Approx(1.0));
  CHECK(cost.slow(1) == cost.slow(4));  // no dearer than a larger one
  cost.record(16, microseconds(120), kAtOnce);
  CHECK(cost.slow(8) == cost.slow(16));
  CHECK(cost.slow(3) == cost.slow(4));  // sizes between two powers count as the larger
}

// What a device takes for `weight`, and the limit that a model settles on when batches are full.
std::uint32_t settled_limit(double fixed_us, double each_us, std::uint32_t batch_max) {
  CostModel cost(microseconds(500), batch_max);
  for (int i = 0; i < 2'000; ++i) {
    const std::uint32_t weight = cost.next_limit(1'000'000);
    const double us = fixed_us + each_us * weight;
    cost.record(weight, Duration(static_cast<Duration::rep>(us * 1e3)), kAtOnce);
  }
  return cost.batch_limit();
}

TEST_CASE("cost model: batches grow while that pays and no further") {
  CHECK(settled_limit(300.0, 5.0, 64) == 64);    // bounded by batch_max
  CHECK(settled_limit(300.0, 5.0, 100) == 100);  // which need not be a power of two
  CHECK(settled_limit(300.0, 0.0, 4'096) == 4'096);
  const std::uint32_t limit = settled_limit(300.0, 5.0, 65'536);
  CHECK(limit >= 256);  // 300 + 5b: from 512 on, doubling gains less than 10 %
  CHECK(limit <= 1'024);
  CHECK(settled_limit(10.0, 100.0, 4'096) == 16);  // nothing to gain
  CHECK(settled_limit(300.0, 5.0, 1) == 1);
}

TEST_CASE("cost model: a larger batch is tried only when enough waits for it") {
  CostModel cost(microseconds(500), 256);
  CHECK(cost.batch_limit() == 16);
  CHECK(cost.next_limit(16) == 16);
  CHECK(cost.next_limit(32) == 16);  // that one is to be known first
  for (int i = 0; i < 4; ++i) cost.record(16, microseconds(100), kAtOnce);
  CHECK(cost.next_limit(16) == 16);
  CHECK(cost.next_limit(17) == 32);  // a little more than the limit tells enough
  for (int i = 0; i < 4; ++i) cost.record(20, microseconds(122), kAtOnce);
  CHECK(cost.batch_limit() == 16);  // 0.164 per us is not much more than 0.160
  CHECK(cost.next_limit(1'000) == 16);
  TimePoint now = kAtOnce + milliseconds(900);
  cost.record(16, microseconds(100), now);
  CHECK(cost.next_limit(1'000) == 16);
  now += milliseconds(200);
  cost.record(16, microseconds(100), now);
  CHECK(cost.next_limit(1'000) == 32);  // it was not looked at for a second
}

TEST_CASE("cost model: what was measured long ago gives way to the first news") {
  FadingQuantiles quantiles;
  for (int i = 0; i < 1'000; ++i) quantiles.record(milliseconds(40), 1, kAtOnce);
  quantiles.record(milliseconds(5), 1, kAtOnce + FadingQuantiles::kHalfTime);
  CHECK(quantiles.median() > milliseconds(39));  // half of much is much
  quantiles.record(milliseconds(5), 1, kAtOnce + 20 * FadingQuantiles::kHalfTime);
  CHECK(quantiles.slow() < milliseconds(6));
  CHECK(quantiles.mean_ns() == Approx(5e6).epsilon(0.01));
  // However long ago, and back in time: clocks of several threads are read before the lock.
  quantiles.record(milliseconds(1), 1, kAtOnce + std::chrono::hours(24 * 365));
  CHECK(quantiles.slow() < microseconds(1'200));
  quantiles.record(milliseconds(1), 1, kAtOnce);
  CHECK(quantiles.slow() < microseconds(1'200));
  CHECK(quantiles.records() == 1'004);
}

TEST_CASE("cost model: a size that was slow once costs no more than two of the next smaller one") {
  CostModel cost(microseconds(500), 256);
  for (int i = 0; i < 200; ++i) cost.record(16, milliseconds(46), kAtOnce);
  cost.record(4, milliseconds(5), kAtOnce);
  CHECK(cost.slow(16) <= 4 * cost.slow(4));
  CHECK(cost.slow(8) <= 2 * cost.slow(4));
  // Not if the smaller one is what nobody has seen for long.
  for (int i = 0; i < 200; ++i) cost.record(16, milliseconds(46), kAtOnce + milliseconds(600));
  CHECK(cost.slow(16) >= milliseconds(46));
}

TEST_CASE("cost model: a careful prediction is the slow time, but near the mean") {
  CostModel steady(microseconds(500), 256);
  for (int i = 0; i < 200; ++i) steady.record(16, microseconds(1'000 + i % 2), kAtOnce);
  CHECK(steady.careful(16) == steady.slow(16));
  CostModel hiccups(microseconds(500), 256);
  for (int i = 0; i < 200; ++i) {
    hiccups.record(16, i % 50 == 25 ? milliseconds(50) : milliseconds(1), kAtOnce);
  }
  CHECK(hiccups.slow(16) >= milliseconds(50));
  CHECK(hiccups.careful(16) < milliseconds(4));
  CHECK(hiccups.careful(16) > milliseconds(1));
}

TEST_CASE("cost model: the mean is finer than the cells and deaf to hiccups") {
  FadingQuantiles quantiles;
  CHECK(quantiles.mean_ns() == 0.0);
  for (int i = 0; i < 200; ++i) quantiles.record(microseconds(100 + i % 2), 1, kAtOnce);
  CHECK(quantiles.mean_ns() == Approx(100'500.0).epsilon(0.001));
  quantiles.record(std::chrono::seconds(1), 1, kAtOnce);
  CHECK(quantiles.mean_ns() < 101'000.0);
  for (int i = 0; i < 5'000; ++i) quantiles.record(microseconds(10), 1, kAtOnce);
  CHECK(quantiles.mean_ns() == Approx(10'000.0).epsilon(0.001));
}

}  // namespace
}  // namespace vecserve::net
