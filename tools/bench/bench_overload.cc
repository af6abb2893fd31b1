// What does a server do when ten times as much is asked of it as it can do? Canonical run:
// bench_overload --json -, about 80 s a target: the real server as a process of its own, the load
// generator in this one, each on half of the cores; then batchd's services within this process,
// whose capacity is what their batches cost. First its capacity, by a closed loop that keeps its
// batches full; then one open-loop plan: 5 s at half of it, --seconds at --factor times of it, 5 s
// at half again; then the capacity once more, because a shared host changes. A line per target:
// capacity_qps, capacity_after_qps, offered, goodput_share (of capacity_qps),
// accepted_p99_us (from the intended start), accepted_limit_us (target + 2 slow batches),
// reject_p99_us (inside the server, by its own word; null in this process), rss_growth_mib,
// recovery_ms. What accepted
// requests waited for before and after the server's own account: accepted_unsent (the sender),
// accepted_held (the client behind it), accepted_way (sockets, unread requests). A generator that
// is short of processor shows in the first two, and in noise_p99_us.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/batchd/batch_service.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/daemon_load.h"
#include "tools/bench/service_process.h"
#include "tools/loadgen/client_target.h"
#include "tools/loadgen/run_load.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using namespace vecserve::loadgen;
using engine::Histogram;

struct Settings {
  CommonFlags common;
  double seconds = 60.0;
  double factor = 10.0;
  double calm_s = 5.0;  // before and after
  double target_ms = 30.0;
  double timeout_ms = 1'000.0;
  std::uint64_t rows = 100'000;
  std::uint32_t dim = 256;
  std::uint32_t users = 512;  // of the closed loop: two full batches
  std::vector<std::string> targets = {"vecserve", "batchd-bounded", "batchd-unbounded"};

  bool runs(const char* target) const {
    return std::find(targets.begin(), targets.end(), target) != targets.end();
  }
};

constexpr std::uint64_t kNs = 1'000'000'000;
constexpr std::uint64_t kWindowNs = 20'000'000;  // of recovery
constexpr std::uint64_t kRecoveryLookNs = 2 * kNs;
constexpr std::size_t kCalmWindows = 5;

