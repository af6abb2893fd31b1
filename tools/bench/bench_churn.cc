// The question: what do writes do to approximate searches, at the moment and in the long run?
// Canonical run: bench_churn (Fashion-MNIST, 20,000 rows alive, 2,000 writes a second).
//   --data NAME --live 20000 --rate 2000 --turnover 10 --recall 0.95 --threads 2
//   --seconds 5: of searching without and with writes, each
// One thread searches, one query after another; one thread inserts a row, updates one or erases the
// oldest, in turn, at a fixed rate and without waiting for late ones. Then rows are replaced as
// fast as the graph takes them, until all have been replaced `turnover` times.
// Lines: phase "quiet" and "writing": p50_us, p99_us, p999_us, qps, writes_s (as many as were
// made), tail_max (rows past the watermark); phase "turnover": after each, recall, live, nodes_mib,
// tail; phase "fresh": the same rows in a new collection. The last one, phase "churn":
// recall_drop, of the fresh recall; p99_ratio, writing by quiet; unreachable, live rows that a
// search for their own vector does not find; memory_ratio, graph memory by that of the fresh one.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>
#include <thread>

#include "tools/bench/bench_report.h"
#include "tools/bench/dataset.h"
#include "vecserve/vecserve.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using Steady = std::chrono::steady_clock;

struct Flags {
  CommonFlags common;
  DatasetRequest data;
  std::size_t live = 20'000;
  double rate = 2'000.0;
  std::uint32_t turnover = 10;
  double recall = 0.95;
  std::uint32_t threads = 2;
  double seconds = 5.0;
};

constexpr std::uint32_t kK = 10;
constexpr std::size_t kLoadBatch = 5'000;

// Ids rise for ever; id i has the vector of row i modulo the rows of the data.
class Store {
 public:
  Store(const Dataset& data, const Flags& flags) : data_(data) {
    DatabaseOptions options;
    options.in_memory = true;
    options.threads = flags.threads;
    Result<Database> opened = Database::open("", options);
    require(opened.ok(), opened.status().to_string());
    database_ = *std::move(opened);
    CollectionOptions shape;
    shape.dim = data.dim;
    Result<Collection> made = database_->create_collection("rows", shape);
    require(made.ok(), made.status().to_string());
    rows_ = *std::move(made);
  }

