// Resident memory of the real server, a process of its own, while many times too much is asked of
// it over many connections. Used by bench_serve; main thread, with the load generator's threads
// beside it. Always holds: growth counts from before the first search, and from the largest
// reading.
#include <array>

#include "tools/bench/daemon_load.h"
#include "tools/bench/serve_cases.h"

namespace vecserve::bench {

namespace {

using loadgen::LoadPlan;
using loadgen::LoadRun;

constexpr std::uint64_t kRows = 100'000;
constexpr std::uint32_t kDim = 256;

double closed_loop(const ServeSettings& settings, loadgen::Target& target) {
  LoadPlan plan;
  plan.closed_users = 2 * settings.crowd;
  plan.schedule.duration_s = settings.common.smoke ? 0.5 : 3.0;
  plan.warm_up_s = plan.schedule.duration_s / 3;
  const double capacity = run_or_fail(plan, target, {}).report.summary.goodput;
  require(capacity > 0.0, "the server answered nothing in a closed loop");
  return capacity;
}

}  // namespace

void measure_memory(const ServeSettings& settings) {
  const std::string program = program_beside("vecserve");
  require(!program.empty(), "there is no program vecserve beside this one; build it first");
  const BenchFolder folder(settings.common);
  const CoreHalves cores = halve_cores();
  loadgen::ClientTargetOptions client;
  client.address = "unix:" + folder.at("socket");
  client.connections = settings.crowd;
  client.rows = settings.common.smoke ? 5'000 : kRows;
  client.dim = kDim;
  ServiceProcess service(program,
                         {"--data", folder.at("data"), "--listen", client.address, "--http", "none",
                          "--log-level", "warn", "--threads", "1"},
                         cores.server, folder.at("errors"));
  use_cores(cores.load);
  const auto target = reach(client, service);
  const Status prepared = target->prepare([](std::uint64_t) {});
  require(prepared.ok(), prepared.to_string());
  const double before = service.resident_mib();
  const double capacity = closed_loop(settings, *target);
  progress("memory: capacity " + std::to_string(capacity) + " a second");
  double most = service.resident_mib();
  LoadPlan plan;
  plan.schedule.rate = capacity * settings.factor;
  plan.schedule.duration_s = settings.overload_s;
  plan.schedule.seed = settings.common.seed;
  const LoadRun over = run_or_fail(plan, *target, [&](const loadgen::LiveState&) {
    most = std::max(most, service.resident_mib());
  });
  require(service.running(), "the server ended; see " + service.error_file());
  std::array<std::uint64_t, loadgen::kOutcomes> ended{};
  std::uint64_t unheard = 0;  // expired, and the server had not said a word
  for (const loadgen::Record& record : over.records->all()) {
    ++ended[static_cast<std::size_t>(record.outcome)];
    unheard += record.outcome == loadgen::Outcome::expired && record.stages.told_ns == 0 ? 1u : 0u;
  }
  const auto count = [&](loadgen::Outcome outcome) {
    return ended[static_cast<std::size_t>(outcome)];
  };
  Report report("serve", settings.common);
  report.add(
      {{"case", "memory"},
       {"connections", settings.crowd},
       {"seconds", settings.overload_s},
       {"capacity_qps", capacity},
       {"offered_qps", static_cast<double>(over.records->all().size()) / settings.overload_s},
       {"answered", count(loadgen::Outcome::ok)},
       {"refused", count(loadgen::Outcome::refused)},
       {"expired", count(loadgen::Outcome::expired)},
       {"expired_unheard", unheard},
       {"failed", count(loadgen::Outcome::failed)},
       {"unanswered", count(loadgen::Outcome::unanswered)},
       {"blocked_p99_us", static_cast<double>(over.report.summary.blocked.value_at(0.99)) * 1e-3},
       {"rss_before_mib", before},
       {"rss_most_mib", most},
       {"rss_growth_mib", most - before}});
}

}  // namespace vecserve::bench
