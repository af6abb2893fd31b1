// See daemon_load.h.
// Main thread. Always holds: a server that ended is told from one that is not up yet, with the file
// of what it said.
#include "tools/bench/daemon_load.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "tools/bench/bench_report.h"

namespace vecserve::bench {

using loadgen::ClientTarget;
using loadgen::LoadPlan;
using loadgen::LoadRun;

std::unique_ptr<ClientTarget> reach(const loadgen::ClientTargetOptions& options,
                                    ServiceProcess& service) {
  for (int attempt = 0; attempt < 200; ++attempt) {
    auto target = ClientTarget::connect(options);
    if (target.ok()) return std::move(target).value();
    require(service.running(), "the server ended; see " + service.error_file());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  require(false, "the server does not come up; see " + service.error_file());
  return nullptr;
}

LoadRun run_or_fail(const LoadPlan& plan, loadgen::Target& target,
                    const std::function<void(const loadgen::LiveState&)>& live) {
  Result<LoadRun> run = loadgen::run_load(plan, target, live);
  require(run.ok(), run.status().to_string());
  return std::move(run).value();
}

double capacity_of(loadgen::Target& target, std::uint32_t users, bool smoke) {
  LoadPlan plan;
  plan.closed_users = users;
  plan.schedule.duration_s = smoke ? 0.5 : 3.0;
  plan.warm_up_s = plan.schedule.duration_s / 3;
  plan.sender.spin_ns = 10'000;
  double best = 0.0;
  for (int round = 0; round < 3; ++round) {
    best = std::max(best, run_or_fail(plan, target, {}).report.summary.goodput);
  }
  require(best > 0.0, "the server answered nothing in a closed loop");
  return best;
}

}  // namespace vecserve::bench
