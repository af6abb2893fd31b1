// Many pipelining connections against the engine called directly with the batch sizes that the
// server made of them. Used by bench_serve. Client, server and engine share the cores: what each
// took of the processor is reported. Always holds: short rounds take turns, and served_share is the
// median over the turns of a round's rate against its neighbours', so that what others do on the
// machine hits both sides; every answer over the wire is compared with the engine's own.
#include <algorithm>
#include <atomic>
#include <ctime>
#include <mutex>
#include <optional>
#include <random>
#include <thread>

#include "tools/bench/dataset.h"
#include "tools/bench/serve_cases.h"
#include "vecserve/client.h"

namespace vecserve::bench {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint32_t kAnswers = 10;
constexpr std::chrono::microseconds kLookEvery{500};  // at refused queries that may be asked again

constexpr std::size_t kLoadRows = 10'000;

// The rows of a data set in a database in memory.
struct Subject {
  explicit Subject(Dataset data_in) : data(std::move(data_in)) {
    DatabaseOptions options;
    options.in_memory = true;
    auto opened = Database::open("", options);
    require(opened.ok(), opened.status().to_string());
    database.emplace(std::move(*opened));
    CollectionOptions shape;
    shape.dim = data.dim;
    auto made = database->create_collection("rows", shape);
    require(made.ok(), made.status().to_string());
    rows = *made;
    std::vector<RowInput> batch;
    for (std::size_t first = 0; first < data.row_count(); first += kLoadRows) {
      batch.assign(std::min(kLoadRows, data.row_count() - first), {});
      for (std::size_t i = 0; i < batch.size(); ++i) {
        batch[i].id = RowId(std::uint64_t{first + i});
        batch[i].vector = VectorView(data.row(first + i));
      }
      const auto written = rows.insert(batch);
      require(written.ok(), written.status().to_string());
    }
  }

