// The question: how fast are approximate answers of which recall, what does the graph cost to make
// and to keep, and does a recall target give that recall? Canonical run: bench_ann (Fashion-MNIST,
// k 10, one query at a time, one and two threads of building).
//   --data NAME --metric l2 --k 10 --ef 10,20,40 --targets 0.9,0.95,0.99 --threads 1,2
//   --filter-share 0.5,0.1,0.01,0.001 --queries 1000 --rows N --dim D --folder F
//   --filter-target 0.95 --rounds 3 --seconds 0.3 --planes automatic
//   --serve: after loading, read lines "K BATCH SECONDS" and "ef VALUE", answer as bench_exact does
// Columns: way, "ef", "target" or "exact"; ef, or the target that was asked for; recall, share of
// the true neighbours that were found; told, what the replies expected it to be; qps, of the best
// round; p50_us and p99_us; nodes, codes looked at per query; build_s, from the wish to the last
// row linked, on `threads` threads; memory_mib, of vectors, planes and graph, and memory_ratio,
// that by the bytes of the f32 vectors, of which vectors_mib, coarse_mib, sketch_mib and graph_mib
// are the parts; filter_share; plan, "walk" or "scan", what the planner chose. A filtered line of
// the way "exact" is the scan of the same filter.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <iostream>
#include <sstream>
#include <thread>

#include "tools/bench/bench_report.h"
#include "tools/bench/exact_search.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using Steady = std::chrono::steady_clock;

struct Flags {
  CommonFlags common;
  DatasetRequest data;
  std::string metric = "l2";
  std::uint32_t k = 10;
  std::vector<std::uint32_t> ef = {10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 120, 160, 240, 400};
  std::vector<double> targets = {0.9, 0.95, 0.99, 0.999};
  std::vector<std::uint32_t> threads = {1, 2};
  std::vector<double> shares;
  double filter_target = 0.95;
  std::string planes = "automatic";
  std::uint32_t rounds = 3;
  double seconds = 0.3;
  bool serve = false;
};

struct Built {
  double seconds = 0.0;
  CollectionStats stats;
};

CollectionStats stats_of(const Subject& subject) {
  const Result<CollectionStats> stats = subject.rows().stats();
  require(stats.ok(), stats.status().to_string());
  return *stats;
}

