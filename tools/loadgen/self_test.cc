// The checks L1 to L4: sender, stall, plan, cost. Comes beside ordinary runs and uses the same
// sender, records and summary as they do. Always holds: limits are constants with their reason, and
// figures are what an ordinary report would print.
#include "tools/loadgen/self_test.h"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "engine/base/histogram.h"
#include "tools/loadgen/local_target.h"
#include "tools/loadgen/noise_floor.h"
#include "tools/loadgen/random.h"
#include "tools/loadgen/schedule.h"
#include "tools/loadgen/sender.h"
#include "tools/loadgen/summary.h"
#include "tools/report/correlation.h"

namespace vecserve::loadgen {
namespace {

using engine::Histogram;

// The plan of 1,000 Poisson arrivals in a second from seed 1, as every machine must make it.
constexpr std::uint64_t kFingerprint = 3'011'897'729'208'271'612u;

constexpr double kSenderRate = 10'000.0;
constexpr double kPlanRate = 1'000.0;
constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

CheckLine at_most(std::string name, double figure, double limit, std::string unit,
                  std::string note) {
  return {std::move(name), figure, limit, figure <= limit, false, std::move(unit), std::move(note)};
}

CheckLine at_least(std::string name, double figure, double limit, std::string unit,
                   std::string note) {
  return {std::move(name), figure, limit, figure >= limit, true, std::move(unit), std::move(note)};
}

// The cores that this process may use.
std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cores;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) cores.push_back(cpu);
  }
  return cores;
}

struct Ran {
  Summary summary;
  std::vector<Record> records;
};

// Runs a plan in a thread of its own, so that pinning it leaves the caller as it was.
Ran run_plan(const ScheduleSpec& spec, Target& target, int cpu, std::uint64_t warm_up_ns) {
  const auto planned = plan_arrivals(spec);
  Records records(planned.value(), {});
  SendResult result;
  SenderOptions options;
  options.cpu = cpu;
  std::thread([&] { result = send_plan(records, target, options); }).join();
  const auto duration = static_cast<std::uint64_t>(spec.duration_s * 1e9);
  Ran ran{summarise(records, result, {warm_up_ns, 0, duration}, false), {}};
  ran.records = std::move(records.all());
  return ran;
}

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

void check_sender(const SelfTestOptions& options, std::vector<CheckLine>& lines) {
  if (options.progress) options.progress("sender: 10,000 a second beside an idle thread");
  const std::vector<int> cores = usable_cores();
  const bool room = cores.size() >= 3;  // sender and idle thread on cores of their own
  ScheduleSpec spec;
  spec.rate = kSenderRate;
  spec.duration_s = options.smoke ? 0.3 : 10.5;
  NoiseOptions noise_options;
  noise_options.rate = kSenderRate;
  if (room) noise_options.cpu = cores[cores.size() - 2];
  NoiseFloor noise(noise_options);
  InlineTarget target;
  const Ran ran =
      run_plan(spec, target, room ? cores.back() : -1, options.smoke ? 0 : kNsPerSecond / 2);
  const Histogram floor = noise.stop();
  const Histogram& lag = ran.summary.lag;
  const std::string note = "n = " + std::to_string(lag.total()) + ", idle thread p50 " +
                           std::to_string(us(floor.value_at(0.5))) + " us, p99 " +
                           std::to_string(us(floor.value_at(0.99))) + " us, p99.9 " +
                           std::to_string(us(floor.value_at(0.999))) + " us";
  lines.push_back(at_most("L1_sender_lag_p50_us", us(lag.value_at(0.5)), 1.0, "us", note));
  lines.push_back(at_most("L1_sender_lag_p99_us", us(lag.value_at(0.99)), 25.0, "us", note));
  lines.push_back(at_most("L1_sender_lag_p999_over_idle_thread",
                          us(lag.value_at(0.999)) / std::max(0.1, us(floor.value_at(0.999))), 1.5,
                          "", "p99.9 " + std::to_string(us(lag.value_at(0.999))) + " us; " + note));
  lines.push_back(at_least("L1_adherence", ran.summary.adherence, 0.999, "share",
                           "sent within 1 ms of when it was due; " + note));
}

