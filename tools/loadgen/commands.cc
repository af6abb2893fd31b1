// Flags, and the choice between a run, a sweep, a knee, a comparison and the self-test. Comes after
// main(); main thread. Always holds: results go where the flags say and nowhere else; a table goes
// to standard output when no JSON does.
#include "tools/loadgen/commands.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "tools/loadgen/compare.h"
#include "tools/loadgen/find_knee.h"
#include "tools/loadgen/live_view.h"
#include "tools/loadgen/make_target.h"
#include "tools/loadgen/mix.h"
#include "tools/loadgen/run_load.h"
#include "tools/loadgen/self_test.h"
#include "tools/loadgen/write_views.h"

namespace vecserve::loadgen {
namespace {

using nlohmann::ordered_json;

constexpr int kExitFailed = 1;
constexpr int kExitInvalid = 3;
constexpr int kExitSlower = 4;

std::string text_of_time(double unix_s) {
  const auto seconds = static_cast<std::time_t>(unix_s);
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

[[noreturn]] void refuse(const Status& status) {
  throw std::runtime_error(status.to_string());
}

LoadPlan plan_of(const Settings& settings, const Mix& mix, double rate) {
  LoadPlan plan;
  plan.schedule.rate = rate;
  plan.schedule.duration_s = settings.duration_s;
  plan.schedule.seed = settings.seed;
  const Status parsed = parse_arrivals(settings.arrivals, plan.schedule);
  if (!parsed.ok()) refuse(parsed);
  plan.weights = mix.weights();
  plan.warm_up_s = std::min(settings.warm_up_s, 0.2 * settings.duration_s);
  plan.cool_down_s = std::min(settings.cool_down_s, 0.1 * settings.duration_s);
  plan.closed_users = settings.closed_users;
  plan.sender.cpu = settings.cpu;
  plan.sender.drain_ns = static_cast<std::uint64_t>((settings.timeout_ms + 1'000.0) * 1e6);
  plan.noise_rate = settings.noise_rate;
  return plan;
}

LoadRun run_once(const Settings& settings, Target& target, double rate) {
  const Result<Mix> mix = parse_mix(settings.mix);
  if (!mix.ok()) refuse(mix.status());
  const LoadPlan plan = plan_of(settings, *mix, rate);
  LiveView view(settings.quiet);
  Result<LoadRun> run = run_load(plan, target, [&](const LiveState& state) { view.show(state); });
  view.finish();
  if (!run.ok()) refuse(run.status());
  RunTitle& title = run->report.title;
  title.target = settings.target;
  title.arrivals = settings.arrivals;
  title.mix = settings.mix;
  title.started = text_of_time(run->start_unix_s);
  return std::move(run).value();
}

void write_run(const Settings& settings, const LoadRun& run) {
  append_json(settings.files.json, to_json(run.report));
  if (settings.files.json.empty()) {
    print_report(std::cout, run.report);
    print_views(std::cout, run);
  }
  write_run_files(settings.files, run);
}

int command_run(const Settings& settings) {
  const std::unique_ptr<Target> target = make_target(settings);
  const LoadRun run = run_once(settings, *target, settings.rate);
  write_run(settings, run);
  return run.report.judgement.verdict == Verdict::invalid ? kExitInvalid : 0;
}

// Ten rates up to the asked one, when none are named.
std::vector<double> sweep_rates(const Settings& settings) {
  if (!settings.rates.empty()) return settings.rates;
  std::vector<double> rates;
  for (int step = 1; step <= 10; ++step) rates.push_back(settings.rate * step / 10.0);
  return rates;
}

int command_sweep(const Settings& settings) {
  const std::unique_ptr<Target> target = make_target(settings);
  std::vector<SweepPoint> points;
  if (settings.files.json.empty()) print_sweep_head(std::cout, false);
  for (const double rate : sweep_rates(settings)) {
    const LoadRun run = run_once(settings, *target, rate);
    append_json(settings.files.json, to_json(run.report));
    points.push_back(sweep_point(run.report));
    if (settings.files.json.empty()) print_sweep_point(std::cout, points.back(), false);
  }
  if (settings.files.json.empty()) print_curve(std::cout, points, std::nullopt);
  write_to(settings.files.svg, [&](std::ostream& out) { out << curve_svg(points, std::nullopt); });
  write_to(settings.files.html,
           [&](std::ostream& out) { out << curve_html(points, std::nullopt); });
  return 0;
}

int command_knee(const Settings& settings) {
  const Result<Slo> slo = parse_slo(settings.slo);
  if (!slo.ok()) refuse(slo.status());
  const Result<Mix> mix = parse_mix(settings.mix);
  if (!mix.ok()) refuse(mix.status());
  const LoadPlan plan = plan_of(settings, *mix, settings.rate);
  const double requests = settings.rate * (settings.duration_s - plan.warm_up_s);
  if (requests < 1.5 * static_cast<double>(samples_to_decide(*slo))) {
    refuse(Status::invalid_argument(
        "duration", settings.slo + " wants at least " +
                        std::to_string(samples_to_decide(*slo) * 3 / 2) +
                        " requests a run after warm-up; take a longer run or a higher --rate"));
  }
  const std::unique_ptr<Target> target = make_target(settings);
  KneeSearch::Options options;
  options.slo = *slo;
  options.rate_first = settings.rate;
  options.steps_max = settings.steps_max;
  if (settings.files.json.empty()) print_sweep_head(std::cout, true);
  const KneeResult found = find_knee(options, plan, *target, [&](const SweepPoint& p) {
    if (settings.files.json.empty()) print_sweep_point(std::cout, p, true);
  });
  append_json(settings.files.json, knee_json(found, settings));
  if (settings.files.json.empty()) {
    print_knee(std::cout, found, settings.slo);
    print_curve(std::cout, found.points, knee_mark(found, settings.slo));
  }
  const auto mark = knee_mark(found, settings.slo);
  write_to(settings.files.svg, [&](std::ostream& out) { out << curve_svg(found.points, mark); });
  write_to(settings.files.html, [&](std::ostream& out) { out << curve_html(found.points, mark); });
  return found.search.passed() > 0.0 ? 0 : kExitInvalid;
}

Comparable load_comparable(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (!std::getline(in, line)) throw std::runtime_error("cannot read " + path);
  Result<Comparable> read = read_comparable(nlohmann::json::parse(line, nullptr, false));
  if (!read.ok()) throw std::runtime_error(path + ": " + read.status().to_string());
  return std::move(read).value();
}

int command_compare(const Settings& settings) {
  const auto differences =
      compare(load_comparable(settings.compare.at(0)), load_comparable(settings.compare.at(1)));
  bool slower = false;
  ordered_json json = {{"tool", "loadgen"}, {"compare", settings.compare}};
  if (settings.files.json.empty()) {
    std::printf("response times of A = %s and B = %s\n%-7s %12s %12s %10s  %-22s %s\n",
                settings.compare[0].c_str(), settings.compare[1].c_str(), "", "A", "B", "B / A",
                "95 % interval", "");
  }
  for (const Difference& d : differences) {
    slower = slower || (d.significant && d.ratio > 1.0);
    json["percentiles"].push_back({{"quantile", d.quantile},
                                   {"a_us", d.a_ns / 1e3},
                                   {"b_us", d.b_ns / 1e3},
                                   {"ratio", d.ratio},
                                   {"low", d.low},
                                   {"high", d.high},
                                   {"doubt", d.doubt},
                                   {"significant", d.significant}});
    if (!settings.files.json.empty()) continue;
    std::printf("p%-6.6g %12s %12s %10.4f  %.4f to %.4f       %s\n", 100 * d.quantile,
                duration_text(d.a_ns).c_str(), duration_text(d.b_ns).c_str(), d.ratio, d.low,
                d.high,
                !d.significant  ? "no difference shown"
                : d.ratio > 1.0 ? "B is SLOWER"
                                : "B is faster");
  }
  json["b_is_slower"] = slower;
  append_json(settings.files.json, json);
  if (settings.files.json.empty()) {
    std::printf(
        "significant at 5 %% over all lines together, with neighbouring requests' "
        "resemblance counted;\ndifferences between two runs of the same program are not: "
        "repeat the runs to see them\n");
  }
  return slower ? kExitSlower : 0;
}

int command_self_test(const Settings& settings) {
  SelfTestOptions options;
  options.smoke = settings.smoke;
  options.allocations = settings.allocations;
  if (!settings.quiet) {
    options.progress = [](const std::string& text) { std::fprintf(stderr, "%s\n", text.c_str()); };
  }
  options.report = [&](const CheckLine& line) {
    append_json(settings.files.json, {{"name", line.name},
                                      {"figure", line.figure},
                                      {"limit", line.limit},
                                      {"holds", line.holds},
                                      {"unit", line.unit},
                                      {"note", line.note}});
    if (!settings.files.json.empty()) return;
    std::printf("%-40s %12.4g %s %-12.4g %-6s %s\n    %s\n", line.name.c_str(), line.figure,
                line.at_least ? ">=" : "<=", line.limit, line.unit.c_str(),
                line.holds ? "holds" : "DOES NOT HOLD", line.note.c_str());
  };
  const bool holds = self_test(options);
  return holds || settings.smoke ? 0 : kExitFailed;
}

}  // namespace

int run_command(const Settings& settings) {
  if (settings.self_test) return command_self_test(settings);
  if (!settings.compare.empty()) return command_compare(settings);
  if (settings.find_knee) return command_knee(settings);
  if (settings.sweep) return command_sweep(settings);
  return command_run(settings);
}

}  // namespace vecserve::loadgen
