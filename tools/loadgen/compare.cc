// Ratios of percentiles and their intervals. Comes after two runs; any thread. Always
// holds: widths come from order statistics of as many independent samples as the series was
// worth.
#include "tools/loadgen/compare.h"

#include <algorithm>
#include <cmath>

#include "engine/base/quantile_bounds.h"
#include "tools/report/correlation.h"
#include "tools/report/histogram_blob.h"

namespace vecserve::loadgen {
namespace {

using engine::Histogram;

constexpr double kCompared[] = {0.5, 0.9, 0.99, 0.999};
constexpr double kNormal = 1.959963984540054;

struct Estimate {
  double value = 0.0;
  double log_error = 0.0;  // standard error of its logarithm
};

// From how far the order statistics around it lie apart. An end that no sample gives is taken to be
// as far as the other one.
Estimate estimate(const Histogram& histogram, const ComparableQuantile& quantile) {
  const auto total = static_cast<double>(histogram.total());
  const auto effective = static_cast<std::uint64_t>(quantile.effective);
  const engine::RankBounds bounds = engine::rank_bounds(quantile.quantile, effective);
  const double scale = total / quantile.effective;
  Estimate result;
  result.value = std::max(1.0, histogram.value_within(quantile.quantile * total));
  double width = 0.0;
  int ends = 0;
  if (bounds.lower > 0) {
    const double low = histogram.value_within(static_cast<double>(bounds.lower) * scale);
    width += std::log(result.value / std::max(1.0, low));
    ++ends;
  }
  if (bounds.upper <= effective) {
    const double high = histogram.value_within(static_cast<double>(bounds.upper) * scale);
    width += std::log(std::max(1.0, high) / result.value);
    ++ends;
  }
  // A width of nothing comes of clocks or cells that are coarser than the spread.
  constexpr double kErrorMin = 1.0 / 128 / 3.5;  // that of a value spread evenly over its cell
  result.log_error = ends == 0 ? HUGE_VAL : std::max(kErrorMin, width / ends / kNormal);
  return result;
}

// Holm: the smallest doubt is held against all of them, the next against one less, and so on until
// one does not stand.
void mark_significant(std::vector<Difference>& differences) {
  std::vector<Difference*> by_doubt;
  for (Difference& difference : differences) by_doubt.push_back(&difference);
  std::sort(by_doubt.begin(), by_doubt.end(),
            [](const Difference* a, const Difference* b) { return a->doubt < b->doubt; });
  for (std::size_t i = 0; i < by_doubt.size(); ++i) {
    if (by_doubt[i]->doubt > kFalseAlarmMax / static_cast<double>(by_doubt.size() - i)) return;
    by_doubt[i]->significant = true;
  }
}

}  // namespace

Comparable comparable(const std::vector<std::uint64_t>& in_time_order) {
  Comparable result;
  for (const std::uint64_t value : in_time_order) result.histogram.record(value);
  for (const double quantile : kCompared) {
    const auto samples = report::effective_samples_at(in_time_order, result.histogram, quantile);
    const double support =
        samples.correlated ? samples.effective : static_cast<double>(in_time_order.size());
    if (support < static_cast<double>(engine::samples_needed(quantile))) break;
    result.quantiles.push_back({quantile, samples.effective});
  }
  return result;
}

Result<Comparable> read_comparable(const nlohmann::json& report) {
  const auto wrong = [](const char* what) {
    return Status::invalid_argument("compare", std::string("no report of loadgen --json: ") + what);
  };
  if (!report.is_object() || !report.contains("histogram") || !report.contains("response") ||
      !report["histogram"].is_string() || !report["response"].is_object()) {
    return wrong("it has no histogram of response times");
  }
  Result<Histogram> histogram = report::decode_histogram(report["histogram"].get<std::string>());
  if (!histogram.ok()) return histogram.status();
  Comparable result;
  result.histogram = std::move(histogram).value();
  for (const auto& [name, value] : report["response"].items()) {
    if (!value.is_object() || !value.contains("effective_samples")) continue;
    if (!value["effective_samples"].is_number() || !value["quantile"].is_number()) {
      return wrong("effective_samples and quantile are to be numbers");
    }
    const ComparableQuantile read{value["quantile"].get<double>(),
                                  value["effective_samples"].get<double>()};
    const bool compared = std::any_of(std::begin(kCompared), std::end(kCompared),
                                      [&](double quantile) { return quantile == read.quantile; });
    const bool sane =
        read.effective >= 1.0 && read.effective <= static_cast<double>(result.histogram.total());
    if (compared && sane) result.quantiles.push_back(read);
  }
  if (result.quantiles.empty()) return wrong("no percentile in it has samples enough");
  return result;
}

std::vector<Difference> compare(const Comparable& a, const Comparable& b) {
  std::vector<Difference> differences;
  for (const ComparableQuantile& left : a.quantiles) {
    const auto right = std::find_if(
        b.quantiles.begin(), b.quantiles.end(),
        [&](const ComparableQuantile& other) { return other.quantile == left.quantile; });
    if (right == b.quantiles.end()) continue;
    const Estimate in_a = estimate(a.histogram, left);
    const Estimate in_b = estimate(b.histogram, *right);
    Difference difference;
    difference.quantile = left.quantile;
    difference.a_ns = in_a.value;
    difference.b_ns = in_b.value;
    difference.ratio = in_b.value / in_a.value;
    const double error = std::hypot(in_a.log_error, in_b.log_error);
    difference.low = difference.ratio * std::exp(-kNormal * error);
    difference.high = difference.ratio * std::exp(kNormal * error);
    difference.doubt = std::erfc(std::abs(std::log(difference.ratio)) / error / std::sqrt(2.0));
    differences.push_back(difference);
  }
  mark_significant(differences);
  return differences;
}

}  // namespace vecserve::loadgen
