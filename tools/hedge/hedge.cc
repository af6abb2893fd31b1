// hedge: searches sent through the hedged client to several servers at planned times, and what
// hedging did: second copies, which of them won, what became of the losers, and the response times
// from the intended start. Servers are vecserve or batchd --listen. Main thread.
// Exit codes: 0 done, 1 failed, 2 wrong flags, 3 the run is INVALID.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>

#include "tools/hedge/hedged_target.h"
#include "tools/loadgen/live_view.h"
#include "tools/loadgen/run_files.h"
#include "tools/loadgen/run_load.h"
#include "tools/loadgen/write_views.h"

namespace {

using namespace vecserve;

struct Flags {
  hedge::HedgedTargetOptions target;
  loadgen::LoadPlan plan;
  double timeout_ms = 1'000.0;
  double slo_ms = 100.0;
  bool unhedged = false;
  loadgen::RunFiles files;
};

void add_flags(CLI::App& app, Flags& flags) {
  flags.plan.schedule.duration_s = 10.0;
  flags.plan.warm_up_s = 2.0;
  flags.plan.cool_down_s = 0.5;
  app.add_option("servers", flags.target.addresses, "HOST:PORT or unix:/PATH, 1 to 64")
      ->required()
      ->expected(1, 64);
  app.add_option("--collection", flags.target.collection, "to search")->capture_default_str();
  app.add_option("--dim", flags.target.dim, "of its vectors")->capture_default_str();
  app.add_option("--k", flags.target.k, "nearest rows")->capture_default_str();
  app.add_option("--token", flags.target.token, "for the servers");
  app.add_option("--connections", flags.target.connections, "to each server")
      ->capture_default_str();
  app.add_option("--rate", flags.plan.schedule.rate, "searches a second")->capture_default_str();
  app.add_option("--seconds", flags.plan.schedule.duration_s, "of load, warm-up included")
      ->capture_default_str();
  app.add_option("--warm-up", flags.plan.warm_up_s, "seconds not reported")->capture_default_str();
  app.add_option("--seed", flags.plan.schedule.seed, "of arrivals, vectors and choices")
      ->capture_default_str();
  app.add_option("--budget", flags.target.hedge.budget, "second copies per call, 0 to 0.5")
      ->capture_default_str();
  app.add_option("--target-ms", flags.slo_ms, "what a call should take at most, milliseconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--timeout-ms", flags.timeout_ms, "of a call, milliseconds")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_flag("--unhedged", flags.unhedged, "the better of two servers, and no second copies");
  loadgen::add_file_flags(app, flags.files);
}

nlohmann::ordered_json to_json(const HedgeStats& stats) {
  return {{"sent", stats.calls + stats.hedges + stats.retries},
          {"calls", stats.calls},
          {"hedges", stats.hedges},
          {"won", stats.wins},
          {"cancelled_queued", stats.cancelled_queued},
          {"cancelled_running", stats.cancelled_running},
          {"wasted", stats.wasted},
          {"retries", stats.retries},
          {"no_budget", stats.no_budget},
          {"loaded", stats.loaded},
          {"learning", stats.learning},
          {"delay_us", static_cast<double>(stats.delay.count()) * 1e-3},
          {"load", stats.load}};
}

void print_stats(const HedgeStats& stats) {
  const auto row = [](const char* name, std::uint64_t count, const char* words) {
    std::printf("  %-18s %10llu  %s\n", name, static_cast<unsigned long long>(count), words);
  };
  std::printf("hedging\n");
  row("calls", stats.calls, "");
  row("second copies", stats.hedges, "of calls that were late");
  row("won", stats.wins, "answered before the first copy, or in its place");
  row("cancelled queued", stats.cancelled_queued, "losers that never ran");
  row("cancelled running", stats.cancelled_running, "losers stopped on the way");
  row("wasted", stats.wasted, "losers answered all the same");
  row("retries", stats.retries, "second copies of calls whose server was lost");
  row("no budget", stats.no_budget, "late calls that the budget did not allow to hedge");
  row("loaded", stats.loaded, "late calls not hedged: load, a refusal, or nobody better");
  std::printf("  a call is late after %.3f ms; the servers' load seems to be %.2f\n",
              static_cast<double>(stats.delay.count()) * 1e-6, stats.load);
}

int run(Flags& flags) {
  flags.target.timeout = std::chrono::microseconds(static_cast<int>(flags.timeout_ms * 1e3));
  flags.target.hedge.target = std::chrono::microseconds(static_cast<int>(flags.slo_ms * 1e3));
  flags.target.hedge.hedging = !flags.unhedged;
  flags.target.hedge.seed = flags.target.seed = flags.plan.schedule.seed;
  flags.plan.sender.drain_ns = static_cast<std::uint64_t>((flags.timeout_ms + 1'000.0) * 1e6);
  auto target = hedge::HedgedTarget::connect(flags.target);
  if (!target.ok()) throw std::runtime_error(target.status().to_string());
  loadgen::LiveView live(flags.files.json == "-");
  Result<loadgen::LoadRun> ran = loadgen::run_load(
      flags.plan, **target, [&](const loadgen::LiveState& state) { live.show(state); });
  live.finish();
  if (!ran.ok()) throw std::runtime_error(ran.status().to_string());
  (*target)->give_up();  // closed, it has heard of all losers
  const HedgeStats stats = (*target)->stats();
  ran->report.title.target = flags.unhedged ? "unhedged" : "hedged";
  ran->report.title.arrivals = "poisson";
  ran->report.title.mix = "search=100";
  nlohmann::ordered_json line = loadgen::to_json(ran->report);
  line["hedge"] = to_json(stats);
  loadgen::append_json(flags.files.json, line);
  if (flags.files.json.empty()) {
    loadgen::print_report(std::cout, ran->report);
    print_stats(stats);
    loadgen::print_views(std::cout, *ran);
  }
  loadgen::write_run_files(flags.files, *ran);
  return ran->report.judgement.verdict == loadgen::Verdict::invalid ? 3 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Searches through the hedged client, to several servers that hold the same rows");
  add_flags(app, flags);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(flags);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hedge: %s\n", error.what());
    return 1;
  }
}
