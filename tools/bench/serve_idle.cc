// One query at a time, and first queries: the server's part of a query's time. Used by bench_serve.
// Main thread. Always holds: each query is asked twice, over the wire and directly, in turns that
// change places, so that neither finds the caches warmer on the whole.
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

#include "tools/bench/loaded_database.h"
#include "tools/bench/serve_cases.h"
#include "vecserve/client.h"

namespace vecserve::bench {

namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::uint32_t kDim = 128;
constexpr std::uint32_t kAnswers = 10;
constexpr std::size_t kDifferent = 512;  // queries
constexpr std::uint32_t kWarm = 500;
constexpr std::chrono::seconds kQuiet{1};

double us_since(SteadyClock::time_point start) {
  return std::chrono::duration<double, std::micro>(SteadyClock::now() - start).count();
}
double us_of(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

struct Loaded {
  explicit Loaded(const ServeSettings& settings)
      : database(open()),
        rows(load_rows(database, {settings.rows, kDim, settings.common.seed})),
        vectors(random_floats(kDifferent * kDim, settings.common.seed + 1)) {}

  static Database open() {
    DatabaseOptions options;
    options.in_memory = true;
    auto database = Database::open("", options);
    require(database.ok(), database.status().to_string());
    return std::move(*database);
  }
  [[nodiscard]] Query query(std::uint32_t number) const {
    return std::span<const float>(vectors).subspan(number % kDifferent * kDim, kDim);
  }

  Database database;
  Collection rows;
  std::vector<float> vectors;
};

Client connect(const OwnServer& server) {
  auto client = Client::connect({.address = server.address()});
  require(client.ok(), client.status().to_string());
  return std::move(*client);
}

// One query, both ways.
struct Pair {
  double direct_us = 0.0;
  double trip_us = 0.0;
  ServedStages served;
};

class Asker {
 public:
  Asker(const Loaded& loaded, Client& client) : loaded_(loaded), client_(client) {
    options_.k = kAnswers;
  }

  Pair ask(std::uint32_t number) {
    const Query query = loaded_.query(number);
    Pair pair;
    if (number % 2 == 0) direct(query, pair);
    const auto start = SteadyClock::now();
    const auto reply = client_.search("rows", query, options_);
    pair.trip_us = us_since(start);
    if (number % 2 != 0) direct(query, pair);
    require(reply.ok(), reply.status().to_string());
    pair.served = reply.info().server;
    require(reply->neighbors.size() == result_.neighbors.size(), "another number of answers");
    for (std::size_t i = 0; i < result_.neighbors.size(); ++i) {
      require(reply->neighbors[i].id == result_.neighbors[i].id, "another answer over the wire");
    }
    return pair;
  }

 private:
  void direct(const Query& query, Pair& pair) {
    const auto start = SteadyClock::now();
    const Status status = loaded_.rows.search({&query, 1}, options_, result_);
    pair.direct_us = us_since(start);
    require(status.ok(), status.to_string());
  }

  const Loaded& loaded_;
  Client& client_;
  SearchOptions options_;
  SearchResult result_;
};

// The 50th and 99th percentile of a column, as two of the report.
void add_column(nlohmann::ordered_json& line, const std::string& name, std::vector<double> values) {
  line[name + "_p50_us"] = percentile(values, 0.5);
  line[name + "_p99_us"] = percentile(values, 0.99);
}

}  // namespace

void measure_idle(const ServeSettings& settings) {
  Loaded loaded(settings);
  OwnServer server(loaded.database);
  Client client = connect(server);
  Asker asker(loaded, client);
  for (std::uint32_t i = 0; i < kWarm; ++i) static_cast<void>(asker.ask(i));
  std::vector<Pair> pairs;
  pairs.reserve(settings.queries);
  for (std::uint32_t i = 0; i < settings.queries; ++i) pairs.push_back(asker.ask(i));
  const auto column = [&](auto&& value) {
    std::vector<double> values;
    values.reserve(pairs.size());
    for (const Pair& pair : pairs) values.push_back(value(pair));
    return values;
  };
  nlohmann::ordered_json line = {{"case", "idle"}, {"queries", pairs.size()}};
  add_column(line, "beyond",
             column([](const Pair& pair) { return us_of(pair.served.total_ns) - pair.direct_us; }));
  add_column(line, "around", column([](const Pair& pair) {
               return us_of(pair.served.total_ns - pair.served.run_ns);
             }));
  add_column(line, "queue", column([](const Pair& pair) { return us_of(pair.served.queue_ns); }));
  add_column(line, "send", column([](const Pair& pair) { return us_of(pair.served.send_ns); }));
  add_column(line, "run", column([](const Pair& pair) { return us_of(pair.served.run_ns); }));
  add_column(line, "served", column([](const Pair& pair) { return us_of(pair.served.total_ns); }));
  add_column(line, "direct", column([](const Pair& pair) { return pair.direct_us; }));
  add_column(line, "trip", column([](const Pair& pair) { return pair.trip_us; }));
  Report("serve", settings.common).add(line);
}

void measure_first(const ServeSettings& settings) {
  Loaded loaded(settings);
  std::vector<double> first_queue, first_total, quiet_queue, quiet_total;
  for (std::uint32_t i = 0; i < settings.starts; ++i) {
    OwnServer server(loaded.database);
    Client client = connect(server);
    Asker asker(loaded, client);
    const ServedStages first = asker.ask(2 * i + 1).served;
    first_queue.push_back(us_of(first.queue_ns));
    first_total.push_back(us_of(first.total_ns));
    std::this_thread::sleep_for(settings.common.smoke ? kQuiet / 100 : kQuiet);
    const ServedStages quiet = asker.ask(2 * i + 1).served;
    quiet_queue.push_back(us_of(quiet.queue_ns));
    quiet_total.push_back(us_of(quiet.total_ns));
  }
  Report report("serve", settings.common);
  report.add({{"case", "first"},
              {"starts", settings.starts},
              {"first_queue_p50_us", percentile(first_queue, 0.5)},
              {"first_queue_max_us", percentile(first_queue, 1.0)},
              {"first_served_p50_us", percentile(first_total, 0.5)},
              {"first_served_max_us", percentile(first_total, 1.0)},
              {"quiet_queue_p50_us", percentile(quiet_queue, 0.5)},
              {"quiet_queue_max_us", percentile(quiet_queue, 1.0)},
              {"quiet_served_p50_us", percentile(quiet_total, 0.5)},
              {"quiet_served_max_us", percentile(quiet_total, 1.0)}});
}

}  // namespace vecserve::bench
