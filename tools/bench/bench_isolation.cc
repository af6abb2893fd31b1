// Do searches wait for writers? Canonical run: bench_isolation --json -. One thread searches a
// collection, one query at a time, in phases that alternate between quiet and busy; in the busy
// ones a writer replaces rows of the same collection in batches of 100 as fast as it can. Columns:
// p50 and p99 of a search in microseconds, quiet and busy, over all phases; ratio, p99_busy_us /
// p99_quiet_us; writes_per_s, rows the writer got through meanwhile, to show that it was there.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tools/bench/bench_report.h"
#include "tools/bench/loaded_database.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kWriteRows = 100;

struct Settings {
  CommonFlags common;
  DatabaseShape shape{10'000, 128, 1};
  std::uint32_t k = 10;
  std::uint32_t threads = 0;
  std::uint32_t phases = 10;  // of each kind
  std::uint32_t phase_ms = 1000;
  std::string durability = "sync";
};

// Replaces rows with themselves until told to stop, so that the answers never change.
class Writer {
 public:
  Writer(Collection rows, const DatabaseShape& shape)
      : rows_(std::move(rows)), shape_(shape), thread_([this] { run(); }) {}
  ~Writer() { end(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Returns how many rows were written.
  std::uint64_t stop() {
    end();
    require(!failed_, "a write failed");
    return written_;
  }

 private:
  void end() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }

  void run() {
    std::vector<std::vector<float>> vectors;
    for (std::uint64_t row = 0; row < shape_.rows; ++row) {
      vectors.push_back(row_vector(shape_, row));
    }
    std::vector<RowInput> batch(kWriteRows);
    for (std::uint64_t first = 0; !stop_; first += kWriteRows) {
      for (std::uint64_t i = 0; i < kWriteRows; ++i) {
        const std::uint64_t row = (first + i) % shape_.rows;
        batch[i].id = RowId(row);
        batch[i].vector = VectorView(vectors[row]);
      }
      if (!rows_.upsert(batch).ok()) {
        failed_ = true;
        return;
      }
      written_ += kWriteRows;
    }
  }

  Collection rows_;
  const DatabaseShape shape_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> written_{0};
  std::thread thread_;
};

// Searches until the phase is over and adds each search's microseconds.
void search_phase(const Settings& settings, const Collection& rows, std::uint64_t& query_number,
                  std::vector<double>& times_us) {
  SearchOptions options;
  options.k = settings.k;
  SearchResult result;
  const auto end = Clock::now() + std::chrono::milliseconds(settings.phase_ms);
  while (Clock::now() < end) {
    const std::uint64_t row = query_number++ * 7919 % settings.shape.rows;
    const std::vector<float> vector = row_vector(settings.shape, row);
    const std::vector<Query> queries = {Query(vector)};
    const auto begin = Clock::now();
    const Status status = rows.search(queries, options, result);
    times_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    require(status.ok(), status.to_string());
    require(result.of(0).size() == settings.k && result.of(0)[0].id == RowId(row) &&
                result.of(0)[0].distance == 0.0 && result.rows_visible == settings.shape.rows,
            "a search is wrong beside the writer");
  }
}

void run(int argc, char** argv) {
  Settings settings;
  CLI::App app("The tail of searches with and without a writer at full speed");
  add_common_flags(app, settings.common);
  app.add_option("--rows", settings.shape.rows)->check(CLI::Range(100, 100'000'000));
  app.add_option("--dim", settings.shape.dim)->check(CLI::Range(1, 65536));
  app.add_option("--k", settings.k)->check(CLI::Range(1, 100));
  app.add_option("--threads", settings.threads, "of a search; 0: one per core");
  app.add_option("--phases", settings.phases)->check(CLI::PositiveNumber);
  app.add_option("--phase-ms", settings.phase_ms)->check(CLI::PositiveNumber);
  app.add_option("--durability", settings.durability)->check(CLI::IsMember({"sync", "process"}));
  parse_flags(app, argc, argv);
  if (settings.common.smoke) {
    settings.shape.rows = 1000;
    settings.phases = 2;
    settings.phase_ms = 50;
  }
  settings.shape.seed = settings.common.seed;
  const BenchFolder folder(settings.common);
  DatabaseOptions options;
  options.threads = settings.threads;
  options.durability = settings.durability == "process" ? Durability::process : Durability::sync;
  Result<Database> database = Database::open(folder.at("db"), options);
  require(database.ok(), database.status().to_string());
  const Collection rows = load_rows(*database, settings.shape);
  check_rows(rows, settings.shape);

  std::vector<double> quiet_us, busy_us;
  std::uint64_t query_number = 0, written = 0;
  for (std::uint32_t phase = 0; phase < settings.phases; ++phase) {
    search_phase(settings, rows, query_number, quiet_us);
    Writer writer(rows, settings.shape);
    search_phase(settings, rows, query_number, busy_us);
    written += writer.stop();
  }
  const double busy_s = static_cast<double>(settings.phases * settings.phase_ms) / 1000.0;
  const double p99_quiet = percentile(quiet_us, 0.99), p99_busy = percentile(busy_us, 0.99);
  Report report("isolation", settings.common);
  report.add({{"rows", settings.shape.rows},
              {"dim", settings.shape.dim},
              {"k", settings.k},
              {"threads", database->stats().threads},
              {"p50_quiet_us", percentile(quiet_us, 0.5)},
              {"p50_busy_us", percentile(busy_us, 0.5)},
              {"p99_quiet_us", p99_quiet},
              {"p99_busy_us", p99_busy},
              {"ratio", p99_busy / p99_quiet},
              {"searches", quiet_us.size() + busy_us.size()},
              {"writes_per_s", static_cast<double>(written) / busy_s},
              {"kernels", database->stats().kernels}});
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_isolation", run, argc, argv);
}
