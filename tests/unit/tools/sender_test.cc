// Checks tools/loadgen from the sender to the verdict with targets in this process: a stall shows
// in full, refusals and losses are counted, and the verdict says why. Some threads; nothing waits
// for a time to pass but the plans, which last a fraction of a second.
#include "tools/loadgen/sender.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <sstream>

#include "tools/loadgen/compare.h"
#include "tools/loadgen/find_knee.h"
#include "tools/loadgen/local_target.h"
#include "tools/loadgen/output.h"
#include "tools/loadgen/run_load.h"
#include "tools/loadgen/self_test.h"
#include "tools/report/histogram_log.h"

namespace {

using namespace vecserve;
using namespace vecserve::loadgen;

LoadPlan short_plan(double rate, double duration_s) {
  LoadPlan plan;
  plan.schedule.rate = rate;
  plan.schedule.duration_s = duration_s;
  plan.sender.drain_ns = 5'000'000'000;
  return plan;
}

TEST_CASE("sender: every request is sent in its order, none before its time", "[loadgen]") {
  InlineTarget target;
  const auto run = run_load(short_plan(20'000.0, 0.1), target, {});
  REQUIRE(run.ok());
  const std::vector<Record>& records = run->records->all();
  CHECK(run->result.sent == records.size());
  CHECK(run->result.drained);
  std::uint64_t last = 0;
  for (const Record& record : records) {
    REQUIRE(record.sent_ns >= record.intended_ns);
    REQUIRE(record.sent_ns >= last);
    REQUIRE(record.done_ns >= record.sent_ns);
    REQUIRE(record.outcome == Outcome::ok);
    last = record.sent_ns;
  }
  CHECK(run->report.summary.response.total() == records.size());
}

TEST_CASE("sender: a stall shows in the response time, by its closed form", "[loadgen]") {
  SelfTestOptions options;
  options.smoke = true;
  for (const bool blocking : {false, true}) {
    std::vector<CheckLine> lines;
    check_stall(options, blocking, lines);
    REQUIRE(lines.size() == 3);
    for (const CheckLine& line : lines) {
      CAPTURE(line.name, line.note);
      // 0.1 s of stall, and hosts that hold threads up for milliseconds.
      CHECK(line.figure < 0.5);
    }
  }
  CHECK(stall_quantile_s(0.99, 1.0, 10.0) == Approx(0.9));
  CHECK(stall_quantile_s(0.5, 1.0, 10.0) == 0.0);
}

TEST_CASE("sender: what a full server refuses is counted and not in the response time",
          "[loadgen]") {
  ServerTarget::Options options;
  options.service_ns = 1'000'000;
  options.queue = 4;
  ServerTarget target(options);
  const auto run = run_load(short_plan(10'000.0, 0.1), target, {});
  REQUIRE(run.ok());
  const Summary& summary = run->report.summary;
  const std::uint64_t refused = summary.outcomes[static_cast<std::size_t>(Outcome::refused)];
  const std::uint64_t answered = summary.outcomes[static_cast<std::size_t>(Outcome::ok)];
  CHECK(refused > answered);
  CHECK(refused + answered == summary.measured);
  CHECK(summary.refusal.total() == refused);
  CHECK(summary.response.total() == answered);
  CHECK(summary.has_stages);
  CHECK(summary.mean_batch_size == 1.0);
}

TEST_CASE("sender: a target that never answers ends the run and is said to be lost", "[loadgen]") {
  class Silent final : public Target {
   public:
    void send(std::size_t, std::uint8_t, Records&) override {}
    void give_up() override { gave_up = true; }
    bool gave_up = false;
  };
  Silent target;
  LoadPlan plan = short_plan(1'000.0, 0.05);
  plan.sender.drain_ns = 1'000'000;
  const auto run = run_load(plan, target, {});
  REQUIRE(run.ok());
  CHECK_FALSE(run->result.drained);
  CHECK(target.gave_up);
  CHECK(run->report.judgement.verdict == Verdict::invalid);
  CHECK(run->report.summary.outcomes[0] == run->report.summary.measured);
}

TEST_CASE("sender: a closed loop is labelled as one", "[loadgen]") {
  InlineTarget target;
  LoadPlan plan = short_plan(1.0, 0.02);
  plan.closed_users = 3;
  const auto run = run_load(plan, target, {});
  REQUIRE(run.ok());
  CHECK(run->report.summary.closed_loop);
  CHECK(run->report.summary.measured > 0);
  std::stringstream out;
  print_report(out, run->report);
  CHECK(out.str().find("CLOSED LOOP") == 0);
  CHECK(to_json(run->report)["loop"] == "closed");
}

TEST_CASE("sender: warm-up and cool-down are cut by the intended time", "[loadgen]") {
  InlineTarget target;
  LoadPlan plan = short_plan(10'000.0, 0.2);
  plan.schedule.arrivals = Arrivals::constant;
  plan.warm_up_s = 0.05;
  plan.cool_down_s = 0.1;
  const auto run = run_load(plan, target, {});
  REQUIRE(run.ok());
  CHECK(run->report.summary.measured == 500);
  CHECK(run->report.summary.seconds == Approx(0.05));
  CHECK(run->report.summary.offered == Approx(10'000.0));
}

TEST_CASE("output: what is written can be read again and compared with itself", "[loadgen]") {
  InlineTarget target;
  LoadPlan plan = short_plan(20'000.0, 0.3);
  const auto run = run_load(plan, target, {});
  REQUIRE(run.ok());
  const auto json = nlohmann::json::parse(to_json(run->report).dump());
  CHECK(json["response"]["n"] == run->records->all().size());
  CHECK(json["response"]["p99.99"].contains("missing_samples"));
  const auto read = read_comparable(json);
  REQUIRE(read.ok());
  for (const Difference& difference : compare(*read, *read)) {
    CHECK(difference.ratio == 1.0);
    CHECK_FALSE(difference.significant);
  }
  CHECK_FALSE(read_comparable(nlohmann::json::parse("{}")).ok());
  CHECK_FALSE(read_comparable(nlohmann::json::parse("[1]")).ok());
  std::stringstream log;
  write_hlog(log, run->report, *run->records, run->result.sent, run->start_unix_s);
  const auto intervals = report::read_log(log);
  REQUIRE(intervals.ok());
  REQUIRE(intervals->size() == 3);
  CHECK(intervals->front().tag == "response");
  CHECK(intervals->front().histogram.total() == run->records->all().size());
  std::stringstream table;
  print_report(table, run->report);
  CHECK(table.str().find("samples missing") != std::string::npos);
  std::stringstream csv;
  write_csv(csv, run->report);
  CHECK(csv.str().find("response,99.99,,,,") != std::string::npos);
  CHECK(duration_text(999.0) == "999 ns");
  CHECK(duration_text(1'234.0) == "1.23 us");
  CHECK(duration_text(5e6) == "5.00 ms");
  CHECK(duration_text(2.5e10) == "25.0 s");
}

TEST_CASE("find knee: runs stop early and enclose the knee of a server", "[loadgen]") {
  ServerTarget::Options server;
  server.service_ns = 200'000;  // 5,000 a second at most
  ServerTarget target(server);
  KneeSearch::Options options;
  options.slo = {0.9, 50'000'000};
  options.rate_first = 500.0;
  options.steps_max = 3;
  LoadPlan plan = short_plan(500.0, 0.3);
  const KneeResult found = find_knee(options, plan, target, {});
  REQUIRE_FALSE(found.points.empty());
  CHECK(found.points.size() <= 3);
  for (const SweepPoint& point : found.points) {
    CAPTURE(point.rate);
    CHECK(point.samples > 0);
  }
}

}  // namespace
