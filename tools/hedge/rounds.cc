// Runs the rig in turns and adds up. After rig; before bench. Main thread.
// Always holds: latencies stay in order as runs are added; every round begins with the kind that
// ended the one before.
#include "tools/hedge/rounds.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "tools/plot/views.h"

namespace vecserve::hedge {
namespace {

double share_of(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(std::max<std::uint64_t>(whole, 1));
}

}  // namespace

void RoundsSum::add(const RigRun& run) {
  std::vector<double> latencies = run.latencies_us();
  std::sort(latencies.begin(), latencies.end());
  const auto before = static_cast<std::ptrdiff_t>(latencies_us.size());
  latencies_us.insert(latencies_us.end(), latencies.begin(), latencies.end());
  std::inplace_merge(latencies_us.begin(), latencies_us.begin() + before, latencies_us.end());
  rounds_us.push_back(std::move(latencies));
  useful_us += run.useful_us();
  wasted_us += run.wasted_us();
  stats.calls += run.stats.calls;
  stats.hedges += run.stats.hedges;
  stats.wins += run.stats.wins;
  stats.retries += run.stats.retries;
  stats.cancelled_queued += run.stats.cancelled_queued;
  stats.cancelled_running += run.stats.cancelled_running;
  stats.wasted += run.stats.wasted;
  stats.no_budget += run.stats.no_budget;
  stats.loaded += run.stats.loaded;
  stats.learning += run.stats.learning;
  losers += run.losers();
  sender_lag_p99_us = std::max(
      sender_lag_p99_us, static_cast<double>(run.run.report.summary.lag.value_at(0.99)) * 1e-3);
}

double RoundsSum::at(double p) const {
  return latencies_us.empty() ? 0.0 : plot::percentile_of(latencies_us, p);
}

double RoundsSum::extra_work() const {
  return wasted_us / std::max(1.0, useful_us);
}

double RoundsSum::cancelled_queued_share() const {
  return share_of(stats.cancelled_queued, losers);
}

double RoundsSum::cancelled_running_share() const {
  return share_of(stats.cancelled_running, losers);
}

std::vector<double> Rounds::median_ratios() const {
  std::vector<double> ratios;
  const auto median = [](const RoundLatencies& round) {
    return round.empty() ? 0.0 : plot::percentile_of(round, 0.5);
  };
  for (std::size_t i = 0; i < plain.rounds_us.size(); ++i) {
    ratios.push_back(median(hedged.rounds_us[i]) / std::max(1e-9, median(plain.rounds_us[i])));
  }
  return ratios;
}

RatioInterval Rounds::p999_interval() const {
  return resampled_ratio(plain.rounds_us, hedged.rounds_us, 0.999);
}

Result<Rounds> run_rounds(RigOptions options, const RoundsRule& rule) {
  Rounds sum;
  Result<double> turn_us = probe_turn_us(options);
  if (!turn_us.ok()) return turn_us.status();
  options.turn_us = sum.turn_us = *turn_us;
  std::uint32_t round = 0;
  do {
    for (const bool second : {false, true}) {
      options.hedging = second == (round % 2 == 0);
      Result<RigRun> run = run_rig(options);
      if (!run.ok()) return run.status();
      (options.hedging ? sum.hedged : sum.plain).add(*run);
      sum.replicas = run->replicas;
      sum.load += run->load / 2.0;
      sum.service_us += run->service_us / 2.0;
    }
    ++options.seed;
    ++round;
  } while (round < rule.least ||
           (round < rule.most && sum.p999_interval().precision() > rule.precision));
  sum.load /= round;
  sum.service_us /= round;
  return sum;
}

}  // namespace vecserve::hedge
