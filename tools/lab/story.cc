// Runs the chapters: the probe and both services here, over one processor; the hedging client in
// hedging.cc. After tailprobe, batchd and loadgen; main thread.
// Always holds: every figure says what it is, and percentiles without the samples are left out.
#include "tools/lab/story.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "engine/base/quantile_bounds.h"
#include "tools/batchd/batch_service.h"
#include "tools/lab/hedging.h"
#include "tools/loadgen/run_load.h"
#include "tools/plot/scale.h"
#include "tools/plot/views.h"
#include "tools/tailprobe/output.h"

namespace vecserve::lab {
namespace {

using plot::Quantity;

constexpr double kOverload = 1.5;  // of the service's capacity: what the essay's figures look like
constexpr std::chrono::milliseconds kDeadline{50};

// 0 when the samples do not support it.
double supported(const std::vector<double>& ascending, double p) {
  if (ascending.size() < engine::samples_needed(p)) return 0.0;
  return plot::percentile_of(ascending, p);
}

// ---- chapter 1: one operation
// --------------------------------------------------------------------
Result<bool> tell_probe(const StoryOptions& options, Story& story) {
  Result<tailprobe::Operation> operation =
      tailprobe::make_operation("cpu_scan", {std::size_t{1} << 21, options.folder});
  if (!operation.ok()) return operation.status();
  tailprobe::ProbeOptions probing;
  probing.count = options.quick ? 4'000 : 20'000;
  probing.seconds_max = options.quick ? 5.0 : 30.0;
  const tailprobe::ProbeResult result = tailprobe::probe(*operation, probing);
  Row row{"one operation", "service time", 500, 0, 410.0, 6'780.0, 0.0};
  std::vector<double> latencies;
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    latencies.push_back(result.duration_us(i));
  }
  fill(row, std::move(latencies));
  story.rows.push_back(row);
  const double share = result.excess_us > 0 ? result.explained_us / result.excess_us : 1.0;
  story.sections.push_back(
      {"One operation, many times",
       {operation->what + ". " + std::to_string(result.slow_total) + " runs took over " +
        plot::text_of(Quantity::micros, result.threshold_us) + "; " +
        plot::text_of(Quantity::share, share) + " of their excess time has a named cause."},
       {},
       tailprobe::figures_of(*operation, result)});
  return true;
}

// ---- chapters 2 and 3: the service without and with bounds
// ---------------------------------------
struct ServiceRun {
  Row row;
  std::vector<double> latencies_us;
  std::vector<plot::TimedSample> timed;
  std::vector<plot::RequestTrace> worst;
  double offered = 0.0;
  double goodput = 0.0;  // answered within the deadline, per second
};

plot::RequestTrace trace_of(std::size_t index, const loadgen::Record& record) {
  const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) * 1e-3; };
  plot::RequestTrace trace;
  trace.label = "#";
  trace.label += std::to_string(index);
  trace.label += " at ";
  trace.label += plot::text_of(Quantity::seconds, us(record.intended_ns) * 1e-6);
  double at = 0.0;
  const auto add = [&](std::size_t stage, double length) {
    trace.spans.push_back({stage, at, at + length});
    at += length;
  };
  add(0, us(record.sent_ns - std::min(record.sent_ns, record.intended_ns)));
  const double whole = us(record.done_ns - record.intended_ns);
  const double served = us(record.stages.batch_ns) + us(record.stages.scan_ns);
  // A record has room for four seconds of a stage; what a naive queue takes beyond is queue too.
  const bool clipped = record.stages.queue_ns == UINT32_MAX;
  add(1, clipped ? std::max(0.0, whole - at - served) : us(record.stages.queue_ns));
  add(2, us(record.stages.batch_ns));
  add(3, us(record.stages.scan_ns));
  if (whole > at) add(4, whole - at);
  return trace;
}

