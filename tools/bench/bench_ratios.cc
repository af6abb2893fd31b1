// The question: does the cost of exact search grow as it should? With k, with the number of rows,
// with the share that a filter keeps, with threads; and what do the planes cost when rows are
// written? Canonical run: bench_ratios --json -
//   --cases k,rows,filter,threads,insert --data NAME --batch 250 --rows-max 4000000 --dim 64
//   --rounds 7 --seconds 0.3
// Columns: case; what, the one thing that differs from the base of the case; qps and base_qps (rows
// a second for insert), the best of rounds that take turns; ratio, of the two as the bound means
// it; bound and holds ("-" where nothing is promised). k: cost against k = 10, at most 3. rows:
// cost per row against that of 10,000 rows, at most 1.1 (synthetic normal rows of --dim). filter:
// cost when 1 % is kept against all rows, at most 0.1. threads: speed of two against one, at
// least 1.8 in batches. insert: speed with planes against without, at least 0.8. Every answer is
// checked.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>

#include "tools/bench/bench_report.h"
#include "tools/bench/exact_search.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;

struct Flags {
  CommonFlags common;
  DatasetRequest data;
  std::vector<std::string> cases = {"k", "rows", "filter", "threads", "insert"};
  std::uint32_t batch = 250;
  std::size_t rows_max = 4'000'000;
  std::uint32_t dim = 64;
  std::uint32_t rounds = 7;
  double seconds = 0.3;
};

enum class Bound { none, at_most, at_least };

struct Line {
  std::string name;
  std::string what;
  std::string data;
  std::uint32_t batch = 0;
  double qps = 0.0;
  double base_qps = 0.0;
  double ratio = 0.0;
  Bound kind = Bound::none;
  double bound = 0.0;
};

void add_line(Report& report, const Line& line) {
  const bool holds =
      line.kind == Bound::at_most ? line.ratio <= line.bound : line.ratio >= line.bound;
  const nlohmann::ordered_json unknown = "-";
  report.add({{"case", line.name},
              {"what", line.what},
              {"data", line.data},
              {"batch", line.batch},
              {"qps", line.qps},
              {"base_qps", line.base_qps},
              {"ratio", line.ratio},
              {"bound", line.kind == Bound::none ? unknown : nlohmann::ordered_json(line.bound)},
              {"holds", line.kind == Bound::none ? unknown : nlohmann::ordered_json(holds)}});
}

// A case of search and the best that it reached.
struct Side {
  Side(const Subject& subject, const Truth& truth, const ExactCase& search)
      : runner(subject, truth, search) {}
  [[nodiscard]] double best() {
    const std::vector<double>& rounds = runner.figures().round_qps;
    return *std::max_element(rounds.begin(), rounds.end());
  }
  ExactRunner runner;
};

// Both in turn, so that a busy machine disturbs them alike.
void take_turns(const Flags& flags, Side& base, Side& other) {
  for (Side* side : {&base, &other}) side->runner.warm(flags.common.smoke ? 0.0 : 0.5);
  for (std::uint32_t i = 0; i < flags.rounds; ++i) {
    base.runner.round(flags.seconds);
    other.runner.round(flags.seconds);
  }
  for (const Side* side : {&base, &other}) {
    require(side->runner.figures().wrong == 0, "wrong: " + side->runner.figures().first_wrong);
  }
}

Truth truth_of(const Flags& flags, const Dataset& data, std::uint32_t k, std::uint32_t buckets) {
  return find_truth(
      data, {Metric::l2, k, buckets, flags.common.smoke ? "" : flags.data.folder + "/cache"});
}

void run_k(Report& report, const Flags& flags, const Dataset& data) {
  const std::uint32_t most = flags.common.smoke ? 100 : 1000;
  const Truth truth = truth_of(flags, data, most, kBuckets);
  const Subject subject(data, {});
  for (const std::uint32_t k : {100U, most}) {
    Side base(subject, truth, {10, flags.batch, kBuckets});
    Side more(subject, truth, {k, flags.batch, kBuckets});
    take_turns(flags, base, more);
    add_line(report, {"k", "k=" + std::to_string(k), data.name, flags.batch, more.best(),
                      base.best(), base.best() / more.best(), Bound::at_most, 3.0});
  }
}

void run_rows(Report& report, const Flags& flags) {
  DatasetRequest request = flags.data;
  request.name = "gaussian";
  request.dim = flags.dim;
  request.queries = flags.common.smoke ? 5 : flags.batch;
  const std::size_t first = flags.common.smoke ? 500 : 10'000;
  request.rows = first;
  const Dataset small = load_dataset(request);
  const Truth small_truth = truth_of(flags, small, 10, kBuckets);
  SubjectOptions options;
  const Subject small_subject(small, options);
  for (std::size_t rows = first * 10;; rows *= 10) {
    request.rows = std::min(rows, flags.rows_max);
    progress("rows: " + std::to_string(request.rows));
    const Dataset large = load_dataset(request);
    const Truth truth = truth_of(flags, large, 10, kBuckets);
    const Subject subject(large, options);
    for (const std::uint32_t batch : {1U, flags.batch}) {
      Side base(small_subject, small_truth, {10, batch, kBuckets});
      Side more(subject, truth, {10, batch, kBuckets});
      take_turns(flags, base, more);
      const double growth = static_cast<double>(request.rows) / static_cast<double>(first);
      // One query of few rows reads them from a cache: only batches are comparable.
      add_line(report, {"rows", "rows=" + std::to_string(request.rows), large.name, batch,
                        more.best(), base.best(), base.best() / more.best() / growth,
                        batch == 1 ? Bound::none : Bound::at_most, 1.1});
    }
    if (request.rows == flags.rows_max) break;
  }
}

