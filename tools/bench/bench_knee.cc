// Does the knee search find the knee, and do comparisons tell what is different? Canonical run:
// bench_knee --simulate --json -, about 3 minutes. Simulated latencies whose truth is a formula:
// one server of 10,000 a second with Poisson arrivals and exponential service, target p99 = 5 ms;
// and log-normal latencies with a set resemblance of neighbours. A line each: name, figure, limit,
// holds.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "tools/bench/bench_report.h"
#include "tools/loadgen/knee_trial.h"
#include "tools/loadgen/simulate.h"

namespace {

using namespace vecserve::bench;
using namespace vecserve::loadgen;

struct Settings {
  CommonFlags common;
  bool simulate = false;
  std::uint64_t searches = 40;
  std::uint64_t passes = 1'000;
  std::uint64_t comparisons = 1'000;
  std::uint64_t shifts = 200;
  std::size_t samples_max = std::size_t{1} << 20;
};

void line(Report& report, const std::string& name, double figure, double limit, bool at_least,
          const std::string& note) {
  report.add({{"name", name},
              {"figure", figure},
              {"limit", limit},
              {"holds", at_least ? figure >= limit : figure <= limit},
              {"note", note}});
}

void bench_search(const Settings& settings, Report& report) {
  KneeTrialOptions options;
  options.samples_max = settings.samples_max;
  double error_worst = 0.0;
  std::uint32_t steps_worst = 0;
  std::uint64_t samples = 0;
  double truth = 0.0;
  for (std::uint64_t i = 0; i < settings.searches; ++i) {
    const KneeTrial trial = try_knee(options, settings.common.seed * 1'000 + i);
    error_worst = std::max(error_worst, std::abs(trial.found / trial.truth - 1.0));
    steps_worst = std::max(steps_worst, trial.steps);
    samples += trial.samples;
    truth = trial.truth;
    if (i % 8 == 7) progress("searches: " + std::to_string(i + 1));
  }
  const std::string note = "worst of " + std::to_string(settings.searches) +
                           " searches; true knee " + std::to_string(truth) + "/s; " +
                           std::to_string(samples / settings.searches) + " requests a search";
  line(report, "knee_error", error_worst, 0.02, false, note);
  line(report, "knee_steps", steps_worst, 12, false, note);
}

// A server that breaks its target by a hair: every pass is false.
void bench_false_passes(const Settings& settings, Report& report) {
  KneeTrialOptions options;
  options.samples_max = settings.samples_max;
  const double knee = SimulatedServer::knee(options.service_per_s, options.slo.quantile, 0.005);
  std::uint64_t passes = 0;
  std::uint64_t open = 0;
  for (std::uint64_t i = 0; i < settings.passes; ++i) {
    const KneeStep step = try_rate(options, knee * 1.001, settings.common.seed * 77'777 + i);
    passes += step.decision == Decision::pass ? 1u : 0u;
    open += step.decision == Decision::open ? 1u : 0u;
    if (i % 200 == 199) progress("runs 0.1 % above the knee: " + std::to_string(i + 1));
  }
  line(report, "false_pass_share",
       static_cast<double>(passes) / static_cast<double>(settings.passes), 0.01, false,
       std::to_string(settings.passes) +
           " runs at 1.001 of the knee; undecided, hence not passed: " + std::to_string(open));
}

double share_of(std::uint64_t trials, std::size_t samples, double resemblance, double shift,
                std::uint64_t seed) {
  std::uint64_t found = 0;
  for (std::uint64_t i = 0; i < trials; ++i) {
    found += try_compare(samples, resemblance, shift, seed * 1'000'003 + i) ? 1u : 0u;
  }
  return static_cast<double>(found) / static_cast<double>(trials);
}

void bench_compare(const Settings& settings, Report& report) {
  const std::string trials = std::to_string(settings.comparisons) + " pairs of 20,000 requests";
  for (const double resemblance : {0.0, 0.5, 0.8}) {
    progress("A/A, resemblance " + std::to_string(resemblance));
    line(report, "aa_alarm_share",
         share_of(settings.comparisons, 20'000, resemblance, 1.0, settings.common.seed), 0.05,
         false, trials + ", resemblance of neighbours " + std::to_string(resemblance));
  }
  for (const double resemblance : {0.0, 0.5}) {
    progress("5 % shift, resemblance " + std::to_string(resemblance));
    line(report, "shift_found_share",
         share_of(settings.shifts, 100'000, resemblance, 1.05, settings.common.seed), 0.9, true,
         std::to_string(settings.shifts) +
             " pairs of 100,000 requests, p99 of B 5 % slower, resemblance of neighbours " +
             std::to_string(resemblance));
  }
}

void body(int argc, char** argv) {
  Settings settings;
  CLI::App app("bench_knee: the statistics of loadgen on latencies whose truth is known");
  add_common_flags(app, settings.common);
  app.add_flag("--simulate", settings.simulate, "the only mode; for a real server: loadgen");
  app.add_option("--searches", settings.searches, "knees searched")->check(CLI::Range(1, 10'000));
  app.add_option("--passes", settings.passes, "runs above the knee")->check(CLI::Range(1, 100'000));
  parse_flags(app, argc, argv);
  if (settings.common.smoke) {
    settings.searches = 1;
    settings.passes = 10;
    settings.comparisons = 10;
    settings.shifts = 5;
    settings.samples_max = 1 << 16;
  }
  Report report("knee", settings.common);
  bench_search(settings, report);
  bench_false_passes(settings, report);
  bench_compare(settings, report);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_knee", body, argc, argv);
}
