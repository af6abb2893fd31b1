// Checks tools/report/correlation: intervals from effective samples cover the truth of
// correlated series, and the tests of fit accept what fits and reject what does not. Test thread
// only.
#include "tools/report/correlation.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "engine/base/quantile_bounds.h"
#include "tools/loadgen/random.h"
#include "tools/loadgen/simulate.h"

namespace {

using namespace vecserve;
using namespace vecserve::report;
using loadgen::Random;
using loadgen::SimulatedLatencies;

TEST_CASE("correlation: intervals cover the truth of correlated series in 95 of 100",
          "[report][loadgen]") {
  constexpr int kRounds = VECSERVE_SANITIZED ? 60 : 400;
  for (const double resemblance : {0.5, 0.9}) {
    for (const double quantile : {0.5, 0.99}) {
      int covered = 0;
      for (int round = 0; round < kRounds; ++round) {
        SimulatedLatencies source(3e5, 0.7, resemblance, 100 + static_cast<std::uint64_t>(round));
        std::vector<std::uint64_t> series(20'000);
        engine::Histogram histogram;
        for (std::uint64_t& value : series) {
          value = source.next();
          histogram.record(value);
        }
        const auto samples = effective_samples(series, histogram.value_at(quantile));
        const auto estimate = engine::estimate_quantile(histogram, quantile, samples.effective);
        const double truth = source.quantile(quantile);
        covered += truth >= static_cast<double>(estimate.lower) &&
                           truth <= static_cast<double>(estimate.upper)
                       ? 1
                       : 0;
      }
      CAPTURE(resemblance, quantile);
      const double share = static_cast<double>(covered) / kRounds;
      CHECK(share >= (VECSERVE_SANITIZED ? 0.85 : 0.93));
      CHECK(share <= (VECSERVE_SANITIZED ? 1.0 : 0.97));
    }
  }
}

TEST_CASE("correlation: independent samples keep nearly their number, alike ones lose it",
          "[report]") {
  Random random(3);
  std::vector<std::uint64_t> independent(40'000);
  for (std::uint64_t& value : independent) value = random.below(1'000);
  const auto apart = effective_samples(independent, 899);
  CHECK(apart.share_above == Approx(0.1).epsilon(0.1));
  CHECK_FALSE(apart.correlated);
  CHECK(apart.effective > 20'000.0);
  std::vector<std::uint64_t> alike(40'000);
  for (std::size_t i = 0; i < alike.size(); ++i) {
    alike[i] = i % 100 == 0 ? random.below(1'000) : alike[i - 1];
  }
  const auto together = effective_samples(alike, 899);
  CHECK(together.correlated);
  CHECK(together.effective == Approx(400.0).epsilon(0.5));
  CHECK(effective_samples({}, 1).effective == 0.0);
  const std::vector<std::uint64_t> same(1'000, 5);
  CHECK(effective_samples(same, 5).effective == 1'000.0);
}

TEST_CASE("correlation: largest values that are all alike and together count as few", "[report]") {
  std::vector<std::uint64_t> series(10'000, 1'000);
  for (std::size_t i = 4'000; i < 4'100; ++i) series[i] = 1'000'000;
  engine::Histogram histogram;
  for (const std::uint64_t value : series) histogram.record(value);
  const auto samples = effective_samples_at(series, histogram, 0.999);
  CHECK(samples.correlated);
  CHECK(samples.effective < 300.0);
}

TEST_CASE("correlation: tests of fit tell exponential gaps from others", "[report]") {
  Random random(4);
  std::vector<double> gaps(2'000);
  for (double& gap : gaps) gap = random.exponential();
  CHECK(anderson_darling_exponential(gaps) < kAndersonDarling1);
  std::vector<double> even(2'000);
  for (double& gap : even) gap = 0.5 + random.uniform();
  CHECK(anderson_darling_exponential(even) > 100 * kAndersonDarling1);
  std::vector<double> more(2'000);
  for (double& gap : more) gap = random.exponential();
  CHECK(kolmogorov_smirnov(gaps, more) < 1.63);  // exceeded by 1 %
  CHECK(kolmogorov_smirnov(gaps, even) > 5.0);
  CHECK(kolmogorov_smirnov({}, more) == 0.0);
}

}  // namespace