ServiceRun read_run(const loadgen::LoadRun& run, double rate, double seconds) {
  ServiceRun result;
  result.offered = rate;
  std::vector<std::size_t> order;
  std::size_t in_time = 0;
  const std::vector<loadgen::Record>& records = run.records->all();
  for (std::size_t i = 0; i < run.result.sent; ++i) {
    const loadgen::Record& record = records[i];
    if (record.outcome != loadgen::Outcome::ok) continue;
    const double us = static_cast<double>(record.done_ns - record.intended_ns) * 1e-3;
    result.latencies_us.push_back(us);
    result.timed.push_back({static_cast<double>(record.intended_ns) * 1e-9, us});
    in_time += us <= std::chrono::duration<double, std::micro>(kDeadline).count() ? 1u : 0u;
    order.push_back(i);
  }
  result.goodput = static_cast<double>(in_time) / seconds;
  result.row.answered_in_time =
      static_cast<double>(in_time) / std::max(1.0, static_cast<double>(records.size()));
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return records[a].done_ns - records[a].intended_ns >
           records[b].done_ns - records[b].intended_ns;
  });
  for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 12); ++i) {
    result.worst.push_back(trace_of(order[i], records[order[i]]));
  }
  fill(result.row, result.latencies_us);
  return result;
}

Result<ServiceRun> run_service(batchd::Policy policy, double times_capacity, double seconds,
                               std::uint64_t seed) {
  batchd::BatchServiceOptions service;
  service.policy = policy;
  service.deadline = kDeadline;
  loadgen::LoadPlan plan;
  plan.schedule.rate = times_capacity * service.capacity();
  plan.schedule.duration_s = seconds;
  plan.schedule.seed = seed;
  plan.noise_rate = 0.0;
  // Long enough for the naive queue to run empty, so that no slow answer is left out.
  plan.sender.drain_ns =
      static_cast<std::uint64_t>(seconds * 1e9 * times_capacity * 2.0) + 2'000'000'000;
  batchd::BatchService target(service);
  Result<loadgen::LoadRun> run = loadgen::run_load(plan, target, {});
  if (!run.ok()) return run.status();
  return read_run(*run, plan.schedule.rate, seconds);
}

const std::vector<std::string>& stage_names() {
  static const std::vector<std::string> names = {"sender lag", "queue", "batch", "run", "rest"};
  return names;
}

plot::Section service_section(const char* name, const char* heading, const char* words,
                              const ServiceRun& run) {
  const std::string what =
      "response time from the intended start, n = " + std::to_string(run.latencies_us.size()) +
      ", offered " + plot::text_of(Quantity::per_second, run.offered);
  const std::string id(name);
  return {heading,
          {words},
          {},
          {plot::heat_figure({id + "_heat", std::string(heading) + ": over time", what},
                             plot::heat_of(run.timed)),
           plot::waterfall_figure({id + "_worst", std::string(heading) + ": the worst", what},
                                  stage_names(), run.worst)}};
}

