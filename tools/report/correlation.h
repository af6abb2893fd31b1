// How many independent samples a series in time is worth, and whether two sets of samples fit.
// Comes after a run, before intervals and comparisons; pure functions, any thread. Always holds:
// neighbouring latencies resemble each other (they share a queue), and an interval that ignores it
// claims too much.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/histogram.h"

namespace vecserve::report {

// Of the event "a value is above the threshold", from the spread of its share between batches of
// neighbours: independent samples would make it p (1 - p) / batch.
struct EffectiveSamples {
  double share_above = 0.0;
  // For intervals: what is left after dividing by the inflation of the variance, and a little less
  // because that was itself estimated from so few batches. At most the number of samples.
  double effective = 0.0;
  double inflation = 1.0;   // of the variance, at least 1
  bool correlated = false;  // it is more than chance would give independent samples (5 %)
};
inline constexpr std::size_t kBatches = 32;

[[nodiscard]] EffectiveSamples effective_samples(std::span<const std::uint64_t> in_time_order,
                                                 std::uint64_t threshold);
// At a quantile: the event is a value in or above the cell of the histogram that holds it, so that
// there always are some, however alike the largest values are.
[[nodiscard]] EffectiveSamples effective_samples_at(std::span<const std::uint64_t> in_time_order,
                                                    const engine::Histogram& histogram,
                                                    double quantile);

// Anderson and Darling's distance of samples from the exponential distribution whose mean is
// theirs, with Stephens' correction for small n. 1.321 is exceeded by 5 % of exponential samples,
// 1.959 by 1 %.
inline constexpr double kAndersonDarling5 = 1.321;
inline constexpr double kAndersonDarling1 = 1.959;
[[nodiscard]] double anderson_darling_exponential(std::vector<double> samples);

// Kolmogorov and Smirnov's largest distance between the distributions of two sets of samples, times
// sqrt(n m / (n + m)). 1.358 is exceeded by 5 % of pairs from one distribution.
inline constexpr double kKolmogorovSmirnov5 = 1.358;
[[nodiscard]] double kolmogorov_smirnov(std::vector<double> left, std::vector<double> right);

}  // namespace vecserve::report
