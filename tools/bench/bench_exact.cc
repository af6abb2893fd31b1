// The question: how fast are exact answers, how near is that to what the machine can do, and are
// they right? Canonical run: bench_exact (Fashion-MNIST, k 10, some batches, one and two threads).
//   --data NAME --metric l2 --k 10,100 --batch 1,32 --threads 1,2 --filter-share 1,0.01
//   --kernels avx512,avx2 --planes coarse,full --queries 1000 --rows N --dim D --folder F
//   --rounds 5 --seconds 0.3
//   --export FOLDER: only write rows.npy, queries.npy and truth.npy there
//   --serve: after loading, read lines "K BATCH SECONDS" and answer each with one JSON line
// Columns: qps, of the best round (qps_median, and noise = (best - worst) / median, tell how quiet
// the machine was); p50_us and p99_us, of a call with a whole batch; recall, certified_share and
// rerun_share, over all answers (checked of them were compared with the double-precision truth,
// which must agree to the bit); planes, those walked; bandwidth_share, bytes that the dominant
// plane has per second (each batch reads it once, so above 1 is possible with small batches of
// cached planes) against a plain read loop; compute_share, its multiplications against a plain
// loop on the same unit. Both loops run between the rounds, on as many threads. scan_share and
// rescore_share, of the time inside the search.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <map>

#include "tools/bench/bench_report.h"
#include "tools/bench/ceilings.h"
#include "tools/bench/dataset_files.h"
#include "tools/bench/exact_search.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;

struct Flags {
  CommonFlags common;
  DatasetRequest data;
  std::string metric = "l2";
  std::vector<std::uint32_t> k = {10};
  std::vector<std::uint32_t> batch = {1, 10, 32, 250, 1000};
  std::vector<std::uint32_t> threads = {1, 2};
  std::vector<double> shares = {1.0};
  std::vector<std::string> kernels = {""};
  std::vector<std::string> planes = {"automatic"};
  std::uint32_t rounds = 5;
  double seconds = 0.3;
  double warm_seconds = 2.0;
  bool serve = false;
  std::string export_folder;

  [[nodiscard]] std::uint32_t k_max() const { return *std::max_element(k.begin(), k.end()); }
};

std::uint32_t buckets_of(double share) {
  return static_cast<std::uint32_t>(std::lround(share * kBuckets));
}

Truth truth_of(const Dataset& data, const Flags& flags, std::uint32_t buckets) {
  const std::string folder = flags.common.smoke ? "" : flags.data.folder + "/cache";
  // Rounded up, so that runs with different k share a file.
  std::uint32_t k = 100;
  while (k < flags.k_max()) k *= 10;
  if (flags.common.smoke) k = flags.k_max();
  return find_truth(data, {*parse_metric(flags.metric), k, buckets, folder});
}

struct Answers {
  std::map<std::uint32_t, Truth> truths;  // by buckets
  std::size_t wrong = 0;
};