// Wishes for a graph and waits until it has every row; then asks until effort is measured with
// queries.
Built build(const Subject& subject) {
  constexpr std::chrono::minutes kMost{60};
  const auto start = Steady::now();
  SearchOptions wish;
  wish.recall = 0.9;
  const Query query(subject.data().query(0));
  require(subject.rows().search(query, wish).ok(), "the first search failed");
  Built built;
  for (;;) {
    built.stats = stats_of(subject);
    const auto took = Steady::now() - start;
    if (built.stats.rows_linked >= built.stats.rows) {
      built.seconds = std::chrono::duration<double>(took).count();
      break;
    }
    require(took < kMost, "the graph was never made");
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  while (!stats_of(subject).graph_measured) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return built;
}

Truth truth_of(const Dataset& data, const Flags& flags, std::uint32_t buckets) {
  const std::string folder = flags.common.smoke ? "" : flags.data.folder + "/cache";
  return find_truth(
      data, {*parse_metric(flags.metric), flags.common.smoke ? flags.k : 100U, buckets, folder});
}

struct Case {
  std::string way;
  double effort = 0.0;
  double share = 1.0;
};

void report_case(Report& report, const Subject& subject, const Built& built, const Flags& flags,
                 const Case& which, ExactFigures& figures) {
  const double raw = static_cast<double>(subject.data().rows.size()) * sizeof(float);
  const CollectionStats stats = stats_of(subject);
  const auto memory = static_cast<double>(stats.vector_bytes + stats.coarse_bytes +
                                          stats.sketch_bytes + stats.graph_bytes);
  report.add({{"data", subject.data().name},
              {"rows", subject.data().row_count()},
              {"dim", subject.data().dim},
              {"engine", "vecserve"},
              {"k", flags.k},
              {"threads", subject.options().threads},
              {"way", which.way},
              {"effort", which.effort},
              {"filter_share", which.share},
              {"recall", figures.recall()},
              {"told", figures.told},
              {"qps", *std::max_element(figures.round_qps.begin(), figures.round_qps.end())},
              {"p50_us", percentile(figures.latencies_us, 0.5)},
              {"p99_us", percentile(figures.latencies_us, 0.99)},
              {"nodes", figures.share(figures.reads.graph)},
              {"backend", figures.backend},
              {"plan", figures.backend.starts_with("graph/") ? "walk" : "scan"},
              {"build_s", built.seconds},
              {"vectors_mib", static_cast<double>(stats.vector_bytes) / (1 << 20)},
              {"coarse_mib", static_cast<double>(stats.coarse_bytes) / (1 << 20)},
              {"sketch_mib", static_cast<double>(stats.sketch_bytes) / (1 << 20)},
              {"graph_mib", static_cast<double>(stats.graph_bytes) / (1 << 20)},
              {"memory_mib", memory / (1 << 20)},
              {"memory_ratio", memory / raw}});
}

void run_case(Report& report, const Subject& subject, const Built& built, const Truth& truth,
              const Flags& flags, const Case& which) {
  ExactCase search{flags.k, 1, static_cast<std::uint32_t>(std::lround(which.share * kBuckets))};
  if (which.way == "ef") search.ef = static_cast<std::uint32_t>(which.effort);
  if (which.way == "target") search.recall = which.effort;
  ExactRunner runner(subject, truth, search);
  runner.warm(flags.common.smoke ? 0.01 : 0.2);
  for (std::uint32_t i = 0; i < flags.rounds; ++i) runner.round(flags.seconds);
  report_case(report, subject, built, flags, which, runner.figures());
}

void run_subject(Report& report, const Dataset& data, const Flags& flags, std::uint32_t threads) {
  const bool payload = !flags.shares.empty();
  progress("loading " + data.name);
  const Subject subject(
      data, {*parse_metric(flags.metric), threads, "", *parse_planes(flags.planes), payload});
  progress("linking, " + std::to_string(threads) + " threads");
  const Built built = build(subject);
  const Truth truth = truth_of(data, flags, kBuckets);
  for (const std::uint32_t ef : flags.ef) {
    run_case(report, subject, built, truth, flags, {"ef", static_cast<double>(ef), 1.0});
  }
  // The keeper measures effort with these queries when it has seen enough of them.
  std::this_thread::sleep_for(std::chrono::milliseconds(flags.common.smoke ? 10 : 2'000));
  for (const double target : flags.targets) {
    run_case(report, subject, built, truth, flags, {"target", target, 1.0});
  }
  run_case(report, subject, built, truth, flags, {"exact", 1.0, 1.0});
  for (const double share : flags.shares) {
    const Truth few =
        truth_of(data, flags, static_cast<std::uint32_t>(std::lround(share * kBuckets)));
    run_case(report, subject, built, few, flags, {"target", flags.filter_target, share});
    run_case(report, subject, built, few, flags, {"exact", 1.0, share});
  }
}

void serve(const Dataset& data, const Flags& flags) {
  const Truth truth = truth_of(data, flags, kBuckets);
  const Subject subject(data, {*parse_metric(flags.metric), flags.threads.front(), "",
                               *parse_planes(flags.planes), false});
  const Built built = build(subject);
  const CollectionStats stats = stats_of(subject);
  const auto memory = static_cast<double>(stats.vector_bytes + stats.coarse_bytes +
                                          stats.sketch_bytes + stats.graph_bytes);
  std::cout << nlohmann::ordered_json({{"ready", data.name},
                                       {"kernel", subject.kernels()},
                                       {"exact", false},
                                       {"build_s", built.seconds},
                                       {"memory_mib", memory / (1 << 20)}})
                   .dump()
            << std::endl;
  ExactCase search{flags.k, 1, kBuckets};
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string first;
    words >> first;
    if (first == "ef") {
      words >> search.ef;
      std::cout << "{}" << std::endl;
      continue;
    }
    double seconds = 0.0;
    words >> search.batch >> seconds;
    search.k = static_cast<std::uint32_t>(std::stoul(first));
    require(!words.fail() && search.k <= truth.per_query, "no such round: K BATCH SECONDS");
    ExactRunner runner(subject, truth, search);
    runner.warm(0.05);
    runner.round(seconds);
    ExactFigures& figures = runner.figures();
    std::cout << nlohmann::ordered_json(
                     {{"qps", figures.round_qps.front()},
                      {"p50_us", percentile(figures.latencies_us, 0.5)},
                      {"p99_us", percentile(figures.latencies_us, 0.99)},
                      {"recall", figures.recall()},
                      {"checked", figures.checked},
                      {"setting", figures.backend + " ef=" + std::to_string(search.ef)}})
                     .dump()
              << std::endl;
  }
}

void add_flags(CLI::App& app, Flags& flags) {
  add_common_flags(app, flags.common);
  add_data_flags(app, flags.data);
  app.add_option("--metric", flags.metric)->check(CLI::IsMember({"l2", "dot", "cosine"}));
  app.add_option("--k", flags.k)->check(CLI::Range(1, 100));
  app.add_option("--ef", flags.ef, "beams, in nodes")->delimiter(',')->check(CLI::Range(1, 65536));
  app.add_option("--targets", flags.targets, "recall targets")
      ->delimiter(',')
      ->check(CLI::Range(0.01, 0.9999));
  app.add_option("--threads", flags.threads, "that build")
      ->delimiter(',')
      ->check(CLI::Range(1, 256));
  app.add_option("--filter-share", flags.shares, "shares of the rows that filters keep")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--filter-target", flags.filter_target, "recall target of filtered searches")
      ->check(CLI::Range(0.01, 0.9999));
  app.add_option("--planes", flags.planes, "automatic, full, coarse, sketch")
      ->check(CLI::IsMember({"automatic", "full", "coarse", "sketch"}));
  app.add_option("--rounds", flags.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--seconds", flags.seconds, "of a round, at least");
  app.add_flag("--serve", flags.serve, "rounds on demand by lines of standard input");
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("Approximate search: recall, speed, building and memory of the graph");
  add_flags(app, flags);
  parse_flags(app, argc, argv);
  flags.data.seed = flags.common.seed;
  Report report("ann", flags.common);
  if (flags.common.smoke) {
    flags.data.name = "clusters";
    flags.data.rows = 9'000;
    flags.data.queries = 50;
    flags.ef = {10, 40};
    flags.targets = {0.9};
    flags.threads = {2};
    flags.shares = {0.1};
    flags.rounds = 1;
    flags.seconds = 0.02;
  }
  const Dataset data = load_dataset(flags.data);
  if (flags.serve) return serve(data, flags);
  for (const std::uint32_t threads : flags.threads) run_subject(report, data, flags, threads);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_ann", run, argc, argv);
}
