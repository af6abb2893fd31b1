// What does a second copy of late calls do for the tail, and what does it cost? Canonical run:
// bench_hedge --json -. Three replicas on simulated time, each stalling for 20 ms about once a
// second, calls of 300 µs, one in a hundred ten times as long; the client chooses between two
// replicas with and without hedging. Columns: load, of what the replicas can do; p50_us to p999_us,
// each also unhedged; p999_ratio; extra_work, time served for nobody against time served for
// somebody; cancelled_queued_share of the losers. Runs of all seeds are put together. `replicas`
// says what they are: simulated ones, on the same decisions as HedgedClient.
#include <algorithm>
#include <vector>

#include "tools/bench/bench_report.h"
#include "tools/hedge/simulation.h"
#include "tools/plot/views.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;

struct Settings {
  CommonFlags common;
  std::vector<double> loads = {0.3, 0.6, 0.8, 0.95};
  std::uint32_t seeds = 8;
  std::uint64_t calls = 200'000;
};

struct Totals {
  std::vector<double> latencies_us;
  double useful_us = 0.0, wasted_us = 0.0;
  net::HedgePolicyStats stats;

  void add(const hedge::SimulationResult& result) {
    latencies_us.insert(latencies_us.end(), result.latencies_us.begin(), result.latencies_us.end());
    useful_us += result.useful_us;
    wasted_us += result.wasted_us;
    stats.calls += result.stats.calls;
    stats.hedges += result.stats.hedges;
    stats.cancelled_queued += result.stats.cancelled_queued;
    stats.cancelled_running += result.stats.cancelled_running;
    stats.wasted += result.stats.wasted;
  }
  double at(double p) const { return plot::percentile_of(latencies_us, p); }
};

Totals run_all(const Settings& settings, hedge::SimulationOptions options, bool hedging) {
  Totals totals;
  options.calls = settings.calls;
  options.policy.hedging = hedging;
  for (std::uint32_t i = 0; i < settings.seeds; ++i) {
    options.seed = settings.common.seed + i;
    totals.add(hedge::simulate(options));
  }
  std::sort(totals.latencies_us.begin(), totals.latencies_us.end());
  return totals;
}

void report_case(Report& report, const Settings& settings, const char* name,
                 const hedge::SimulationOptions& options) {
  const Totals plain = run_all(settings, options, false);
  const Totals hedged = run_all(settings, options, true);
  const net::HedgePolicyStats& stats = hedged.stats;
  const auto losers = static_cast<double>(
      std::max<std::uint64_t>(stats.cancelled_queued + stats.cancelled_running + stats.wasted, 1));
  report.add({{"case", name},
              {"load", options.load},
              {"p50_us", hedged.at(0.5)},
              {"p50_unhedged_us", plain.at(0.5)},
              {"p99_us", hedged.at(0.99)},
              {"p99_unhedged_us", plain.at(0.99)},
              {"p999_us", hedged.at(0.999)},
              {"p999_unhedged_us", plain.at(0.999)},
              {"p999_ratio", plain.at(0.999) / hedged.at(0.999)},
              {"extra_work", hedged.wasted_us / hedged.useful_us},
              {"hedge_share", static_cast<double>(stats.hedges) / static_cast<double>(stats.calls)},
              {"cancelled_queued_share", static_cast<double>(stats.cancelled_queued) / losers},
              {"cancelled_running_share", static_cast<double>(stats.cancelled_running) / losers},
              {"n", hedged.latencies_us.size()},
              {"replicas", "simulated"}});
}

void run(int argc, char** argv) {
  Settings settings;
  CLI::App app("Hedged against unhedged calls, on simulated replicas that stall");
  add_common_flags(app, settings.common);
  app.add_option("--loads", settings.loads, "shares of what the replicas can do")->delimiter(',');
  app.add_option("--seeds", settings.seeds, "runs per case")->check(CLI::Range(1, 1000));
  app.add_option("--calls", settings.calls, "calls per run")->check(CLI::Range(100, 10'000'000));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (settings.common.smoke) {
    settings.seeds = 1;
    settings.calls = 20'000;
  }
  Report report("hedge", settings.common);
  for (const double load : settings.loads) {
    progress("load " + std::to_string(load));
    hedge::SimulationOptions options;
    options.load = load;
    report_case(report, settings, "stalls", options);
  }
  hedge::SimulationOptions slow;
  slow.load = 0.3;
  slow.stall_every_s = 0.0;
  slow.all_slow_from = 0.2;
  slow.all_slow_until = 0.8;
  slow.all_slow_factor = 3.0;
  report_case(report, settings, "all slow", slow);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_hedge", run, argc, argv);
}
