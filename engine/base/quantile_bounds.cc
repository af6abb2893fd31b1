// Order statistics of a quantile. The number of n independent samples below the q-quantile is
// binomial(n, q), whatever the distribution of the samples; everything here follows from that.
// Comes between histograms and reports; any thread. Always holds: sums run over the rarer outcome,
// so that 1 - q of a far tail loses no digits.
#include "engine/base/quantile_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vecserve::engine {
namespace {

// exp(-400) is far above the smallest double, so the sum may start at no events at all; and a
// Poisson mean of 400 is where the normal approximation with skew is within one count.
constexpr double kExactMeanMax = 400.0;

// Newton steps from any start here settle within 6; more would only repeat the last digit.
constexpr int kNewtonSteps = 60;

constexpr double kSqrtHalf = 0.70710678118654752440;
constexpr double kSqrtTwoPi = 2.50662827463100050242;

// By adding up probabilities from 0 events on. p <= 1/2 and n * p <= kExactMeanMax.
std::uint64_t binomial_quantile_exact(std::uint64_t n, double p, double level) {
  const double odds = p / (1.0 - p);
  double term = std::exp(static_cast<double>(n) * std::log1p(-p));
  double sum = term;
  std::uint64_t k = 0;
  while (sum < level && k < n) {
    const double next = static_cast<double>(n - k) / static_cast<double>(k + 1) * odds;
    term *= next;
    ++k;
    sum += term;
    // Past the mode and below the last digit of the sum nothing changes any more.
    if (next < 1.0 && term < sum * std::numeric_limits<double>::epsilon() * 1e-3) break;
  }
  return k;
}

std::uint64_t binomial_quantile_normal(std::uint64_t n, double p, double level) {
  const double mean = static_cast<double>(n) * p;
  const double deviation = std::sqrt(mean * (1.0 - p));
  const double z = normal_quantile(level);
  const double skew = (1.0 - 2.0 * p) * (z * z - 1.0) / 6.0;
  const double k = std::ceil(mean + deviation * z + skew - 0.5);
  return static_cast<std::uint64_t>(std::clamp(k, 0.0, static_cast<double>(n)));
}

}  // namespace

double normal_quantile(double p) {
  if (p < 0.5) return -normal_quantile(1.0 - p);
  const double doubt = 1.0 - p;
  // Newton on the logarithm of the upper tail, which is concave: after the first step it comes down
  // on the root from above.
  double x = 0.0;
  for (int step = 0; step < kNewtonSteps; ++step) {
    const double tail = 0.5 * std::erfc(x * kSqrtHalf);
    const double density = std::exp(-0.5 * x * x) / kSqrtTwoPi;
    const double change = (std::log(tail) - std::log(doubt)) * tail / density;
    x += change;
    if (std::abs(change) < 1e-13) break;
  }
  return x;
}

std::uint64_t binomial_quantile(std::uint64_t n, double p, double level) {
  if (n == 0 || p <= 0.0) return 0;
  if (p >= 1.0) return n;
  if (p > 0.5) {
    // B <= k is the same as n - B >= n - k: the smallest such k from the largest such n - k.
    const std::uint64_t rare = binomial_quantile(n, 1.0 - p, 1.0 - level);
    return n - rare;
  }
  if (static_cast<double>(n) * p > kExactMeanMax) return binomial_quantile_normal(n, p, level);
  return binomial_quantile_exact(n, p, level);
}

std::uint64_t samples_needed(double quantile, double confidence) {
  if (quantile <= 0.0 || quantile >= 1.0) return 1;
  const double common = std::max(quantile, 1.0 - quantile);
  const double needed = std::log1p(-confidence) / std::log(common);
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(needed - 1e-9)));
}

RankBounds rank_bounds(double quantile, std::uint64_t samples, double confidence) {
  const double doubt = (1.0 - confidence) / 2.0;
  if (samples == 0 || quantile <= 0.0) return {0, 1};
  if (quantile >= 1.0) return {samples, samples + 1};
  if (quantile > 0.5) {
    // Counted from the top, where the events are rare.
    const std::uint64_t few = binomial_quantile(samples, 1.0 - quantile, doubt);
    const std::uint64_t many = binomial_quantile(samples, 1.0 - quantile, 1.0 - doubt);
    return {samples - many, samples - few + 1};
  }
  const std::uint64_t few = binomial_quantile(samples, quantile, doubt);
  const std::uint64_t many = binomial_quantile(samples, quantile, 1.0 - doubt);
  return {few, many + 1};
}

QuantileEstimate estimate_quantile(const Histogram& histogram, double quantile,
                                   double effective_samples, double confidence, bool all_support) {
  QuantileEstimate estimate;
  estimate.quantile = quantile;
  estimate.confidence = confidence;
  estimate.samples = histogram.total();
  const auto total = static_cast<double>(histogram.total());
  const bool independent = effective_samples <= 0.0 || effective_samples > total;
  estimate.effective_samples = independent ? total : effective_samples;
  const std::uint64_t needed = samples_needed(quantile, confidence);
  const auto effective = static_cast<std::uint64_t>(estimate.effective_samples);
  if ((all_support ? histogram.total() : effective) < needed) {
    const double scale = effective == 0 ? 1.0 : total / estimate.effective_samples;
    estimate.missing = static_cast<std::uint64_t>(
        std::ceil(static_cast<double>(needed) * scale - (effective == 0 ? 0.0 : total)));
    estimate.missing = std::max<std::uint64_t>(1, estimate.missing);
    return estimate;
  }
  estimate.value = histogram.value_at(quantile);
  if (quantile <= 0.0 || quantile >= 1.0) {
    estimate.lower = estimate.upper = estimate.value;
    return estimate;
  }
  const RankBounds bounds = rank_bounds(quantile, effective, confidence);
  const double scale = total / static_cast<double>(effective);
  estimate.lower_open = bounds.lower == 0;
  estimate.upper_open = bounds.upper > effective;
  const auto at = [&](std::uint64_t rank) {
    return static_cast<std::uint64_t>(
        std::llround(histogram.value_within(static_cast<double>(rank) * scale)));
  };
  // Within their cells: its ends would make an interval of many samples wider than it is. The value
  // itself is the end of its cell and may lie just outside.
  estimate.lower = estimate.lower_open ? histogram.min() : at(bounds.lower);
  estimate.upper = estimate.upper_open ? histogram.max() : at(bounds.upper);
  estimate.lower = std::min(estimate.lower, estimate.value);
  estimate.upper = std::max(estimate.upper, estimate.value);
  return estimate;
}

}  // namespace vecserve::engine