Result<bool> tell_services(const StoryOptions& options, Story& story,
                           const std::function<void(const std::string&)>& progress) {
  const double seconds = options.quick ? 4.0 : 20.0;
  std::vector<plot::GoodputSeries> goodput;
  std::vector<plot::LoadPoint> curve;
  std::optional<ServiceRun> naive, bounded;
  const std::vector<double> loads =
      options.quick ? std::vector<double>{0.5, 0.8, kOverload, 3.0}
                    : std::vector<double>{0.3, 0.5, 0.7, 0.9, 1.1, kOverload, 3.0, 5.0};
  for (const batchd::Policy policy : {batchd::Policy::unbounded, batchd::Policy::bounded}) {
    goodput.push_back({std::string(to_string(policy)), {}});
    for (const double load : loads) {
      progress("batch service, " + goodput.back().name + ", offered " +
               plot::text_of(Quantity::share, load) + " of its capacity");
      const bool main = load == kOverload;
      Result<ServiceRun> run =
          run_service(policy, load, main ? seconds : seconds / 4.0, options.seed);
      if (!run.ok()) return run.status();
      goodput.back().points.push_back({run->offered, run->goodput});
      if (policy == batchd::Policy::bounded) {
        curve.push_back({run->offered, run->row.p50_us, run->row.p99_us});
      }
      if (main) (policy == batchd::Policy::unbounded ? naive : bounded) = *std::move(run);
    }
  }
  naive->row.name = "batch service, naive";
  bounded->row.name = "batch service, bounded";
  for (Row* const row : {&naive->row, &bounded->row}) {
    row->measures = "response time of the answered";
    row->essay_n = 2'780;
    row->essay_p50_us = 23.0e6;
    row->essay_p999_us = 46.1e6;
  }
  bounded->row.essay_p50_us = 23.8e6;
  bounded->row.essay_p999_us = 46.3e6;
  story.naive_p99_us = naive->row.p99_us;
  story.bounded_p99_us = bounded->row.p99_us;
  story.naive_in_time = naive->row.answered_in_time;
  story.bounded_in_time = bounded->row.answered_in_time;
  story.rows.push_back(naive->row);
  story.rows.push_back(bounded->row);
  story.sections.push_back(service_section(
      "naive", "A batch service without bounds",
      "More is offered than it can do. Its queue grows for as long as the run lasts, so the length "
      "of the run sets every figure.",
      *naive));
  story.sections.push_back(service_section(
      "bounded", "The same service with bounds",
      "The same operation and schedule behind vecserve's admission and batching: what cannot be "
      "answered in time is refused at once, and the rest is answered in time.",
      *bounded));
  const double capacity = batchd::BatchServiceOptions{}.capacity();
  story.sections.push_back(
      {"Offered load",
       {"Each point is a run of its own."},
       {},
       {plot::spectrum_figure({"services", "Naive and bounded",
                               "response time of the answered, from the intended start"},
                              {plot::spectrum_of("naive", naive->latencies_us),
                               plot::spectrum_of("bounded", bounded->latencies_us)}),
        plot::goodput_figure({"goodput", "Goodput against offered load",
                              "answered within 50 ms of the intended start"},
                             goodput, capacity),
        plot::curve_figure({"curve", "Latency of the bounded service against offered load",
                            "response time of the answered"},
                           curve, std::nullopt)}});
  return true;
}

}  // namespace

void fill(Row& row, std::vector<double> latencies_us) {
  std::sort(latencies_us.begin(), latencies_us.end());
  row.n = latencies_us.size();
  row.p50_us = supported(latencies_us, 0.5);
  row.p99_us = supported(latencies_us, 0.99);
  row.p999_us = supported(latencies_us, 0.999);
  row.max_us = latencies_us.empty() ? 0.0 : latencies_us.back();
}

Result<Story> tell(const StoryOptions& options,
                   const std::function<void(const std::string&)>& progress) {
  Story story;
  progress("probing one operation");
  const Result<bool> probed = tell_probe(options, story);
  if (!probed.ok()) return probed.status();
  const Result<bool> served = tell_services(options, story, progress);
  if (!served.ok()) return served.status();
  VECSERVE_TRY(tell_hedging(options, story, progress));
  return story;
}

plot::Table table_of(const std::vector<Row>& rows) {
  const auto time = [](double us) { return us > 0 ? plot::text_of(Quantity::micros, us) : "-"; };
  plot::Table table{"The essay's figures and this machine's",
                    {"", "measures", "essay p50", "p99", "p99.9", "here p50", "p99", "p99.9", "max",
                     "n", "in time"},
                    {}};
  for (const Row& row : rows) {
    table.rows.push_back(
        {row.name, row.measures, time(row.essay_p50_us), time(row.essay_p99_us),
         time(row.essay_p999_us), time(row.p50_us), time(row.p99_us), time(row.p999_us),
         time(row.max_us), std::to_string(row.n),
         row.answered_in_time > 0 ? plot::text_of(Quantity::share, row.answered_in_time) : "-"});
  }
  return table;
}

}  // namespace vecserve::lab
