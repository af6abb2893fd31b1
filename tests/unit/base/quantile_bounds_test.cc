// Checks engine/base/quantile_bounds: sample sizes and binomial quantiles against known figures,
// and the coverage of the intervals by drawing from a known distribution many times. Test thread
// only; seeds are fixed and shown.
#include "engine/base/quantile_bounds.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <random>

namespace {

using namespace vecserve::engine;

TEST_CASE("quantile bounds: the samples that a percentile needs", "[base][quantile]") {
  CHECK(samples_needed(0.5) == 5);
  CHECK(samples_needed(0.95) == 59);
  CHECK(samples_needed(0.99) == 299);
  CHECK(samples_needed(0.999) == 2'995);
  CHECK(samples_needed(0.9999) == 29'956);
  CHECK(samples_needed(0.01) == samples_needed(0.99));
  CHECK(samples_needed(0.0) == 1);
  CHECK(samples_needed(1.0) == 1);
  CHECK(samples_needed(0.99, 0.99) == 459);  // MLPerf's early stopping without any failure
  CHECK(samples_needed(0.999, 0.99) == 4'603);
}

TEST_CASE("quantile bounds: normal and binomial quantiles agree with reference values",
          "[base][quantile]") {
  CHECK(normal_quantile(0.5) == Approx(0.0).margin(1e-12));
  CHECK(normal_quantile(0.9) == Approx(1.2815515655446004).epsilon(1e-10));
  CHECK(normal_quantile(0.975) == Approx(1.959963984540054).epsilon(1e-10));
  CHECK(normal_quantile(0.025) == Approx(-1.959963984540054).epsilon(1e-10));
  CHECK(normal_quantile(0.999999) == Approx(4.753424308817087).epsilon(1e-8));
  struct Case {
    std::uint64_t n;
    double p;
    double level;
    std::uint64_t k;
  };
  // The quantile function of the binomial distribution as SciPy 1.17 gives it.
  const Case cases[] = {
      {10, 0.5, 0.025, 2},
      {10, 0.5, 0.975, 8},
      {3000, 0.001, 0.025, 0},
      {3000, 0.001, 0.975, 7},
      {100000, 0.01, 0.025, 939},
      {100000, 0.01, 0.975, 1062},
      {100000, 0.5, 0.025, 49690},
      {100000, 0.5, 0.975, 50310},
      {1000, 0.99, 0.025, 983},
      {1000, 0.3, 0.9, 319},
      {40000, 0.01, 0.975, 439},
      {40000, 0.01, 0.025, 361},
      {10000000, 0.001, 0.975, 10196},
      {20000, 0.95, 0.025, 18939},
  };
  for (const Case& c : cases) {
    CAPTURE(c.n, c.p, c.level);
    const std::uint64_t k = binomial_quantile(c.n, c.p, c.level);
    const bool exact = static_cast<double>(c.n) * std::min(c.p, 1 - c.p) <= 400;
    CHECK((k > c.k ? k - c.k : c.k - k) <= (exact ? 0u : 1u));
  }
  CHECK(binomial_quantile(0, 0.5, 0.5) == 0);
  CHECK(binomial_quantile(10, 0.0, 0.5) == 0);
  CHECK(binomial_quantile(10, 1.0, 0.5) == 10);
}

TEST_CASE("quantile bounds: ranks enclose the quantile and open where samples end",
          "[base][quantile]") {
  const RankBounds median = rank_bounds(0.5, 10);
  CHECK(median.lower == 2);  // the textbook interval of ten values for the median: 2nd to 9th
  CHECK(median.upper == 9);
  const RankBounds tail = rank_bounds(0.999, 3'000);
  CHECK(tail.upper == 3'001);  // open: 3,689 samples would close it on both sides
  CHECK(tail.lower == 2'993);
  CHECK(rank_bounds(0.999, 3'700).upper == 3'700);
  CHECK(rank_bounds(0.5, 0).lower == 0);
  CHECK(rank_bounds(0.5, 0).upper == 1);
}

TEST_CASE("quantile bounds: a percentile without the samples says how many are missing",
          "[base][quantile]") {
  Histogram histogram;
  for (std::uint64_t i = 0; i < 2'000; ++i) histogram.record(i);
  const QuantileEstimate refused = estimate_quantile(histogram, 0.999);
  CHECK(refused.missing == 995);
  CHECK(refused.value == 0);
  CHECK(estimate_quantile(histogram, 0.99).missing == 0);
  // Ten neighbours that say the same are one sample: 200 of the 299 are there.
  const QuantileEstimate alike = estimate_quantile(histogram, 0.99, 200.0);
  CHECK(alike.missing == 990);
  CHECK(estimate_quantile(Histogram(), 0.5).missing == 5);
  CHECK(estimate_quantile(Histogram(), 1.0).missing == 1);
}

TEST_CASE("quantile bounds: fewer effective samples give a wider interval", "[base][quantile]") {
  Histogram histogram;
  for (std::uint64_t i = 1; i <= 100'000; ++i) histogram.record(1'000'000'000 / i);
  const QuantileEstimate plain = estimate_quantile(histogram, 0.99);
  const QuantileEstimate alike = estimate_quantile(histogram, 0.99, 10'000.0);
  CHECK(plain.value == alike.value);
  CHECK(alike.lower < plain.lower);
  CHECK(alike.upper > plain.upper);
  CHECK(plain.lower < plain.value);
  CHECK(plain.upper > plain.value);
  CHECK_FALSE(plain.lower_open);
  CHECK_FALSE(plain.upper_open);
  const QuantileEstimate largest = estimate_quantile(histogram, 1.0);
  CHECK(largest.value == 1'000'000'000);
  CHECK(largest.upper == largest.value);
}

TEST_CASE("quantile bounds: intervals cover the truth as often as they say", "[base][quantile]") {
  const std::uint64_t seed = 99;
  CAPTURE(seed);
  constexpr int kRounds = VECSERVE_SANITIZED ? 300 : 2'000;
  std::mt19937_64 random(seed);
  // Exponential with a mean of 10^8, so that cells are the only rounding.
  for (const double quantile : {0.5, 0.95, 0.99}) {
    CAPTURE(quantile);
    const double truth = -std::log1p(-quantile) * 1e8;
    int covered = 0;
    Histogram histogram;
    for (int round = 0; round < kRounds; ++round) {
      histogram.clear();
      for (int i = 0; i < 1'000; ++i) {
        const double uniform = static_cast<double>(random() >> 11) * 0x1p-53;
        histogram.record(static_cast<std::uint64_t>(-std::log1p(-uniform) * 1e8));
      }
      const QuantileEstimate estimate = estimate_quantile(histogram, quantile);
      if (truth >= static_cast<double>(estimate.lower) &&
          truth <= static_cast<double>(estimate.upper)) {
        ++covered;
      }
    }
    const double share = static_cast<double>(covered) / kRounds;
    CHECK(share > (VECSERVE_SANITIZED ? 0.91 : 0.94));
    CHECK(share < 0.985);  // ranks are whole numbers and cells have ends: a little above 95 %
  }
}

}  // namespace