// Gaps between `count` times, in nanoseconds.
template <typename Time>
std::vector<double> gaps_of(std::size_t count, Time time) {
  std::vector<double> gaps;
  gaps.reserve(count);
  for (std::size_t i = 1; i < count; ++i) {
    gaps.push_back(static_cast<double>(time(i)) - static_cast<double>(time(i - 1)));
  }
  return gaps;
}

}  // namespace

double stall_quantile_s(double quantile, double stall_s, double run_s) {
  const double delayed = stall_s / run_s;
  return std::max(0.0, stall_s * (1.0 - (1.0 - quantile) / delayed));
}

void check_stall(const SelfTestOptions& options, bool blocking, std::vector<CheckLine>& lines) {
  const double run_s = options.smoke ? 1.0 : 10.0;
  const double stall_s = options.smoke ? 0.1 : 1.0;
  const std::string kind = blocking ? "blocking" : "queueing";
  if (options.progress) options.progress("stall: a " + kind + " target stops for a tenth of a run");
  const Stall stall{static_cast<std::uint64_t>(0.4 * run_s * 1e9),
                    static_cast<std::uint64_t>(stall_s * 1e9)};
  std::unique_ptr<Target> target;
  if (blocking) {
    target = std::make_unique<InlineTarget>(stall);
  } else {
    ServerTarget::Options server;
    server.service_ns = 1'000;
    server.stall = stall;
    target = std::make_unique<ServerTarget>(server);
  }
  ScheduleSpec spec;
  spec.arrivals = Arrivals::constant;
  spec.rate = kPlanRate;
  spec.duration_s = run_s;
  const Ran ran = run_plan(spec, *target, -1, 0);
  for (const double quantile : {0.95, 0.99, 0.999}) {
    const double truth = stall_quantile_s(quantile, stall_s, run_s);
    const double response = static_cast<double>(ran.summary.response.value_at(quantile)) / 1e9;
    const double service = static_cast<double>(ran.summary.service.value_at(quantile)) / 1e9;
    const auto figure = std::abs(response - truth) / truth;
    std::string name = "L2_stall_" + kind + "_p" + std::to_string(quantile * 100).substr(0, 4);
    name.erase(std::remove(name.begin(), name.end(), '.'), name.end());
    lines.push_back(at_most(name + "_error", figure, 0.02, "share",
                            "response " + std::to_string(response) + " s, closed form " +
                                std::to_string(truth) + " s, service " + std::to_string(service) +
                                " s, n = " + std::to_string(ran.summary.response.total())));
  }
}

void check_plan(const SelfTestOptions& options, std::vector<CheckLine>& lines) {
  if (options.progress) options.progress("plan: gaps as sent against gaps as planned");
  ScheduleSpec spec;
  spec.rate = kPlanRate;
  spec.duration_s = 1.0;
  const auto golden = fingerprint(plan_arrivals(spec).value());
  lines.push_back({"L3_plan_is_the_same_everywhere", golden == kFingerprint ? 1.0 : 0.0, 1.0,
                   golden == kFingerprint, true, "", "fingerprint " + std::to_string(golden)});
  // Slow enough that a hold-up of the host, some milliseconds, seldom spans two requests.
  spec.rate = 250.0;
  spec.duration_s = options.smoke ? 0.5 : 8.0;
  spec.seed = 3;
  InlineTarget target;
  const Ran ran = run_plan(spec, target, -1, 0);
  const std::vector<Record>& records = ran.records;
  const auto sent = gaps_of(records.size(), [&](std::size_t i) { return records[i].sent_ns; });
  const auto planned =
      gaps_of(records.size(), [&](std::size_t i) { return records[i].intended_ns; });
  const std::string note = "n = " + std::to_string(sent.size());
  lines.push_back(at_most(
      "L3_gaps_anderson_darling", report::anderson_darling_exponential(sent),
      report::kAndersonDarling5, "",
      note + ", the plan itself " + std::to_string(report::anderson_darling_exponential(planned))));
  lines.push_back(at_most("L3_gaps_kolmogorov_smirnov", report::kolmogorov_smirnov(sent, planned),
                          report::kKolmogorovSmirnov5, "", note + ", sent against planned"));
}

