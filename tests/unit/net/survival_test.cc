// The estimate of how long calls take, against the truth: unbiased although slow calls are cut off
// before they are answered, and quick to follow a change.
// Main thread; simulated time; every draw from a printed seed.
#include "net/survival.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <memory>
#include <random>

using namespace vecserve::net;

namespace {

TimePoint at_ms(double ms) {
  return TimePoint(Duration(static_cast<std::int64_t>(ms * 1e6)));
}
Duration micros(double us) {
  return Duration(static_cast<std::int64_t>(us * 1e3));
}

// A lognormal of this median and the share of it up to a duration.
struct Truth {
  double median_us = 300.0;
  double sigma = 0.6;
  double draw(std::mt19937_64& random) const {
    std::normal_distribution<double> normal;
    return median_us * std::exp(sigma * normal(random));
  }
  double rank_of(Duration latency) const {
    const double us = static_cast<double>(latency.count()) * 1e-3;
    return 0.5 * std::erfc(-std::log(us / median_us) / sigma / std::sqrt(2.0));
  }
};

// Feeds `seconds` of calls at 2,000 a second. Those longer than `delay_us` race a second copy and
// are given up when that one is first.
void feed(SurvivalEstimate& estimate, const Truth& truth, double from_ms, double seconds,
          double delay_us, std::mt19937_64& random) {
  const auto calls = static_cast<std::size_t>(seconds * 2000.0);
  for (std::size_t i = 0; i < calls; ++i) {
    if (i % 200 == 0) estimate.refresh(at_ms(from_ms + static_cast<double>(i) * 0.5));
    const double first = truth.draw(random), second = delay_us + truth.draw(random);
    if (first <= delay_us || first <= second) {
      estimate.answered(micros(first));
    } else {
      estimate.given_up(micros(second));
    }
  }
  estimate.refresh(at_ms(from_ms + seconds * 1e3));
}

}  // namespace

TEST_CASE("survival: says nothing before it has seen enough") {
  SurvivalEstimate estimate;
  for (int i = 0; i < 99; ++i) estimate.answered(micros(100.0));
  CHECK_FALSE(estimate.quantile(0.95).has_value());
  estimate.answered(micros(100.0));
  REQUIRE(estimate.quantile(0.95).has_value());
  CHECK(static_cast<double>(estimate.quantile(0.95)->count()) == Approx(100e3).epsilon(0.011));
}

TEST_CASE("survival: the delay's quantile is within 1 % in rank although losers are cut off") {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto estimate = std::make_unique<SurvivalEstimate>();
    const Truth truth;
    feed(*estimate, truth, 0.0, 20.0, 800.0, random);  // 800 µs: its p95
    const double rank95 = truth.rank_of(*estimate->quantile(0.95));
    CHECK(rank95 == Approx(0.95).margin(0.01));
    // Beyond the point where calls are given up, dropping them would be off by far more.
    const double rank99 = truth.rank_of(*estimate->quantile(0.99));
    CHECK(rank99 == Approx(0.99).margin(0.01));
    CHECK(truth.rank_of(*estimate->quantile(0.5)) == Approx(0.5).margin(0.02));
  }
}

TEST_CASE("survival: calls that are all given up have no quantile, rather than a low one") {
  SurvivalEstimate estimate;
  for (int i = 0; i < 200; ++i) estimate.given_up(micros(1000.0));
  CHECK_FALSE(estimate.quantile(0.5).has_value());
  for (int i = 0; i < 1000; ++i) estimate.answered(micros(500.0));
  CHECK(estimate.quantile(0.5).has_value());
  CHECK_FALSE(estimate.quantile(0.95).has_value());  // a sixth never answered
}

TEST_CASE("survival: a step in either direction is followed within a second") {
  for (const double factor : {2.0, 0.4}) {
    CAPTURE(factor);
    const std::uint64_t seed = 9;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    auto estimate = std::make_unique<SurvivalEstimate>();
    feed(*estimate, Truth{}, 0.0, 10.0, 1e9, random);
    const Truth after{300.0 * factor, 0.6};
    feed(*estimate, after, 10'000.0, 1.0, 1e9, random);
    CHECK(after.rank_of(*estimate->quantile(0.95)) == Approx(0.95).margin(0.02));
    CHECK(estimate->changes() >= 1);
  }
}

TEST_CASE("survival: steady calls show no change") {
  const std::uint64_t seed = 4;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  auto estimate = std::make_unique<SurvivalEstimate>();
  feed(*estimate, Truth{}, 0.0, 60.0, 800.0, random);
  CHECK(estimate->changes() <= 1);
}

TEST_CASE("survival: the shortest and the longest durations have a place") {
  SurvivalEstimate estimate;
  for (int i = 0; i < 100; ++i) estimate.answered(Duration(0));
  CHECK(estimate.quantile(0.5)->count() < 2'000);
  for (int i = 0; i < 1000; ++i) estimate.answered(std::chrono::hours(1));
  CHECK(*estimate.quantile(0.5) > std::chrono::seconds(90));
}
