// Batch means and goodness of fit. Comes after a run; any thread. Always holds: the number
// of batches is fixed, so batches grow with the series and outgrow any correlation that
// fades.
#include "tools/report/correlation.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace vecserve::report {
namespace {

// The 97.5 % points of Student's distribution with 31 degrees of freedom and of the normal one: an
// interval from an estimated variance has to be wider by their ratio, so effective samples are
// fewer by its square.
constexpr double kStudent = 2.0395;
constexpr double kNormal = 1.9600;
constexpr double kStudentShare = (kNormal / kStudent) * (kNormal / kStudent);

// Below it, 95 % of the ratios between an estimated and the true variance of independent samples:
// chi-square with 31 degrees of freedom, over 31.
constexpr double kChance5 = 44.985 / 31.0;

}  // namespace

EffectiveSamples effective_samples(std::span<const std::uint64_t> in_time_order,
                                   std::uint64_t threshold) {
  EffectiveSamples result;
  const std::size_t n = in_time_order.size();
  result.effective = static_cast<double>(n);
  const std::size_t batch = n / kBatches;
  if (batch < 2) return result;
  std::array<double, kBatches> shares = {};
  double sum = 0.0;
  for (std::size_t i = 0; i < kBatches; ++i) {
    const auto part = in_time_order.subspan(i * batch, batch);
    const auto above = std::count_if(
        part.begin(), part.end(), [threshold](std::uint64_t value) { return value > threshold; });
    shares[i] = static_cast<double>(above) / static_cast<double>(batch);
    sum += shares[i];
  }
  const double mean = sum / kBatches;
  result.share_above = mean;
  const double expected = mean * (1.0 - mean) / static_cast<double>(batch);
  if (!(expected > 0.0)) return result;
  double squares = 0.0;
  for (const double share : shares) squares += (share - mean) * (share - mean);
  const double inflation = squares / (kBatches - 1) / expected;
  result.correlated = inflation > kChance5;
  result.inflation = std::max(1.0, inflation);
  result.effective = static_cast<double>(n) / result.inflation * kStudentShare;
  return result;
}

EffectiveSamples effective_samples_at(std::span<const std::uint64_t> in_time_order,
                                      const engine::Histogram& histogram, double quantile) {
  const std::uint64_t low =
      engine::HistogramCells::low(engine::HistogramCells::cell_of(histogram.value_at(quantile)));
  return effective_samples(in_time_order, low == 0 ? 0 : low - 1);
}

double anderson_darling_exponential(std::vector<double> samples) {
  const std::size_t n = samples.size();
  if (n < 2) return 0.0;
  std::sort(samples.begin(), samples.end());
  double mean = 0.0;
  for (const double sample : samples) mean += sample;
  mean /= static_cast<double>(n);
  if (!(mean > 0.0)) return HUGE_VAL;
  // -n - 1/n sum (2i - 1) (ln F(x_i) + ln(1 - F(x_{n+1-i}))), where ln(1 - F(x)) = -x / mean. A
  // sample of zero would give an infinite logarithm: times have a resolution, so it is that.
  constexpr double kSmallest = 1e-9;
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const double low = std::max(samples[i] / mean, kSmallest);
    const double high = samples[n - 1 - i] / mean;
    sum += static_cast<double>(2 * i + 1) * (std::log(-std::expm1(-low)) - high);
  }
  const auto count = static_cast<double>(n);
  return (-count - sum / count) * (1.0 + 0.6 / count);
}

double kolmogorov_smirnov(std::vector<double> left, std::vector<double> right) {
  if (left.empty() || right.empty()) return 0.0;
  std::sort(left.begin(), left.end());
  std::sort(right.begin(), right.end());
  const auto n = static_cast<double>(left.size());
  const auto m = static_cast<double>(right.size());
  double largest = 0.0;
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < left.size() && j < right.size()) {
    const double at = std::min(left[i], right[j]);
    while (i < left.size() && left[i] == at) ++i;
    while (j < right.size() && right[j] == at) ++j;
    largest = std::max(largest, std::abs(static_cast<double>(i) / n - static_cast<double>(j) / m));
  }
  return largest * std::sqrt(n * m / (n + m));
}

}  // namespace vecserve::report
