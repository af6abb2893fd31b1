// The real server under load from a bench: reached once it is up, loaded through loadgen, its
// capacity found by a closed loop. Comes between the benches that start a ServiceProcess and
// loadgen. Main thread, with loadgen's own beside it. Always holds: a run that could not be made
// ends the bench.
#pragma once

#include <functional>
#include <memory>

#include "tools/bench/service_process.h"
#include "tools/loadgen/client_target.h"
#include "tools/loadgen/run_load.h"

namespace vecserve::bench {

// Tries until the server is up, 20 s at most.
[[nodiscard]] std::unique_ptr<loadgen::ClientTarget> reach(
    const loadgen::ClientTargetOptions& options, ServiceProcess& service);

[[nodiscard]] loadgen::LoadRun run_or_fail(
    const loadgen::LoadPlan& plan, loadgen::Target& target,
    const std::function<void(const loadgen::LiveState&)>& live);

// Answers a second to so many users, each of whom asks again when answered: the best of three short
// runs, for what others do on the host can only make it less.
[[nodiscard]] double capacity_of(loadgen::Target& target, std::uint32_t users, bool smoke);

}  // namespace vecserve::bench
