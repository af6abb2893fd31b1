// Early stopping and the search for the knee. Comes above runs; one thread. Always holds: the
// enclosed interval only shrinks, except that a pass above a former fail (noise) moves the fail
// up.
#include "tools/loadgen/knee.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "engine/base/histogram.h"
#include "engine/base/quantile_bounds.h"
#include "tools/report/correlation.h"

namespace vecserve::loadgen {
namespace {

// Clusters of slow requests are seen at this share of all, where there are enough of them.
constexpr double kClusterQuantile = 0.9;

// A measured percentile this far below its limit is worth a bigger step outward.
constexpr double kFarBelow = 0.25;
constexpr double kStepFar = 4.0;
constexpr double kStepNear = 2.0;

// The next rate keeps this share of the enclosed interval (in logarithms) away from its ends, so
// that every step shrinks it.
constexpr double kMargin = 0.2;

// Above it the server is past saturation, where the share says nothing about the slope.
constexpr double kSaturated = 0.5;

// How far beyond a rate that decided nothing the next one lies.
constexpr double kBeyond = 0.02;

// Shares within this factor of the allowed one lie on the straight part.
constexpr double kNearFactor = 8.0;

double log_share(const KneeStep& step) {
  const double floor = 0.5 / static_cast<double>(std::max<std::uint64_t>(1, step.samples));
  return std::log(std::max(step.share_over, floor));
}

// Near enough to the knee for the line, and with broken limits to count.
bool is_near(const KneeStep& step, double allowed) {
  return step.share_over > allowed / kNearFactor && step.share_over < allowed * kNearFactor;
}

// The rate at which the line through two steps reaches the share; the middle when they give none.
double crossing(const KneeStep& low, const KneeStep& high, double share) {
  const double middle = std::sqrt(low.rate * high.rate);
  const double below = log_share(low);
  const double above = log_share(high);
  if (high.share_over >= kSaturated || !(above > below)) return middle;
  const double part = (std::log(share) - below) / (above - below);
  return std::clamp(low.rate + part * (high.rate - low.rate), low.rate, high.rate);
}

}  // namespace

Result<Slo> parse_slo(std::string_view text) {
  const Status wrong = Status::invalid_argument("slo", "must be like p99=5ms (us, ms or s)");
  const std::size_t equal = text.find('=');
  if (!text.starts_with('p') || equal == text.npos) return wrong;
  double percent = 0.0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + equal, percent);
  if (error != std::errc() || end != text.data() + equal || !(percent > 0.0 && percent < 100.0)) {
    return wrong;
  }
  double value = 0.0;
  const char* const stop = text.data() + text.size();
  const auto [unit, failed] = std::from_chars(text.data() + equal + 1, stop, value);
  if (failed != std::errc() || !(value > 0.0)) return wrong;
  const std::string_view name(unit, static_cast<std::size_t>(stop - unit));
  const double scale = name == "us" ? 1e3 : name == "ms" ? 1e6 : name == "s" ? 1e9 : 0.0;
  if (scale == 0.0 || value * scale >= static_cast<double>(engine::HistogramCells::value_max)) {
    return wrong;
  }
  return Slo{percent / 100.0, static_cast<std::uint64_t>(value * scale)};
}

std::size_t look_at(std::size_t samples_max, int look) {
  return samples_max >> std::clamp(kLooks - 1 - look, 0, kLooks - 1);
}

std::uint64_t samples_to_decide(const Slo& slo) {
  // What effective_samples leaves of independent samples, as there.
  constexpr double kLeft = 0.9235;
  const double fewest = std::log(kDoubt / kLooks) / std::log(slo.quantile) / kLeft;
  return std::max(kSamplesMin, static_cast<std::uint64_t>(std::ceil(fewest)));
}