void report_case(Report& report, const Subject& subject, const ExactCase& search,
                 std::uint32_t threads, const std::string& metric, ExactFigures& figures,
                 const Ceilings& ceilings) {
  const Dataset& data = subject.data();
  const double best = *std::max_element(figures.round_qps.begin(), figures.round_qps.end());
  const double worst = *std::min_element(figures.round_qps.begin(), figures.round_qps.end());
  const double middle = median(figures.round_qps);
  const auto rows = static_cast<double>(data.row_count());
  const double share = static_cast<double>(search.buckets) / kBuckets;
  const double bytes = rows * share * static_cast<double>(figures.use.row_bytes);
  const double terms = rows * share * data.dim;
  const double unit_terms = figures.use.bytes ? ceilings.i8_terms : ceilings.f32_terms;
  report.add({{"data", data.name},
              {"rows", data.row_count()},
              {"dim", data.dim},
              {"metric", metric},
              {"k", search.k},
              {"threads", threads},
              {"batch", search.batch},
              {"filter_share", share},
              {"qps", best},
              {"qps_median", middle},
              {"noise", (best - worst) / middle},
              {"p50_us", percentile(figures.latencies_us, 0.5)},
              {"p99_us", percentile(figures.latencies_us, 0.99)},
              {"kernel", figures.use.kernel},
              {"planes", figures.use.planes},
              {"recall", figures.recall()},
              {"certified_share", figures.share(figures.certified)},
              {"rerun_share", figures.share(figures.reruns)},
              {"rows_sketch", figures.share(figures.reads.sketch)},
              {"rows_sketch_fine", figures.share(figures.reads.sketch_fine)},
              {"rows_coarse", figures.share(figures.reads.coarse)},
              {"rows_full", figures.share(figures.reads.full)},
              {"bandwidth_share", best / search.batch * bytes / ceilings.read_bytes},
              {"compute_share", best * terms / unit_terms},
              {"compute_unit", figures.use.unit},
              {"read_gb_s", ceilings.read_bytes * 1e-9},
              {"compute_gterms_s", unit_terms * 1e-9},
              {"scan_share", figures.stage_share(figures.scan_ns)},
              {"rescore_share", figures.stage_share(figures.rescore_ns)},
              {"checked", figures.checked}});
}

void run_case(Report& report, const Subject& subject, Answers& answers, const ExactCase& search,
              const Flags& flags, std::uint32_t threads, CeilingProbe& probe) {
  ExactRunner runner(subject, answers.truths.at(search.buckets), search);
  runner.warm(flags.warm_seconds);
  const PlaneUse& use = runner.figures().use;
  probe.use_units(use.bytes ? f32_unit_of(subject.kernels()) : use.unit,
                  use.bytes ? use.unit : i8_unit_of(use.kernel));
  probe.forget();
  for (std::uint32_t i = 0; i < flags.rounds; ++i) {
    probe.measure();
    runner.round(flags.seconds);
  }
  report_case(report, subject, search, threads, flags.metric, runner.figures(), probe.best());
  if (runner.figures().wrong == 0) return;
  answers.wrong += runner.figures().wrong;
  progress("WRONG: " + runner.figures().first_wrong);
}

void run_subject(Report& report, const Dataset& data, Answers& answers, const Flags& flags,
                 const SubjectOptions& options) {
  progress("loading " + data.name + ", " + std::to_string(options.threads) + " threads");
  const Subject subject(data, options);
  const std::size_t probe_bytes = std::size_t{flags.common.smoke ? 4U : 256U} << 20;
  CeilingProbe probe(options.threads, probe_bytes, flags.common.smoke ? 1e-4 : 0.03);
  for (const double share : flags.shares) {
    for (const std::uint32_t k : flags.k) {
      for (const std::uint32_t batch : flags.batch) {
        run_case(report, subject, answers, {k, batch, buckets_of(share)}, flags, options.threads,
                 probe);
      }
    }
  }
}

void run_data(Report& report, const Dataset& data, const Flags& flags) {
  Answers answers;
  bool payload = false;
  for (const double share : flags.shares) {
    progress("the right answers of " + data.name);
    answers.truths[buckets_of(share)] = truth_of(data, flags, buckets_of(share));
    payload = payload || buckets_of(share) < kBuckets;
  }
  for (const std::string& kernels : flags.kernels) {
    for (const std::string& planes : flags.planes) {
      for (const std::uint32_t threads : flags.threads) {
        run_subject(
            report, data, answers, flags,
            {*parse_metric(flags.metric), threads, kernels, *parse_planes(planes), payload});
      }
    }
  }
  require(answers.wrong == 0, std::to_string(answers.wrong) + " answers were not the right ones");
}

void run_smoke(Report& report, Flags flags) {
  flags.k = {1, 10};
  flags.batch = {1, 7};
  flags.threads = {1, 2};
  flags.shares = {1.0, 0.1};
  flags.rounds = 1;
  flags.seconds = 1e-3;
  flags.warm_seconds = 0.02;
  flags.data.rows = 1500;
  flags.data.queries = 20;
  for (const char* name : {"gaussian", "unit33", "ties", "nearties", "outlier"}) {
    flags.data.name = name;
    run_data(report, load_dataset(flags.data), flags);
  }
}

