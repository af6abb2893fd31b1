// Requests through the hedged client as loadgen sends them: every one is completed, and the
// counters are the client's. Main thread sends; servers have threads of their own.
// The requests are few and quick, so that a busy host can do them.
#include "tools/hedge/hedged_target.h"

#include <catch2/catch.hpp>

#include "tools/batchd/service_host.h"
#include "tools/batchd/timed_device.h"
#include "tools/loadgen/run_load.h"

using namespace vecserve;
using namespace vecserve::hedge;

TEST_CASE("hedged target: every planned request is answered by one of the servers") {
  batchd::TimedDeviceOptions quick;
  quick.batch_cost = std::chrono::microseconds(50);
  quick.request_cost = std::chrono::microseconds(1);
  quick.on_processor = false;
  batchd::TimedDevice devices[2] = {batchd::TimedDevice(quick), batchd::TimedDevice(quick)};
  std::vector<std::unique_ptr<batchd::ServiceHost>> hosts;
  HedgedTargetOptions options;
  options.dim = 8;
  options.timeout = std::chrono::seconds(20);
  for (batchd::TimedDevice& device : devices) {
    batchd::ServiceHostOptions host;
    host.dim = 8;
    host.serving.searches.lanes = 1;
    host.serving.searches.target = std::chrono::seconds(10);
    host.device = &device;
    auto started = batchd::ServiceHost::start(host);
    REQUIRE(started.ok());
    options.addresses.push_back((*started)->address());
    hosts.push_back(std::move(started).value());
  }
  auto target = HedgedTarget::connect(options);
  REQUIRE(target.ok());
  loadgen::LoadPlan plan;
  plan.schedule.rate = 500.0;
  plan.schedule.duration_s = 0.4;
  plan.noise_rate = 0.0;
  const Result<loadgen::LoadRun> run = loadgen::run_load(plan, **target, {});
  REQUIRE(run.ok());
  const auto& outcomes = run->report.summary.outcomes;
  CHECK(outcomes[static_cast<std::size_t>(loadgen::Outcome::ok)] == run->records->all().size());
  CHECK((*target)->stats().calls == run->records->all().size());
  CHECK(devices[0].finished() > 0);
  CHECK(devices[1].finished() > 0);
  (*target)->give_up();
  loadgen::Records after({0}, {0});
  (*target)->send(0, 0, after);  // closed: fails, but is completed
  CHECK(after.completed() == 1);
  CHECK(after.all()[0].outcome == loadgen::Outcome::failed);
}

TEST_CASE("hedged target: what cannot be connected to is refused with the reason") {
  HedgedTargetOptions options;
  CHECK(HedgedTarget::connect(options).status().field() == "replicas");
  options.dim = 0;
  CHECK(HedgedTarget::connect(options).status().field() == "dim");
}