Decision decide(std::span<const std::uint64_t> latencies, const Slo& slo) {
  if (latencies.size() < kSamplesMin) return Decision::open;
  engine::Histogram histogram;
  std::uint64_t over = 0;
  for (const std::uint64_t latency : latencies) {
    histogram.record(latency);
    over += latency > slo.limit_ns ? 1u : 0u;
  }
  const auto total = static_cast<double>(latencies.size());
  const double share = static_cast<double>(over) / total;
  const double effective = std::min(
      report::effective_samples(latencies, slo.limit_ns).effective,
      report::effective_samples(latencies, histogram.value_at(kClusterQuantile)).effective);
  const auto samples = static_cast<std::uint64_t>(effective);
  const double allowed = 1.0 - slo.quantile;
  const double doubt = kDoubt / kLooks;
  const double counted = share * static_cast<double>(samples);
  const std::uint64_t few = engine::binomial_quantile(samples, allowed, doubt);
  if (std::ceil(counted) < static_cast<double>(few)) return Decision::pass;
  const std::uint64_t many = engine::binomial_quantile(samples, allowed, 1.0 - doubt);
  if (std::floor(counted) > static_cast<double>(many)) return Decision::fail;
  return Decision::open;
}

void KneeSearch::add(const KneeStep& step) {
  steps_.push_back(step);
  if (step.decision == Decision::pass) {
    if (step.rate > pass_.rate) pass_ = step;
    if (fail_.rate > 0.0 && fail_.rate <= step.rate) fail_ = {};
  } else if (fail_.rate == 0.0 || step.rate < fail_.rate) {
    fail_ = step;
    if (pass_.rate >= step.rate) pass_ = {};
  }
  choose_next();
}

void KneeSearch::choose_next() {
  done_ = steps_.size() >= options_.steps_max;
  if (fail_.rate == 0.0) {
    const bool far = static_cast<double>(pass_.quantile_ns) <
                     kFarBelow * static_cast<double>(options_.slo.limit_ns);
    done_ = done_ || pass_.rate >= options_.rate_max;
    next_ = std::min(options_.rate_max, pass_.rate * (far ? kStepFar : kStepNear));
  } else if (pass_.rate == 0.0) {
    next_ = fail_.rate / kStepFar;
    done_ = done_ || next_ < 1.0;
  } else {
    const double ratio = fail_.rate / pass_.rate;
    if (ratio <= 1.0 + options_.precision) {
      // Enclosed by a rate that decided nothing: the line still wants a point above the knee.
      const double beyond = highest_below();
      done_ = done_ || beyond == 0.0;
      next_ = beyond * (1.0 + kBeyond);
      return;
    }
    const double guess = crossing(pass_, fail_, 1.0 - options_.slo.quantile);
    next_ = std::clamp(guess, pass_.rate * std::pow(ratio, kMargin),
                       pass_.rate * std::pow(ratio, 1.0 - kMargin));
  }
}

double KneeSearch::highest_below() const {
  const double allowed = 1.0 - options_.slo.quantile;
  double highest = fail_.rate;
  for (const KneeStep& step : steps_) {
    if (is_near(step, allowed) && step.share_over > allowed) return 0.0;
    if (step.decision == Decision::open) highest = std::max(highest, step.rate);
  }
  return highest;
}

double KneeSearch::knee() const {
  if (!enclosed()) return pass_.rate;
  const double allowed = 1.0 - options_.slo.quantile;
  // Least squares of log(share) over the rate. The variance of log(share) falls with the number of
  // broken limits seen, so that is the weight.
  double weights = 0.0;
  double rates = 0.0;
  double shares = 0.0;
  for (const KneeStep& step : steps_) {
    if (!is_near(step, allowed)) continue;
    const double weight = step.share_over * static_cast<double>(step.samples);
    weights += weight;
    rates += weight * step.rate;
    shares += weight * log_share(step);
  }
  double above = 0.0;
  double below = 0.0;
  for (const KneeStep& step : steps_) {
    if (!is_near(step, allowed)) continue;
    const double weight = step.share_over * static_cast<double>(step.samples);
    const double apart = step.rate - rates / weights;
    above += weight * apart * (log_share(step) - shares / weights);
    below += weight * apart * apart;
  }
  if (!(above > 0.0 && below > 0.0)) return crossing(pass_, fail_, allowed);
  const double fitted = rates / weights + (std::log(allowed) - shares / weights) * below / above;
  // A rate that decided nothing does not pass, but bounds nothing either.
  double failed = HUGE_VAL;
  for (const KneeStep& step : steps_) {
    if (step.decision == Decision::fail) failed = std::min(failed, step.rate);
  }
  return std::clamp(fitted, pass_.rate, std::max(pass_.rate, failed));
}

}  // namespace vecserve::loadgen