void export_files(const Dataset& data, const Flags& flags) {
  std::filesystem::create_directories(flags.export_folder);
  const Truth truth = truth_of(data, flags, kBuckets);
  write_npy(flags.export_folder + "/rows.npy", data.rows, data.dim);
  write_npy(flags.export_folder + "/queries.npy", data.queries, data.dim);
  write_npy(flags.export_folder + "/truth.npy", truth.ids, truth.per_query);
}

// Rounds on demand, so that another program can let engines take turns.
void serve(const Dataset& data, const Flags& flags) {
  const Truth truth = truth_of(data, flags, kBuckets);
  const Subject subject(data, {*parse_metric(flags.metric), flags.threads.front(),
                               flags.kernels.front(), *parse_planes(flags.planes.front()), false});
  std::cout << nlohmann::ordered_json({{"ready", data.name}, {"kernel", subject.kernels()}}).dump()
            << std::endl;
  std::uint32_t k = 0;
  std::uint32_t batch = 0;
  double seconds = 0.0;
  while (std::cin >> k >> batch >> seconds) {
    require(k >= 1 && k <= truth.per_query && batch >= 1, "no such round: K BATCH SECONDS");
    ExactRunner runner(subject, truth, {k, batch, kBuckets});
    runner.warm(0.0);
    runner.round(seconds);
    ExactFigures& figures = runner.figures();
    const nlohmann::ordered_json line = {{"qps", figures.round_qps.front()},
                                         {"p50_us", percentile(figures.latencies_us, 0.5)},
                                         {"p99_us", percentile(figures.latencies_us, 0.99)},
                                         {"recall", figures.recall()},
                                         {"wrong", figures.wrong},
                                         {"checked", figures.checked},
                                         {"certified_share", figures.share(figures.certified)},
                                         {"kernel", figures.use.kernel},
                                         {"planes", figures.use.planes}};
    std::cout << line.dump() << std::endl;
  }
}

void add_flags(CLI::App& app, Flags& flags) {
  add_common_flags(app, flags.common);
  add_data_flags(app, flags.data);
  app.add_option("--metric", flags.metric)->check(CLI::IsMember({"l2", "dot", "cosine", "l1"}));
  app.add_option("--k", flags.k)->delimiter(',')->check(CLI::Range(1, 65536));
  app.add_option("--batch", flags.batch)->delimiter(',')->check(CLI::Range(1, 65536));
  app.add_option("--threads", flags.threads)->delimiter(',')->check(CLI::Range(1, 1024));
  app.add_option("--filter-share", flags.shares, "share of the rows that the filter keeps")
      ->delimiter(',')
      ->check(CLI::Range(0.001, 1.0));
  app.add_option("--kernels", flags.kernels, "force tables of kernels")->delimiter(',');
  app.add_option("--planes", flags.planes, "force planes: automatic, full, coarse, sketch")
      ->delimiter(',')
      ->check(CLI::IsMember({"automatic", "full", "coarse", "sketch"}));
  app.add_option("--rounds", flags.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--seconds", flags.seconds, "of a round, at least");
  app.add_option("--export", flags.export_folder, "only write the data as .npy files");
  app.add_flag("--serve", flags.serve, "rounds on demand by lines of standard input");
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("Exact search against the truth and against what the machine can do");
  add_flags(app, flags);
  parse_flags(app, argc, argv);
  flags.data.seed = flags.common.seed;
  Report report("exact", flags.common);
  if (flags.common.smoke) return run_smoke(report, flags);
  const Dataset data = load_dataset(flags.data);
  if (!flags.export_folder.empty()) return export_files(data, flags);
  if (flags.serve) return serve(data, flags);
  run_data(report, data, flags);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_exact", run, argc, argv);
}
