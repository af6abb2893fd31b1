// The judgement of tailprobe on evidence made by hand: each cause alone, mixtures, and evidence
// that explains nothing. The probe itself is tested by its self-test, which needs a real machine.
// Main thread; plain values.
#include "tools/tailprobe/causes.h"

#include <catch2/catch.hpp>

using namespace vecserve::tailprobe;

namespace {

Evidence slow_run(double excess_us) {
  Evidence evidence;
  evidence.excess_us = excess_us;
  evidence.duration_us = excess_us + 40.0;
  return evidence;
}

double explained(const std::vector<NamedCause>& causes) {
  double sum = 0.0;
  for (const NamedCause& cause : causes) sum += cause.explained_us;
  return sum;
}

}  // namespace

TEST_CASE("causes: waiting for the processor is preemption, sleeping is not") {
  Evidence evidence = slow_run(2'000.0);
  evidence.off_cpu_us = 1'990.0;
  evidence.run_delay_us = 1'985.0;
  evidence.involuntary = 1.0;
  std::vector<NamedCause> causes = judge(evidence, Waits::nothing, {});
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].cause == Cause::preempted);
  CHECK(causes[0].explained_us == Approx(1'985.0));

  evidence.run_delay_us = 5.0;
  evidence.voluntary = 1.0;
  causes = judge(evidence, Waits::nothing, {});
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].cause == Cause::slept);
}

TEST_CASE("causes: what a run waits for names its blocking") {
  Evidence evidence = slow_run(5'000.0);
  evidence.off_cpu_us = 5'000.0;
  evidence.voluntary = 2.0;
  CHECK(judge(evidence, Waits::disk, {})[0].cause == Cause::disk);
  CHECK(judge(evidence, Waits::peer, {})[0].cause == Cause::peer);
  CHECK(judge(evidence, Waits::timer, {})[0].cause == Cause::slept);
  evidence.foreign_bytes = 8e6;
  CHECK(judge(evidence, Waits::disk, {})[0].cause == Cause::disk_busy);
  evidence.foreign_bytes = 0.0;
  evidence.foreign_requests = 3.0;
  CHECK(judge(evidence, Waits::disk, {})[0].cause == Cause::disk_busy);
  evidence.major_faults = 1.0;
  CHECK(judge(evidence, Waits::disk, {})[0].cause == Cause::major_faults);
}

TEST_CASE("causes: off the processor without a switch of its own, the machine stood") {
  Evidence evidence = slow_run(800.0);
  evidence.off_cpu_us = 800.0;
  const std::vector<NamedCause> causes = judge(evidence, Waits::nothing, {});
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].cause == Cause::machine_stall);
}

TEST_CASE("causes: faults explain what they cost, and allocations take their faults along") {
  const Costs costs{0.5, 0.1, 50.0};
  Evidence evidence = slow_run(1'000.0);
  evidence.minor_faults = 400.0;
  std::vector<NamedCause> causes = judge(evidence, Waits::nothing, costs);
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].cause == Cause::page_faults);
  CHECK(causes[0].explained_us == Approx(400.0));  // 0.5 µs each, contended at most twice that
  evidence.allocations = 1.0;
  evidence.allocated_bytes = 4e6;
  causes = judge(evidence, Waits::nothing, costs);
  REQUIRE(causes.size() == 1);
  CHECK(causes[0].cause == Cause::allocation);
}

TEST_CASE("causes: a slower clock and cold caches are named") {
  Evidence evidence = slow_run(60.0);
  evidence.clock_ratio = 2.0;
  evidence.migrated = true;
  const std::vector<NamedCause> causes = judge(evidence, Waits::nothing, {});
  REQUIRE(causes.size() == 2);
  CHECK(causes[0].cause == Cause::slow_clock);
  CHECK(causes[0].explained_us == Approx(50.0));
  CHECK(causes[1].cause == Cause::migration);
}

TEST_CASE("causes: mixtures come in falling order and never explain more than the excess") {
  Evidence evidence = slow_run(1'000.0);
  evidence.off_cpu_us = 900.0;
  evidence.run_delay_us = 300.0;
  evidence.voluntary = 1.0;
  evidence.minor_faults = 5'000.0;
  evidence.control_late_us = 1e6;
  const std::vector<NamedCause> causes = judge(evidence, Waits::nothing, {});
  REQUIRE(causes.size() == 3);
  CHECK(causes[0].cause == Cause::slept);
  CHECK(causes[1].cause == Cause::preempted);
  CHECK(causes[2].cause == Cause::page_faults);
  CHECK(explained(causes) == Approx(1'000.0));
}

TEST_CASE("causes: without the kernel's run delay, an involuntary switch is preemption") {
  Evidence evidence = slow_run(500.0);
  evidence.run_delay_known = false;
  evidence.off_cpu_us = 500.0;
  evidence.involuntary = 1.0;
  CHECK(judge(evidence, Waits::nothing, {})[0].cause == Cause::preempted);
  evidence.involuntary = 0.0;
  evidence.voluntary = 1.0;
  CHECK(judge(evidence, Waits::nothing, {})[0].cause == Cause::slept);
}

TEST_CASE("causes: evidence of nothing explains nothing, and every cause has a name") {
  CHECK(judge(slow_run(500.0), Waits::nothing, {}).empty());
  CHECK(judge(slow_run(0.0), Waits::nothing, {}).empty());
  for (std::size_t i = 0; i < kCauseCount; ++i) {
    CHECK_FALSE(to_string(static_cast<Cause>(i)).empty());
  }
}
