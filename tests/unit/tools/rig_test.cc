// The rig of replicas, briefly: every call is answered whatever the replicas are, stalls are seen
// in the tail, and the books add up. How much hedging gains is the bench's affair: a busy host
// makes these figures its own. Main thread, and the rig's.
#include "tools/hedge/rig.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "tests/support/brief_rig.h"

using namespace vecserve;
using namespace vecserve::hedge;

TEST_CASE("rig: timed replicas answer every call, and a stall is in the tail of the unhedged") {
  RigOptions options = test::brief_rig(0.5, 0.2);
  options.hedging = false;
  options.stall_every_s = 0.05;  // certain to meet one in the run
  options.stall_ms = 30.0;
  const Result<RigRun> run = run_rig(options);
  REQUIRE(run.ok());
  // On a host that stutters some calls may be refused, and none may be lost.
  const auto& outcomes = run->run.report.summary.outcomes;
  const auto of = [&](loadgen::Outcome outcome) {
    return outcomes[static_cast<std::size_t>(outcome)];
  };
  const std::uint64_t answered = of(loadgen::Outcome::ok);
  CHECK(answered + of(loadgen::Outcome::refused) == run->run.report.summary.measured);
  CHECK(answered > 0);
  CHECK(run->stats.hedges == 0);
  CHECK(run->extra_work() == 0.0);
  CHECK(run->finished_us > 0.0);
  const std::vector<double> latencies = run->latencies_us();
  REQUIRE(latencies.size() == answered);
  CHECK(*std::max_element(latencies.begin(), latencies.end()) > 15'000.0);
  CHECK(run->replicas == "real servers, timed device");
}

TEST_CASE("rig: hedged calls are answered once, and losers are accounted for") {
  RigOptions options = test::brief_rig(0.5, 0.2);
  options.stall_every_s = 0.2;
  options.stall_ms = 20.0;
  const Result<RigRun> run = run_rig(options);
  REQUIRE(run.ok());
  CHECK(run->stats.calls == run->run.records->all().size());
  const HedgeStats& stats = run->stats;
  CHECK(stats.cancelled_queued + stats.cancelled_running + stats.wasted <=
        stats.hedges + stats.retries);
  CHECK(run->cancelled_queued_share() <= 1.0);
}

TEST_CASE("rig: real scans and batch services of both policies answer too") {
  RigOptions options = test::brief_rig(0.5, 0.2);
  options.seconds = 0.3;
  options.load = 0.01;
  options.real_scans = true;
  options.rows = 500;
  const Result<RigRun> scans = run_rig(options);
  REQUIRE(scans.ok());
  CHECK_FALSE(scans->latencies_us().empty());
  CHECK(scans->replicas == "real servers, real scans");
  options.real_scans = false;
  for (const batchd::Policy policy : {batchd::Policy::bounded, batchd::Policy::unbounded}) {
    options.batch_policy = policy;
    const Result<RigRun> run = run_rig(options);
    REQUIRE(run.ok());
    CHECK_FALSE(run->latencies_us().empty());
  }
}

TEST_CASE("rig: a timed replica needs time from one call to the next, other kinds are not asked") {
  RigOptions options = test::brief_rig(0.5, 0.2);
  const Result<double> turn_us = probe_turn_us(options);
  REQUIRE(turn_us.ok());
  CHECK(*turn_us > 0.1);
  options.real_scans = true;
  CHECK(probe_turn_us(options).value() == 0.0);
  options.real_scans = false;
  options.batch_policy = batchd::Policy::bounded;
  CHECK(probe_turn_us(options).value() == 0.0);
}

TEST_CASE("rig: what a replica needs between calls counts as load") {
  RigOptions options = test::brief_rig(0.3, 0.1);
  const Result<RigRun> ideal = run_rig(options);
  REQUIRE(ideal.ok());
  options.turn_us = ideal->service_us;  // a replica can do half as much
  const Result<RigRun> real = run_rig(options);
  REQUIRE(real.ok());
  CHECK(real->offered == Approx(ideal->offered / 2.0));
  CHECK(real->load == Approx(options.load));
}