// Calm, overload, calm, as one plan.
LoadPlan three_phases(const Settings& settings, double capacity) {
  LoadPlan plan;
  plan.schedule.arrivals = Arrivals::trace;
  plan.schedule.rate = 0.0;
  plan.schedule.seed = settings.common.seed;
  double start_s = 0.0;
  const auto add = [&](double rate, double seconds, std::uint64_t stream) {
    ScheduleSpec spec;
    spec.rate = rate;
    spec.duration_s = seconds;
    spec.seed = settings.common.seed + stream;
    const auto times = plan_arrivals(spec);
    require(times.ok(), times.status().to_string());
    for (const std::uint64_t at : *times) {
      plan.schedule.trace_ns.push_back(at + static_cast<std::uint64_t>(start_s * 1e9));
    }
    start_s += seconds;
  };
  add(capacity / 2, settings.calm_s, 1);
  add(capacity * settings.factor, settings.seconds, 2);
  add(capacity / 2, settings.calm_s, 3);
  plan.schedule.duration_s = start_s;
  plan.sender.drain_ns = static_cast<std::uint64_t>((settings.timeout_ms + 1'000.0) * 1e6);
  return plan;
}

struct Phase {
  Histogram accepted;  // response times
  Histogram unsent;    // of these: from the intended start until the generator had sent
  Histogram inside;    // in the server, by its own word: frame read to reply queued
  Histogram held;      // in this process's client, until it was given to a socket
  Histogram way;       // what is left: sockets, and a server that is behind with reading
  Histogram rejected;  // inside the server
  Histogram batches;   // the engine's time for a batch
  std::uint64_t offered = 0;
  std::uint64_t good = 0;
  std::uint64_t refused = 0;
};

// Answers that took longer than good_ns are no good to anybody.
Phase phase_of(const LoadRun& run, std::uint64_t from_ns, std::uint64_t to_ns,
               std::uint64_t good_ns) {
  Phase phase;
  for (const Record& record : run.records->all()) {
    if (record.intended_ns < from_ns || record.intended_ns >= to_ns) continue;
    ++phase.offered;
    if (record.outcome == Outcome::refused) {
      ++phase.refused;
      if (record.stages.told_ns > 0) phase.rejected.record(record.stages.told_ns);
    }
    if (record.outcome != Outcome::ok) continue;
    const std::uint64_t response = record.done_ns - record.intended_ns;
    if (response <= good_ns) ++phase.good;
    phase.accepted.record(response);
    const std::uint64_t service = record.done_ns - record.sent_ns;
    const std::uint64_t inside = record.stages.told_ns;
    phase.unsent.record(record.sent_ns - record.intended_ns);
    phase.inside.record(inside);
    phase.held.record(record.stages.held_ns);
    const std::uint64_t told = inside + record.stages.held_ns;
    phase.way.record(service > told ? service - told : 0);
    phase.batches.record(std::uint64_t{record.stages.scan_ns} + record.stages.rescore_ns +
                         record.stages.fetch_ns);
  }
  return phase;
}

// From the step down to the first moment from which 100 ms are calm: windows in which at most a
// tenth of the requests failed or took longer than twice the calm p99.
double recovery_ms(const LoadRun& run, std::uint64_t step_ns, std::uint64_t calm_p99_ns) {
  std::vector<std::uint32_t> all(kRecoveryLookNs / kWindowNs, 0);
  std::vector<std::uint32_t> slow(all.size(), 0);
  for (const Record& record : run.records->all()) {
    if (record.intended_ns < step_ns || record.intended_ns >= step_ns + kRecoveryLookNs) continue;
    const std::size_t window = (record.intended_ns - step_ns) / kWindowNs;
    ++all[window];
    const bool good =
        record.outcome == Outcome::ok && record.done_ns - record.intended_ns <= 2 * calm_p99_ns;
    slow[window] += good ? 0u : 1u;
  }
  std::size_t calm = 0;
  for (std::size_t window = 0; window < all.size(); ++window) {
    calm = slow[window] * 10 > all[window] ? 0 : calm + 1;
    if (calm == kCalmWindows) {
      return static_cast<double>((window + 1 - kCalmWindows) * kWindowNs) / 1e6;
    }
  }
  return static_cast<double>(kRecoveryLookNs) / 1e6;  // or more
}

double us_at(const Histogram& histogram, double quantile) {
  return static_cast<double>(histogram.value_at(quantile)) / 1e3;
}

// Runs the three phases and reports them. `resident_mib` tells the memory of the server; empty when
// it shares this process with the load, whose records would be counted as its own.
void measure(const Settings& settings, const std::string& name, double capacity,
             double limit_base_us, double good_us, Target& target,
             const std::function<double()>& resident_mib,
             const std::function<double()>& capacity_after, Report& report) {
  progress(name + ": capacity " + std::to_string(capacity) + " a second");
  const double before_mib = resident_mib ? resident_mib() : 0.0;
  double most_mib = before_mib;
  const LoadRun run = run_or_fail(three_phases(settings, capacity), target, [&](const LiveState&) {
    if (resident_mib) most_mib = std::max(most_mib, resident_mib());
  });
  const auto calm_ns = static_cast<std::uint64_t>(settings.calm_s * 1e9);
  const auto step_ns = static_cast<std::uint64_t>((settings.calm_s + settings.seconds) * 1e9);
  const auto good_ns = static_cast<std::uint64_t>(good_us * 1e3);
  const Phase calm = phase_of(run, calm_ns / 5, calm_ns, good_ns);
  const Phase over = phase_of(run, calm_ns, step_ns, good_ns);
  const double goodput = static_cast<double>(over.good) / settings.seconds;
  nlohmann::ordered_json growth;
  if (resident_mib) growth = most_mib - before_mib;
  nlohmann::ordered_json rejected_p99;
  if (over.rejected.total() != 0) rejected_p99 = us_at(over.rejected, 0.99);
  report.add({{"target", name},
              {"capacity_qps", capacity},
              {"capacity_after_qps", capacity_after()},
              {"offered", static_cast<double>(over.offered) / settings.seconds},
              {"goodput_share", goodput / capacity},
              {"accepted_p99_us", us_at(over.accepted, 0.99)},
              {"accepted_limit_us", limit_base_us + 2 * us_at(over.batches, 0.99)},
              {"accepted_unsent_p99_us", us_at(over.unsent, 0.99)},
              {"accepted_inside_p99_us", us_at(over.inside, 0.99)},
              {"accepted_held_p99_us", us_at(over.held, 0.99)},
              {"accepted_way_p99_us", us_at(over.way, 0.99)},
              {"reject_p99_us", rejected_p99},
              {"rss_growth_mib", growth},
              {"recovery_ms", recovery_ms(run, step_ns, calm.accepted.value_at(0.99))},
              {"calm_p99_us", us_at(calm.accepted, 0.99)},
              {"accepted", over.good},
              {"rejected", over.refused},
              {"adherence", run.report.summary.adherence},
              {"sender_lag_p99_us", us_at(run.report.summary.lag, 0.99)},
              {"blocked_p99_us", us_at(run.report.summary.blocked, 0.99)},
              {"noise_p99_us", us_at(run.report.summary.noise, 0.99)}});
}

// The batch service with and without bounds, in this process: answers within its deadline count.
void bench_batchd(const Settings& settings, batchd::Policy policy, Report& report) {
  batchd::BatchServiceOptions options;
  options.policy = policy;
  batchd::BatchService service(options);
  const double deadline_us = static_cast<double>(
      std::chrono::duration_cast<std::chrono::microseconds>(options.deadline).count());
  measure(
      settings, "batchd-" + std::string(batchd::to_string(policy)), options.capacity(), deadline_us,
      deadline_us, service, {}, [&] { return options.capacity(); }, report);
}

void bench_vecserve(const Settings& settings, const BenchFolder& folder, Report& report) {
  const std::string program = program_beside("vecserve");
  if (program.empty()) {
    progress("there is no program vecserve beside this one; build it first");
    std::exit(77);
  }
  const CoreHalves cores = halve_cores();
  ClientTargetOptions client;
  client.address = "unix:" + folder.at("socket");
  client.rows = settings.rows;
  client.dim = settings.dim;
  client.timeout = std::chrono::microseconds(static_cast<std::int64_t>(settings.timeout_ms * 1e3));
  ServiceProcess service(
      program,
      {"--data", folder.at("data"), "--listen", client.address, "--http", "none", "--log-level",
       "warn", "--threads", std::to_string(cores.server.size()), "--requests-max", "65536",
       "--target-ms", std::to_string(settings.target_ms)},
      cores.server, folder.at("errors"));
  use_cores(cores.load);
  const auto target = reach(client, service);
  const Status prepared = target->prepare([&](std::uint64_t rows) {
    if (rows % 50'000 == 0) progress("vecserve: " + std::to_string(rows) + " rows");
  });
  require(prepared.ok(), prepared.to_string());
  measure(
      settings, "vecserve", capacity_of(*target, settings.users, settings.common.smoke),
      settings.target_ms * 1e3, settings.timeout_ms * 1e3, *target,
      [&] { return service.resident_mib(); },
      [&] { return capacity_of(*target, settings.users, settings.common.smoke); }, report);
  require(service.running(), "the server ended; see " + service.error_file());
}

void body(int argc, char** argv) {
  Settings settings;
  CLI::App app("bench_overload: ten times what the server can do");
  add_common_flags(app, settings.common);
  app.add_option("--seconds", settings.seconds, "of overload")->capture_default_str();
  app.add_option("--factor", settings.factor, "times the capacity")->capture_default_str();
  app.add_option("--target-ms", settings.target_ms, "longest wait that the server admits")
      ->capture_default_str();
  app.add_option("--rows", settings.rows, "in the collection")->capture_default_str();
  app.add_option("--dim", settings.dim, "coordinates of a vector")->capture_default_str();
  app.add_option("--targets", settings.targets, "vecserve, batchd-bounded, batchd-unbounded")
      ->delimiter(',')
      ->check(CLI::IsMember({"vecserve", "batchd-bounded", "batchd-unbounded"}));
  parse_flags(app, argc, argv);
  if (settings.common.smoke) {
    settings.seconds = 1.0;
    settings.calm_s = 0.5;
    settings.factor = 3.0;
    settings.rows = 2'000;
  }
  Report report("overload", settings.common);
  const BenchFolder folder(settings.common);
  if (settings.runs("vecserve")) bench_vecserve(settings, folder, report);
  for (const batchd::Policy policy : {batchd::Policy::bounded, batchd::Policy::unbounded}) {
    const std::string name = "batchd-" + std::string(batchd::to_string(policy));
    if (settings.runs(name.c_str())) bench_batchd(settings, policy, report);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_overload", body, argc, argv);
}
