// Is B slower than A? Two runs' percentiles with the interval of their ratio, and a verdict over
// all of them. Comes after two runs; pure functions, any thread. Always holds: if both runs come
// from the same distribution, the chance that any percentile is called different is at most 5 %,
// however many are looked at and however much neighbouring requests resemble each other.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/base/histogram.h"
#include "vecserve/status.h"

namespace vecserve::loadgen {

inline constexpr double kFalseAlarmMax = 0.05;

struct ComparableQuantile {
  double quantile = 0.0;
  double effective = 0.0;  // samples, from the series in time
};
struct Comparable {
  engine::Histogram histogram{};
  std::vector<ComparableQuantile> quantiles{};
};

// Of a series in time order: p50, p90, p99 and p99.9, as far as its samples support them.
[[nodiscard]] Comparable comparable(const std::vector<std::uint64_t>& in_time_order);
// Of a report that loadgen --json wrote. invalid_argument says what it lacks.
[[nodiscard]] Result<Comparable> read_comparable(const nlohmann::json& report);

struct Difference {
  double quantile = 0.0;
  double a_ns = 0.0;
  double b_ns = 0.0;
  double ratio = 1.0;  // b / a
  double low = 1.0;    // 95 % interval of the ratio, of this percentile alone
  double high = 1.0;
  double doubt = 1.0;        // the chance of so large a difference when there is none
  bool significant = false;  // with all percentiles together, by Holm's rule
};

// The percentiles that both have.
[[nodiscard]] std::vector<Difference> compare(const Comparable& a, const Comparable& b);

}  // namespace vecserve::loadgen