void check_cost(const SelfTestOptions& options, std::vector<CheckLine>& lines) {
  if (options.progress) options.progress("cost: planning and recording");
  const std::size_t count = options.smoke ? 100'000 : 2'000'000;
  ScheduleSpec spec;
  spec.rate = 1e6;
  spec.duration_s = static_cast<double>(count) / 1e6;
  const std::uint64_t begin = steady_ns();
  const auto planned = plan_arrivals(spec);
  Records records(planned.value(), {});
  SendResult result;
  result.sent = records.all().size();
  for (std::size_t i = 0; i < result.sent; ++i) {
    records.all()[i].sent_ns = records.all()[i].intended_ns;
    records.complete(i, Outcome::ok);
  }
  const Summary summary = summarise(records, result, {0, 0, UINT64_MAX}, false);
  const double seconds = static_cast<double>(steady_ns() - begin) / 1e9;
  lines.push_back(at_least("L4_planned_and_recorded_per_second",
                           static_cast<double>(summary.response.total()) / seconds, 1e6, "1/s",
                           "one thread: plan, record, summarise"));

  std::vector<std::uint64_t> values(1 << 16);
  Random random(7);
  for (std::uint64_t& value : values) value = random.next() >> (22 + random.below(20));
  Histogram histogram;
  const int rounds = options.smoke ? 2 : 100;
  const std::uint64_t start = steady_ns();
  for (int round = 0; round < rounds; ++round) {
    for (const std::uint64_t value : values) histogram.record(value);
  }
  const auto records_made = static_cast<double>(histogram.total());
  lines.push_back(at_most("L4_record_ns", static_cast<double>(steady_ns() - start) / records_made,
                          25.0, "ns", "n = " + std::to_string(histogram.total())));
  if (!options.allocations) return;
  spec.rate = 1e5;
  spec.duration_s = options.smoke ? 0.05 : 0.5;
  const auto at_ns = plan_arrivals(spec);
  Records more(at_ns.value(), {});
  InlineTarget target;
  const std::uint64_t before = options.allocations();
  const SendResult sent = send_plan(more, target, {});
  for (const Record& record : more.all()) histogram.record(record.done_ns - record.intended_ns);
  const auto made = static_cast<double>(options.allocations() - before);
  lines.push_back(at_most("L4_allocations", made, 0, "",
                          "sending and recording " + std::to_string(sent.sent) + " requests"));
}

bool self_test(const SelfTestOptions& options) {
  bool all = true;
  const std::array<std::function<void(std::vector<CheckLine>&)>, 5> parts = {
      [&](std::vector<CheckLine>& lines) { check_sender(options, lines); },
      [&](std::vector<CheckLine>& lines) { check_stall(options, false, lines); },
      [&](std::vector<CheckLine>& lines) { check_stall(options, true, lines); },
      [&](std::vector<CheckLine>& lines) { check_plan(options, lines); },
      [&](std::vector<CheckLine>& lines) { check_cost(options, lines); }};
  for (const auto& part : parts) {
    std::vector<CheckLine> lines;
    part(lines);
    for (const CheckLine& line : lines) {
      all = all && line.holds;
      if (options.report) options.report(line);
    }
  }
  return all;
}

}  // namespace vecserve::loadgen
