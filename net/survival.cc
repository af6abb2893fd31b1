// Kaplan-Meier over cells of equal ratio: the share that survives a cell is the product, over the
// cells up to it, of 1 - answered / (all that reached the cell). Comes before hedge_policy; not
// locked here.
// Always holds: within a cell, what was answered counts before what was given up, so that an
// estimate errs, if at all, towards shorter and a hedge towards earlier, which the budget bounds.
#include "net/survival.h"

#include <algorithm>
#include <cmath>

namespace vecserve::net {
namespace {

constexpr double kRatioLog = 0.00995033085316809;  // ln 1.01
// Recent samples contradict the old when the share above a quantile is so many standard deviations
// off. At ten looks a second, chance does that once in hours.
constexpr double kChangeDeviations = 5.0;
constexpr double kChangeSamplesMin = 60.0;
constexpr std::array<double, 2> kWatched = {0.5, 0.95};

double half_life_factor(Duration passed, Duration half) {
  return std::exp2(-static_cast<double>(passed.count()) / static_cast<double>(half.count()));
}

}  // namespace

std::size_t SurvivalEstimate::cell_of(Duration latency) {
  const double us = std::max(1.0, static_cast<double>(latency.count()) * 1e-3);
  return std::min(kCells - 1, static_cast<std::size_t>(std::log(us) / kRatioLog));
}

void SurvivalEstimate::add(Duration latency, bool given_up) {
  const std::size_t cell = cell_of(latency);
  for (Cells* const cells : {&long_, &recent_}) {
    (given_up ? cells->given_up : cells->answered)[cell] += 1.0f;
    cells->total += 1.0;
  }
}

void SurvivalEstimate::fade(Cells& cells, double factor) {
  const auto by = static_cast<float>(factor);
  for (float& count : cells.answered) count *= by;
  for (float& count : cells.given_up) count *= by;
  cells.total *= factor;
}

void SurvivalEstimate::refresh(TimePoint now) {
  if (refreshed_ && now > *refreshed_) {
    if (look_for_change()) settled_ = now + 6 * kRecentHalf;
    fade(long_, half_life_factor(now - *refreshed_, kFadeHalf));
    fade(recent_, half_life_factor(now - *refreshed_, kRecentHalf));
    // After six half-lives a sixty-fourth of what was before the change is left in the recent ones.
    if (settled_ && now <= *settled_) long_ = recent_;
  }
  refreshed_ = now;
}

std::optional<std::size_t> SurvivalEstimate::quantile_cell(const Cells& cells, double quantile) {
  double at_risk = cells.total, survival = 1.0;
  for (std::size_t cell = 0; cell < kCells && at_risk > 1e-6; ++cell) {
    const double answered = static_cast<double>(cells.answered[cell]);
    survival *= 1.0 - std::min(1.0, answered / at_risk);
    if (answered > 0.0 && survival <= 1.0 - quantile + 1e-9) return cell;
    at_risk -= answered + static_cast<double>(cells.given_up[cell]);
  }
  return std::nullopt;
}

double SurvivalEstimate::survival_past(const Cells& cells, std::size_t last) {
  double at_risk = cells.total, survival = 1.0;
  for (std::size_t cell = 0; cell <= last && at_risk > 1e-6; ++cell) {
    const double answered = static_cast<double>(cells.answered[cell]);
    survival *= 1.0 - std::min(1.0, answered / at_risk);
    at_risk -= answered + static_cast<double>(cells.given_up[cell]);
  }
  return survival;
}

bool SurvivalEstimate::look_for_change() {
  if (recent_.total < kChangeSamplesMin || long_.total < 2.0 * recent_.total) return false;
  for (const double quantile : kWatched) {
    const std::optional<std::size_t> cell = quantile_cell(long_, quantile);
    if (!cell) continue;
    // What lies beyond that cell now, against what lay beyond it: the cell itself is not split.
    const double expected = survival_past(long_, *cell);
    const double seen = survival_past(recent_, *cell);
    // Faded samples say as much as half of their weight in fresh ones.
    const double deviation =
        std::sqrt(std::max(expected * (1.0 - expected), 0.01) * 2.0 / recent_.total);
    if (std::abs(seen - expected) < kChangeDeviations * deviation) continue;
    ++changes_;
    return true;
  }
  return false;
}

std::optional<Duration> SurvivalEstimate::quantile(double quantile) const {
  if (long_.total < kSamplesMin) return std::nullopt;
  const std::optional<std::size_t> cell = quantile_cell(long_, quantile);
  if (!cell) return std::nullopt;
  const double us = std::exp((static_cast<double>(*cell) + 0.5) * kRatioLog);
  return Duration(static_cast<std::int64_t>(us * 1e3));
}

}  // namespace vecserve::net
