// The probing loop on operations whose slow runs are known, and the control thread's arithmetic.
// Times here are only compared where a factor of hundreds lies between them.
// Main thread; the control thread is the product's own and is joined.
#include "tools/tailprobe/probe.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/temporary_folder.h"
#include "tools/tailprobe/control.h"
#include "tools/tailprobe/output.h"

using namespace vecserve;
using namespace vecserve::tailprobe;

namespace {

// Reads the time until it has moved on: work that no compiler removes.
void spin_us(double us) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double, std::micro>(us);
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace

TEST_CASE("probe: a run that is hundreds of times slower is found, at its index") {
  bool slow = false;
  const Operation operation{"spin", "", Waits::nothing, "", [&] { spin_us(slow ? 4'000.0 : 5.0); }};
  ProbeOptions options;
  options.count = 500;
  options.slow_factor = 100.0;
  const ProbeResult result =
      probe(operation, options, [&](std::size_t index) { slow = index == 321; });
  REQUIRE(result.samples.size() == 500);
  CHECK(result.duration_us(321) >= 3'900.0);
  bool found = false;
  for (const SlowSample& sample : result.slow) {
    found = found || (sample.index == 321 && sample.duration_us >= 3'900.0);
    CHECK(sample.duration_us > result.threshold_us);
  }
  CHECK(found);
  CHECK(result.explained_us <= result.excess_us * (1.0 + 1e-9));
}

TEST_CASE("probe: it stops when its time is over and says how many runs there were") {
  const Operation operation{"spin", "", Waits::nothing, "", [] { spin_us(200.0); }};
  ProbeOptions options;
  options.count = 1'000'000;
  options.warm_up = 3;
  options.seconds_max = 0.05;
  const ProbeResult result = probe(operation, options);
  CHECK(result.samples.size() >= 1);
  CHECK(result.samples.size() < 1'000);
}

TEST_CASE(
    "probe: every operation of the processor and the disk runs, those of a device say why not") {
  const vecserve::test::TemporaryFolder folder;
  for (const OperationInfo& info : list_operations()) {
    INFO(info.name);
    const Result<Operation> operation = make_operation(info.name, {0, folder.path()});
    if (info.on_device) {
      CHECK(operation.status().code() == StatusCode::unimplemented);
      CHECK(operation.status().message().find("device") != std::string::npos);
      continue;
    }
    REQUIRE(operation.ok());
    ProbeOptions options;
    options.count = 20;
    options.warm_up = 3;
    const ProbeResult result = probe(*operation, options);
    CHECK(result.samples.size() == 20);
    CHECK(result.median_us > 0.0);
    const nlohmann::ordered_json json = to_json(*operation, result, 50.0);
    CHECK(json["service"]["n"] == 20);
    CHECK(json["service"].contains("p99_missing"));  // 20 runs support no p99
    CHECK_FALSE(json["service"].contains("p99_us"));
    CHECK(figures_of(*operation, result).size() == 2);
  }
  CHECK(make_operation("nothing", {}).status().field() == "op");
}

TEST_CASE("probe: files of an operation are gone when it is") {
  const vecserve::test::TemporaryFolder folder;
  { REQUIRE(make_operation("fsync", {0, folder.path()}).ok()); }
  CHECK(std::filesystem::is_empty(folder.path()));
  CHECK(make_operation("fsync", {0, folder.at("absent")}).status().code() == StatusCode::io_error);
}

TEST_CASE("probe: the counters of a thread see its own faults and never run backwards") {
  const CounterReader reader;
  const Counters before = reader.read();
  std::vector<char> fresh(std::size_t{32} << 20);
  for (std::size_t at = 0; at < fresh.size(); at += 4096) fresh[at] = 1;
  const Counters after = reader.read();
  CHECK(after.ticks > before.ticks);
  CHECK(after.cpu_us >= before.cpu_us);
  CHECK(after.minor_faults > before.minor_faults);
  CHECK(clock_check_ticks() > 0);
}

TEST_CASE("control: lateness is asked for within a span of time") {
  ControlThread control;
  const auto begin = std::chrono::steady_clock::now();
  spin_us(20'000.0);
  control.stop();
  CHECK_FALSE(control.lateness_us().empty());
  for (const double late : control.lateness_us()) CHECK(late >= 0.0);
  CHECK(control.late_within_us(begin - std::chrono::hours(2), begin - std::chrono::hours(1)) ==
        0.0);
  CHECK(control.late_within_us(begin, begin + std::chrono::hours(1)) >= 0.0);
}
