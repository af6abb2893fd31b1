// Resident memory of the real server, a process of its own, while many times too much is asked of
// it over many connections. Used by bench_serve; main thread, with the load generator's threads
// beside it. Always holds: growth counts from before the first search, and from the largest
// reading.
#include <cstdlib>

#include "tools/bench/serve_cases.h"
#include "tools/bench/service_process.h"
#include "tools/loadgen/client_target.h"
#include "tools/loadgen/run_load.h"

namespace vecserve::bench {

namespace {

using loadgen::ClientTarget;
using loadgen::LoadPlan;
using loadgen::LoadRun;

constexpr std::uint64_t kRows = 100'000;
constexpr std::uint32_t kDim = 256;
constexpr int kTries = 200;  // to reach the server, a tenth of a second apart

std::unique_ptr<ClientTarget> reach(const loadgen::ClientTargetOptions& options,
                                    ServiceProcess& service) {
  for (int i = 0; i < kTries; ++i) {
    auto target = ClientTarget::connect(options);
    if (target.ok()) return std::move(target).value();
    require(service.running(), "the server ended; see " + service.error_file());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  require(false, "the server does not come up; see " + service.error_file());
  return nullptr;
}

LoadRun run(const LoadPlan& plan, loadgen::Target& target,
            const std::function<void(const loadgen::LiveState&)>& live) {
  Result<LoadRun> done = loadgen::run_load(plan, target, live);
  require(done.ok(), done.status().to_string());
  return std::move(done).value();
}

double capacity_of(const ServeSettings& settings, loadgen::Target& target) {
  LoadPlan plan;
  plan.closed_users = 2 * settings.crowd;
  plan.schedule.duration_s = settings.common.smoke ? 0.5 : 3.0;
  plan.warm_up_s = plan.schedule.duration_s / 3;
  const double capacity = run(plan, target, {}).report.summary.goodput;
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
  const double capacity = capacity_of(settings, *target);
  progress("memory: capacity " + std::to_string(capacity) + " a second");
  double most = service.resident_mib();
  LoadPlan plan;
  plan.schedule.rate = capacity * settings.factor;
  plan.schedule.duration_s = settings.overload_s;
  plan.schedule.seed = settings.common.seed;
  const LoadRun over = run(plan, *target, [&](const loadgen::LiveState&) {
    most = std::max(most, service.resident_mib());
  });
  require(service.running(), "the server ended; see " + service.error_file());
  std::uint64_t good = 0, refused = 0, other = 0;
  for (const loadgen::Record& record : over.records->all()) {
    const bool ok = record.outcome == loadgen::Outcome::ok;
    const bool no = record.outcome == loadgen::Outcome::refused;
    ++(ok ? good : no ? refused : other);
  }
  Report report("serve", settings.common);
  report.add({{"case", "memory"},
              {"connections", settings.crowd},
              {"seconds", settings.overload_s},
              {"capacity_qps", capacity},
              {"offered_qps", static_cast<double>(good + refused + other) / settings.overload_s},
              {"answered", good},
              {"refused", refused},
              {"other", other},
              {"rss_before_mib", before},
              {"rss_most_mib", most},
              {"rss_growth_mib", most - before}});
}

}  // namespace vecserve::bench