  Dataset data;
  std::optional<Database> database;
  Collection rows;
};

double seconds_since(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

double cpu_seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What rounds of one kind came to.
struct Rounds {
  std::vector<double> qps;
  double cpu_s = 0.0;  // of the process
  double wall_s = 0.0;
  std::uint64_t queries = 0;
};

// A closed loop over all connections: each answer lets the next query go, and a refused one is
// asked again when the server said that it may. Answers come on the client's thread.
class Pipeline {
 public:
  Pipeline(const Subject& subject, std::uint32_t in_flight, Client& client,
           const std::vector<std::uint64_t>& nearest)
      : subject_(subject), in_flight_(in_flight), client_(client), nearest_(nearest) {
    search_.k = kAnswers;
    call_.attempts_max = 1;
  }

  void round(double seconds) {
    stop_ = false;
    answered_ = 0;
    const double cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const auto start = SteadyClock::now();
    client_cpu_first_ = -1.0;
    left_ = in_flight_;
    for (std::uint32_t i = 0; i < in_flight_; ++i) ask();
    while (seconds_since(start) < seconds) {
      std::this_thread::sleep_for(kLookEvery);
      for (std::uint32_t i = due(SteadyClock::now()); i != 0; --i) ask();
    }
    const double took = seconds_since(start);
    const std::uint64_t answered = answered_.load();
    rounds_.cpu_s += cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    rounds_.wall_s += took;
    rounds_.qps.push_back(static_cast<double>(answered) / took);
    rounds_.queries += answered;
    stop_ = true;
    while (left_ != 0) {
      left_ -= due(SteadyClock::time_point::max());
      std::this_thread::sleep_for(kLookEvery);
    }
    client_cpu_s_ += client_cpu_last_ - client_cpu_first_;
  }

  [[nodiscard]] const Rounds& rounds() const { return rounds_; }
  [[nodiscard]] double client_cpu_s() const { return client_cpu_s_; }
  [[nodiscard]] bool wrong() const { return wrong_; }
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  // One entry per batch that the server made.
  [[nodiscard]] std::vector<std::uint32_t> batch_sizes() const {
    std::vector<std::uint32_t> sizes;
    for (std::uint32_t size = 1; size < seen_.size(); ++size) {
      sizes.insert(sizes.end(), (seen_[size] + size / 2) / size, size);
    }
    return sizes;
  }

 private:
  void ask() {
    const std::size_t number = next_++ % subject_.data.query_count();
    const Query query = subject_.data.query(number);
    client_.async_search(
        "rows", {&query, 1}, search_, call_,
        [this, number](const vecserve::Reply<SearchResult>& reply) { answer(number, reply); });
  }

  void answer(std::size_t number, const vecserve::Reply<SearchResult>& reply) {
    client_cpu_last_ = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    if (client_cpu_first_ < 0.0) client_cpu_first_ = client_cpu_last_;
    if (reply.ok()) {
      const RowId& first = reply->neighbors.front().id;
      if (first != RowId(nearest_[number])) wrong_ = true;
      const std::uint32_t size = reply.info().server.batch_queries;
      if (size >= seen_.size()) seen_.resize(size + 1, 0);
      ++seen_[size];
      answered_.fetch_add(1, std::memory_order_relaxed);
    } else {
      ++refused_;
      const std::lock_guard lock(mutex_);
      again_.push_back(SteadyClock::now() + reply.info().retry.retry_after);
      return;
    }
    if (!stop_.load(std::memory_order_relaxed)) return ask();
    --left_;
  }

  // Takes the refused ones that may be asked again.
  std::uint32_t due(SteadyClock::time_point now) {
    const std::lock_guard lock(mutex_);
    return static_cast<std::uint32_t>(
        std::erase_if(again_, [now](SteadyClock::time_point when) { return when <= now; }));
  }

  const Subject& subject_;
  const std::uint32_t in_flight_;
  Client& client_;
  const std::vector<std::uint64_t>& nearest_;
  SearchOptions search_;
  CallOptions call_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint32_t> left_{0};
  std::atomic<std::uint64_t> answered_{0};
  std::atomic<bool> wrong_{false};
  std::mutex mutex_;
  std::vector<SteadyClock::time_point> again_;  // when refused ones may be asked; with the mutex
  // The client's thread's, read when nothing is in flight.
  std::vector<std::uint64_t> seen_;  // answers by the size of their batch
  std::uint64_t refused_ = 0;
  double client_cpu_first_ = -1.0;
  double client_cpu_last_ = 0.0;
  double client_cpu_s_ = 0.0;
  Rounds rounds_;
};

// The engine called by `callers` threads, each with batches whose sizes are drawn from those that
// the server made.
void direct_round(const Subject& subject, const std::vector<std::uint32_t>& sizes,
                  std::uint32_t callers, double seconds, Rounds& rounds) {
  std::atomic<std::uint64_t> answered{0};
  std::atomic<std::uint32_t> at{0};
  std::atomic<std::size_t> next{0};
  const double cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
  const auto start = SteadyClock::now();
  const auto call = [&] {
    SearchOptions options;
    options.k = kAnswers;
    SearchResult result;
    std::vector<Query> queries;
    while (seconds_since(start) < seconds) {
      const std::uint32_t size = sizes[at.fetch_add(1) % sizes.size()];
      queries.clear();
      for (std::uint32_t i = 0; i < size; ++i) {
        queries.emplace_back(subject.data.query(next.fetch_add(1) % subject.data.query_count()));
      }
      const Status status = subject.rows.search(queries, options, result);
      require(status.ok(), status.to_string());
      answered.fetch_add(size);
    }
  };
  std::vector<std::thread> others;
  for (std::uint32_t i = 1; i < callers; ++i) others.emplace_back(call);
  call();
  for (std::thread& other : others) other.join();
  const double took = seconds_since(start);
  rounds.qps.push_back(static_cast<double>(answered.load()) / took);
  rounds.queries += answered.load();
  rounds.wall_s += took;
  rounds.cpu_s += cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
}

std::vector<std::uint64_t> nearest_of(const Subject& subject) {
  std::vector<std::uint64_t> nearest;
  for (std::size_t i = 0; i < subject.data.query_count(); ++i) {
    const auto found = subject.rows.search(Query(subject.data.query(i)));
    require(found.ok() && !found->empty(), "a query has no answer");
    nearest.push_back(found->front().id.number());
  }
  return nearest;
}

double us_each(double cpu_s, std::uint64_t queries) {
  return queries == 0 ? 0.0 : cpu_s * 1e6 / static_cast<double>(queries);
}

std::uint32_t size_at(std::vector<std::uint32_t>& sizes, double share) {
  std::sort(sizes.begin(), sizes.end());
  const auto at = static_cast<std::size_t>(share * static_cast<double>(sizes.size() - 1));
  return sizes[at];
}

// The median over the turns of what the served round of a turn reached of the direct one beside it.
double paired_share(const Rounds& served, const Rounds& direct) {
  std::vector<double> shares;
  for (std::size_t i = 0; i < served.qps.size(); ++i) {
    shares.push_back(served.qps[i] / direct.qps[i]);
  }
  return median(shares);
}

// With so many unanswered requests on each connection.
void measure_depth(const ServeSettings& settings, const Subject& subject, Client& client,
                   const std::vector<std::uint64_t>& nearest, std::uint32_t depth) {
  Pipeline pipeline(subject, settings.connections * depth, client, nearest);
  Pipeline warm(subject, settings.connections * depth, client, nearest);
  warm.round(settings.seconds * 2);
  Rounds one, two;
  for (std::uint32_t i = 0; i < settings.repeats; ++i) {
    pipeline.round(settings.seconds);
    std::vector<std::uint32_t> sizes = pipeline.batch_sizes();
    std::shuffle(sizes.begin(), sizes.end(), std::mt19937_64(settings.common.seed + i));
    require(!sizes.empty(), "nothing was answered");
    direct_round(subject, sizes, 1, settings.seconds, one);
    direct_round(subject, sizes, 2, settings.seconds, two);
  }
  require(!pipeline.wrong(), "another answer over the wire");
  std::vector<std::uint32_t> sizes = pipeline.batch_sizes();
  const Rounds& served = pipeline.rounds();
  const Rounds& best = median(one.qps) > median(two.qps) ? one : two;
  Report report("serve", settings.common);
  report.add({{"case", "throughput"},
              {"data", subject.data.name},
              {"connections", settings.connections},
              {"pipelined", depth},
              {"served_qps", median(served.qps)},
              {"direct_1_qps", median(one.qps)},
              {"direct_2_qps", median(two.qps)},
              {"served_share", paired_share(served, best)},
              {"batch_p10", size_at(sizes, 0.1)},
              {"batch_p50", size_at(sizes, 0.5)},
              {"batch_p90", size_at(sizes, 0.9)},
              {"batches", sizes.size()},
              {"refused", pipeline.refused()},
              {"client_cpu_us", us_each(pipeline.client_cpu_s(), served.queries)},
              {"server_cpu_us", us_each(served.cpu_s - pipeline.client_cpu_s(), served.queries)},
              {"direct_cpu_us", us_each(best.cpu_s, best.queries)},
              {"served_cores", served.cpu_s / served.wall_s},
              {"direct_cores", best.cpu_s / best.wall_s}});
}

}  // namespace

void measure_throughput(const ServeSettings& settings) {
  DatasetRequest request;
  request.name = settings.common.smoke ? "gaussian" : settings.data;
  request.folder = settings.data_folder;
  if (settings.common.smoke) request.rows = 2'000;
  request.queries = settings.common.smoke ? 100 : 0;
  Subject subject(load_dataset(request));
  const std::vector<std::uint64_t> nearest = nearest_of(subject);
  OwnServer server(*subject.database);
  auto client = Client::connect(
      {.address = server.address(), .connections = settings.connections, .throttle = false});
  require(client.ok(), client.status().to_string());
  for (const std::uint32_t depth : settings.pipelined) {
    measure_depth(settings, subject, *client, nearest, depth);
  }
}

}  // namespace vecserve::bench