  [[nodiscard]] VectorView vector_of(std::uint64_t id) const {
    return VectorView(data_.row(id % data_.row_count()));
  }
  void insert(std::uint64_t first, std::size_t count) {
    std::vector<RowInput> batch(count);
    for (std::size_t i = 0; i < count; ++i) {
      batch[i].id = first + i;
      batch[i].vector = vector_of(first + i);
    }
    check(rows_.upsert(batch));
  }
  void erase(std::uint64_t first, std::size_t count) {
    std::vector<RowId> ids;
    for (std::size_t i = 0; i < count; ++i) ids.emplace_back(first + i);
    check(rows_.erase(ids));
  }
  [[nodiscard]] CollectionStats stats() const {
    const Result<CollectionStats> stats = rows_.stats();
    require(stats.ok(), stats.status().to_string());
    return *stats;
  }
  void settle() const {
    for (;;) {
      const CollectionStats now = stats();
      if (now.graph_measured && now.rows_unlinked == 0 &&
          now.rows_linked < now.rows + now.rows / 40 + 64) {
        // A sweep of dead nodes that has begun, or a round for strays, is over by then.
        std::this_thread::sleep_for(std::chrono::milliseconds(1'500));
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  [[nodiscard]] Collection& rows() { return rows_; }

 private:
  static void check(const Result<WriteResult>& written) {
    require(written.ok(), written.status().to_string());
  }
  const Dataset& data_;
  std::optional<Database> database_;
  Collection rows_;
};

SearchResult ask(Store& store, VectorView vector, const SearchOptions& options) {
  SearchResult result;
  const Query query(vector);
  require(store.rows().search({&query, 1}, options, result).ok(), "a search failed");
  return result;
}

SearchOptions target(const Flags& flags) {
  SearchOptions options;
  options.k = kK;
  options.recall = flags.recall;
  return options;
}

// Against exact answers of the same collection.
double recall_of(Store& store, const Dataset& data, const SearchOptions& options) {
  std::vector<Query> queries;
  for (std::size_t q = 0; q < data.query_count(); ++q) queries.emplace_back(data.query(q));
  SearchOptions exactly = options;
  exactly.recall = 1.0;
  exactly.ef = 0;
  SearchResult found;
  SearchResult exact;
  require(store.rows().search(queries, options, found).ok(), "a search failed");
  require(store.rows().search(queries, exactly, exact).ok(), "a search failed");
  std::size_t right = 0;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    for (const Neighbor& neighbor : found.of(q)) {
      right += neighbor.distance <= exact.of(q).back().distance ? 1U : 0U;
    }
  }
  return static_cast<double>(right) / static_cast<double>(exact.neighbors.size());
}

struct Phase {
  std::vector<double> latencies_us;
  double seconds = 0.0;
  std::uint64_t writes = 0;
  std::uint64_t tail_max = 0;
};

class Churn {
 public:
  Churn(Report& report, const Dataset& data, const Flags& flags)
      : report_(report), data_(data), flags_(flags), store_(data, flags) {}

  void run() {
    progress("loading and linking");
    for (; next_ < flags_.live; next_ += std::min(kLoadBatch, flags_.live - next_)) {
      store_.insert(next_, std::min(kLoadBatch, flags_.live - next_));
    }
    ask(store_, data_.query(0), target(flags_));
    store_.settle();
    searching(0.2);  // queries to measure effort with
    store_.settle();
    Phase quiet = searching(flags_.seconds);
    add_phase("quiet", quiet);
    Phase writing = searching_and_writing();
    add_phase("writing", writing);
    for (std::uint32_t i = 1; i <= flags_.turnover; ++i) replace_all(i);
    finish(quiet, writing);
  }

 private:
  Phase searching(double seconds) {
    Phase phase;
    const auto start = Steady::now();
    std::size_t q = 0;
    SearchResult result;
    const SearchOptions options = target(flags_);
    while (phase.seconds < seconds) {
      const Query query(data_.query(q++ % data_.query_count()));
      const auto before = Steady::now();
      require(store_.rows().search({&query, 1}, options, result).ok(), "a search failed");
      const auto after = Steady::now();
      phase.latencies_us.push_back(std::chrono::duration<double>(after - before).count() * 1e6);
      phase.seconds = std::chrono::duration<double>(after - start).count();
    }
    return phase;
  }

  void write(std::uint64_t number) {
    if (number % 3 == 0) {
      store_.insert(next_++, 1);
    } else if (number % 3 == 1) {
      store_.erase(oldest_++, 1);
    } else {
      store_.insert(next_ - 1 - number % (flags_.live / 2), 1);
    }
  }

  Phase searching_and_writing() {
    std::atomic<bool> done{false};
    std::uint64_t writes = 0;
    std::uint64_t tail_max = 0;
    std::thread writer([&] {
      const auto start = Steady::now();
      while (!done.load(std::memory_order_relaxed)) {
        const auto due =
            start + std::chrono::duration_cast<Steady::duration>(
                        std::chrono::duration<double>(static_cast<double>(writes) / flags_.rate));
        std::this_thread::sleep_until(due);
        write(writes++);
        if (writes % 64 == 0) tail_max = std::max(tail_max, store_.stats().rows_unlinked);
      }
    });
    Phase phase = searching(flags_.seconds);
    done.store(true);
    writer.join();
    phase.writes = writes;
    phase.tail_max = tail_max;
    return phase;
  }

  void add_phase(const char* name, Phase& phase) {
    report_.add({{"phase", name},
                 {"data", data_.name},
                 {"live", store_.stats().rows},
                 {"p50_us", percentile(phase.latencies_us, 0.5)},
                 {"p99_us", percentile(phase.latencies_us, 0.99)},
                 {"p999_us", percentile(phase.latencies_us, 0.999)},
                 {"qps", static_cast<double>(phase.latencies_us.size()) / phase.seconds},
                 {"writes_s", static_cast<double>(phase.writes) / phase.seconds},
                 {"tail_max", phase.tail_max}});
  }

  // In steps that the graph can follow: a fiftieth of the rows each.
  void replace_all(std::uint32_t turn) {
    const std::size_t step = std::max<std::size_t>(flags_.live / 50, 1);
    for (std::size_t done = 0; done < flags_.live; done += step) {
      store_.erase(oldest_, step);
      store_.insert(next_, step);
      oldest_ += step;
      next_ += step;
      while (store_.stats().rows_unlinked > 4 * step) std::this_thread::yield();
    }
    store_.settle();
    const CollectionStats now = store_.stats();
    report_.add({{"phase", "turnover"},
                 {"turn", turn},
                 {"recall", recall_of(store_, data_, effort())},
                 {"live", now.rows},
                 {"linked", now.rows_linked},
                 {"nodes_mib", static_cast<double>(now.graph_bytes) / (1 << 20)},
                 {"tail", now.rows_unlinked}});
  }

  // The same beam before and after, so that the graphs are compared and not their calibration.
  static SearchOptions effort() {
    SearchOptions options;
    options.k = kK;
    options.ef = 24;
    return options;
  }

  void finish(Phase& quiet, Phase& writing) {
    Store fresh(data_, flags_);
    std::uint64_t unreachable = 0;
    std::uint64_t alive = 0;
    for (std::uint64_t id = oldest_; id < next_; ++id) {
      ++alive;
      fresh.insert(id, 1);
      const SearchResult found = ask(store_, store_.vector_of(id), effort());
      const bool there =
          std::any_of(found.neighbors.begin(), found.neighbors.end(),
                      [&](const Neighbor& neighbor) { return neighbor.distance == 0.0; });
      unreachable += there ? 0U : 1U;
    }
    ask(fresh, data_.query(0), target(flags_));
    fresh.settle();
    const double recall = recall_of(store_, data_, effort());
    const double fresh_recall = recall_of(fresh, data_, effort());
    const auto bytes = static_cast<double>(store_.stats().graph_bytes);
    report_.add({{"phase", "churn"},
                 {"data", data_.name},
                 {"live", alive},
                 {"turnover", flags_.turnover},
                 {"recall", recall},
                 {"recall_fresh", fresh_recall},
                 {"recall_drop", fresh_recall - recall},
                 {"p99_ratio",
                  percentile(writing.latencies_us, 0.99) / percentile(quiet.latencies_us, 0.99)},
                 {"unreachable", unreachable},
                 {"memory_ratio", bytes / static_cast<double>(fresh.stats().graph_bytes)}});
  }

  Report& report_;
  const Dataset& data_;
  const Flags& flags_;
  Store store_;
  std::uint64_t next_ = 0;
  std::uint64_t oldest_ = 0;
};

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("Approximate search while rows come, change and go");
  add_common_flags(app, flags.common);
  app.add_option("--data", flags.data.name, "a data set, see dataset.h");
  app.add_option("--folder", flags.data.folder, "where made data are kept");
  app.add_option("--live", flags.live, "rows that are alive")->check(CLI::Range(100, 100'000'000));
  app.add_option("--rate", flags.rate, "writes per second")->check(CLI::Range(1.0, 1e6));
  app.add_option("--turnover", flags.turnover, "how often all rows are replaced");
  app.add_option("--recall", flags.recall, "target of the searches")
      ->check(CLI::Range(0.01, 0.999));
  app.add_option("--threads", flags.threads, "of the database")->check(CLI::Range(1, 256));
  app.add_option("--seconds", flags.seconds, "of searching with and without writes");
  parse_flags(app, argc, argv);
  if (flags.common.smoke) {
    flags.data.name = "clusters";
    flags.data.rows = 12'000;
    flags.data.queries = 100;
    flags.live = 8'000;
    flags.turnover = 1;
    flags.seconds = 0.1;
  }
  Report report("churn", flags.common);
  const Dataset data = load_dataset(flags.data);
  require(flags.live <= data.row_count(), "--live is more than the data has");
  Churn(report, data, flags).run();
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_churn", run, argc, argv);
}
