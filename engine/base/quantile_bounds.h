// How sure a quantile is: which order statistics enclose it with a given confidence, and how many
// samples it takes before anything may be said at all. Comes after a Histogram, before every report
// that prints a percentile; pure functions, any thread. Always holds: an estimate with missing > 0
// carries no value that may be shown.
#pragma once

#include <cstdint>

#include "engine/base/histogram.h"

namespace vecserve::engine {

inline constexpr double kConfidence = 0.95;

// The number of independent samples below which the largest (for quantiles under one half: the
// smallest) of them may, with a probability above 1 - confidence, lie on the wrong side of the
// quantile: ln(1 - confidence) / ln(quantile), rounded up. 59 for p95, 299 for p99, 2,995 for
// p99.9, 29,956 for p99.99. The minimum and the maximum (0 and 1) need one sample: they are facts
// about the samples.
[[nodiscard]] std::uint64_t samples_needed(double quantile, double confidence = kConfidence);

// Ranks (from 1) of two order statistics of n independent samples that enclose the quantile with at
// least the confidence asked for, half of the doubt on each side. An end that no sample can give is
// open: lower is 0, or upper is n + 1.
struct RankBounds {
  std::uint64_t lower = 0;
  std::uint64_t upper = 0;
};
[[nodiscard]] RankBounds rank_bounds(double quantile, std::uint64_t samples,
                                     double confidence = kConfidence);

struct QuantileEstimate {
  double quantile = 0.0;
  double confidence = kConfidence;
  std::uint64_t value = 0;
  std::uint64_t lower = 0;  // the minimum when lower_open
  std::uint64_t upper = 0;  // the maximum when upper_open
  bool lower_open = false;  // no sample bounds it: it may be anything below
  bool upper_open = false;  // likewise above
  std::uint64_t samples = 0;
  double effective_samples = 0.0;  // independent samples that would say as much
  std::uint64_t missing = 0;       // samples of this kind still to take; above 0: do not print
};

// `effective_samples` is at most total(): fewer when neighbouring samples resemble each other;
// 0 stands for total(), that is, for independent samples. With `all_support` the samples that a
// percentile needs are counted in real ones: for effective samples that are fewer only because
// they were estimated.
[[nodiscard]] QuantileEstimate estimate_quantile(const Histogram& histogram, double quantile,
                                                 double effective_samples = 0.0,
                                                 double confidence = kConfidence,
                                                 bool all_support = false);

// The smallest k with P(B <= k) >= level, for B binomial of n trials of probability p. Exact while
// n * min(p, 1 - p) <= 400; beyond, by the normal approximation with its correction for skew, which
// is then within one of the exact value.
[[nodiscard]] std::uint64_t binomial_quantile(std::uint64_t n, double p, double level);

// The x below which a standard normal variable falls with probability p, 0 < p < 1; to 1e-9.
[[nodiscard]] double normal_quantile(double p);

}  // namespace vecserve::engine