void run_filter(Report& report, const Flags& flags, const Dataset& data) {
  constexpr std::uint32_t kKept = kBuckets / 100;
  const Truth all = truth_of(flags, data, 10, kBuckets);
  const Truth few = truth_of(flags, data, 10, kKept);
  SubjectOptions options;
  options.payload = true;
  const Subject subject(data, options);
  for (const std::uint32_t batch : {1U, 10U, flags.batch}) {
    Side base(subject, all, {10, batch, kBuckets});
    Side kept(subject, few, {10, batch, kKept});
    take_turns(flags, base, kept);
    add_line(report, {"filter", "keeps 1 %", data.name, batch, kept.best(), base.best(),
                      base.best() / kept.best(), Bound::at_most, 0.1});
  }
}

void run_threads(Report& report, const Flags& flags, const Dataset& data) {
  const Truth truth = truth_of(flags, data, 10, kBuckets);
  SubjectOptions options;
  const Subject one(data, options);
  options.threads = 2;
  const Subject two(data, options);
  for (const std::uint32_t batch : {1U, 10U, flags.batch}) {
    Side base(one, truth, {10, batch, kBuckets});
    Side both(two, truth, {10, batch, kBuckets});
    take_turns(flags, base, both);
    add_line(report,
             {"threads", "2 threads", data.name, batch, both.best(), base.best(),
              both.best() / base.best(), batch < flags.batch ? Bound::none : Bound::at_least, 1.8});
  }
}

// Rows a second of durable inserts in batches, into a fresh database.
double insert_rate(const Dataset& data, Planes planes, const std::string& folder) {
  DatabaseOptions database;
  database.in_memory = folder.empty();
  database.planes = planes;
  Result<Database> opened = Database::open(folder, database);
  require(opened.ok(), opened.status().to_string());
  CollectionOptions shape;
  shape.dim = data.dim;
  Collection rows = opened->create_collection("rows", shape).value();
  std::vector<RowInput> batch;
  double seconds = 0.0;
  for (std::size_t first = 0; first < data.row_count(); first += 1000) {
    batch.assign(std::min<std::size_t>(1000, data.row_count() - first), {});
    for (std::size_t i = 0; i < batch.size(); ++i) {
      batch[i].id = RowId(std::uint64_t{first + i});
      batch[i].vector = VectorView(data.row(first + i));
    }
    const auto start = std::chrono::steady_clock::now();
    const Result<WriteResult> written = rows.insert(batch);
    seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    require(written.ok(), written.status().to_string());
  }
  require(rows.count().value() == data.row_count(), "rows are missing after the inserts");
  require(opened->close().ok(), "close failed");
  if (!folder.empty()) std::filesystem::remove_all(folder);
  return static_cast<double>(data.row_count()) / seconds;
}

void run_insert(Report& report, const Flags& flags) {
  const BenchFolder folder(flags.common);
  for (const std::uint32_t dim : {128U, 768U}) {
    DatasetRequest request = flags.data;
    request.name = "gaussian";
    request.dim = dim;
    request.rows = flags.common.smoke ? 2000 : 50'000;
    const Dataset data = load_dataset(request);
    for (const bool durable : {true, false}) {
      const std::string path = durable ? folder.at("db") : std::string();
      double with = 0.0;
      double without = 0.0;
      for (std::uint32_t i = 0; i < flags.rounds; ++i) {
        without = std::max(without, insert_rate(data, Planes::full, path));
        with = std::max(with, insert_rate(data, Planes::automatic, path));
      }
      const std::string what =
          std::string(durable ? "synced" : "in memory") + ", dim " + std::to_string(dim);
      add_line(report, {"insert", what, data.name, 1000, with, without, with / without,
                        durable ? Bound::at_least : Bound::none, 0.8});
    }
  }
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("How the cost of exact search grows, against what is promised");
  add_common_flags(app, flags.common);
  app.add_option("--cases", flags.cases)
      ->delimiter(',')
      ->check(CLI::IsMember({"k", "rows", "filter", "threads", "insert"}));
  app.add_option("--data", flags.data.name, "for k, filter and threads; see dataset.h");
  app.add_option("--folder", flags.data.folder, "where made data and right answers are kept");
  app.add_option("--batch", flags.batch, "queries of a call")->check(CLI::Range(2, 65536));
  app.add_option("--rows-max", flags.rows_max)->check(CLI::Range(100'000, 100'000'000));
  app.add_option("--dim", flags.dim, "for rows")->check(CLI::Range(1, 65536));
  app.add_option("--rounds", flags.rounds)->check(CLI::Range(1, 1000));
  app.add_option("--seconds", flags.seconds, "of a round, at least");
  parse_flags(app, argc, argv);
  flags.data.seed = flags.common.seed;
  if (flags.common.smoke) {
    flags.data.name = "gaussian";
    flags.data.rows = 2000;
    flags.data.queries = 20;
    flags.data.dim = 24;
    flags.batch = 5;
    flags.rows_max = 5000;
    flags.dim = 24;
    flags.rounds = 1;
    flags.seconds = 1e-3;
  }
  Report report("ratios", flags.common);
  const auto asked = [&](const char* name) {
    return std::find(flags.cases.begin(), flags.cases.end(), name) != flags.cases.end();
  };
  if (asked("k") || asked("filter") || asked("threads")) {
    const Dataset data = load_dataset(flags.data);
    if (asked("k")) run_k(report, flags, data);
    if (asked("filter")) run_filter(report, flags, data);
    if (asked("threads")) run_threads(report, flags, data);
  }
  if (asked("rows")) run_rows(report, flags);
  if (asked("insert")) run_insert(report, flags);
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_ratios", run, argc, argv);
}
