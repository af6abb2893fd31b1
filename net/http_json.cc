// The JSON that the console page and /slow read: see http_server.h. Written by hand because nothing
// here needs a parser: a list of named numbers and texts.
// Any thread. Always holds: texts are escaped, also those that are not UTF-8, and no number is
// infinite.
#include <array>
#include <cstdio>
#include <string_view>

#include "net/http_server.h"

namespace vecserve::net {

namespace {

class Json {
 public:
  void open(char bracket) {
    comma();
    text_ += bracket;
    first_ = true;
  }
  void close(char bracket) {
    text_ += bracket;
    first_ = false;
  }
  void open(std::string_view key, char bracket) {
    name(key);
    text_ += bracket;
    first_ = true;
  }
  void add(std::string_view key, std::uint64_t value) {
    name(key);
    text_ += std::to_string(value);
  }
  void add(std::string_view key, double value) {
    name(key);
    std::array<char, 32> digits{};
    std::snprintf(digits.data(), digits.size(), "%.6g", value);
    text_ += digits.data();
  }
  void add(std::string_view key, std::string_view value) {
    name(key);
    quote(value);
  }
  void add_flag(std::string_view key, bool value) {
    name(key);
    text_ += value ? "true" : "false";
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  void comma() {
    if (!first_ && !text_.empty()) text_ += ',';
    first_ = false;
  }
  void name(std::string_view key) {
    comma();
    quote(key);
    text_ += ':';
  }
  void quote(std::string_view value) {
    text_ += '"';
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (byte < 0x20 || byte >= 0x7F) {  // a byte is shown as the character of its number
        std::array<char, 8> code{};
        std::snprintf(code.data(), code.size(), "\\u%04x", static_cast<unsigned>(byte));
        text_ += code.data();
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
  bool first_ = true;
};

void add_history(Json& json, const ServerStats& stats) {
  json.open("history", '[');
  for (const HistoryPoint& point : stats.history()) {
    json.open('{');
    json.add("unix_ms", point.unix_ms);
    json.add("seconds", point.seconds);
    json.add("searches", point.searches);
    json.add("writes", point.writes);
    json.add("refused", point.refused);
    json.add("p50_us", static_cast<double>(point.search_p50_ns) / 1e3);
    json.add("p99_us", static_cast<double>(point.search_p99_ns) / 1e3);
    json.add("p999_us", static_cast<double>(point.search_p999_ns) / 1e3);
    json.add("write_p99_us", static_cast<double>(point.write_p99_ns) / 1e3);
    json.add("queued", point.queued);
    json.add("lanes_busy", std::uint64_t{point.lanes_busy});
    json.add("batch_mean", point.batch_mean);
    json.close('}');
  }
  json.close(']');
}

void add_pool(Json& json, std::string_view name, const DispatchStats& stats) {
  json.open(name, '{');
  json.add("queued_interactive", stats.queued[0]);
  json.add("queued_bulk", stats.queued[1]);
  json.add("queued_background", stats.queued[2]);
  json.add("running", stats.running);
  json.add("lanes_busy", std::uint64_t{stats.lanes_busy});
  json.add("target_us", static_cast<double>(stats.target.count()) / 1e3);
  json.add("slow_batch_us", static_cast<double>(stats.slow_batch.count()) / 1e3);
  json.add("batches", stats.batches);
  json.add("batch_works", stats.batch_works);
  json.add("completed", stats.completed);
  json.add("cancelled", stats.cancelled);
  json.add("expired", stats.expired);
  json.add("shed", stats.shed);
  std::uint64_t refused = 0;
  for (const std::uint64_t count : stats.refused) refused += count;
  json.add("refused", refused);
  json.add_flag("overloaded", stats.overloaded);
  json.close('}');
}

void add_batch_sizes(Json& json, const ServerStats& stats) {
  engine::Histogram sizes;
  stats.read_batch_sizes(sizes);
  json.open("batch_sizes", '[');
  std::uint64_t before = 0;
  for (std::uint64_t size = 1; size <= 1'024; size *= 2) {
    const std::uint64_t up_to = sizes.count_up_to(size);
    json.open('{');
    json.add("up_to", size);
    json.add("searches", up_to - before);
    json.close('}');
    before = up_to;
  }
  json.close(']');
}

void add_collections(Json& json, const Database& database) {
  json.open("collections", '[');
  std::size_t told = 0;
  for (const std::string& name : database.list_collections()) {
    if (told++ == limits::metric_collections) break;
    const Result<Collection> collection = database.collection(name);
    if (!collection.ok()) continue;
    const Result<CollectionStats> stats = collection->stats();
    if (!stats.ok()) continue;
    json.open('{');
    json.add("name", stats->name);
    json.add("dim", std::uint64_t{stats->options.dim});
    json.add("metric", to_string(stats->options.metric));
    json.add("type", to_string(stats->options.type));
    json.add("rows", stats->rows);
    json.add("rows_dead", stats->rows_dead);
    json.add("memory_bytes", stats->vector_bytes + stats->coarse_bytes + stats->sketch_bytes +
                                 stats->payload_bytes + stats->index_bytes);
    json.add("coarse_bytes", stats->coarse_bytes);
    json.add("sketch_bytes", stats->sketch_bytes);
    json.add("rows_sketched", stats->rows_sketched);
    json.add("rows_surveyed", stats->rows_surveyed);
    json.add("searches", stats->searches);
    json.add("writes", stats->writes);
    json.add("blocks_rewritten", stats->blocks_rewritten);
    json.add("rows_expired", stats->rows_expired);
    json.close('}');
  }
  json.close(']');
}

}  // namespace

std::string status_json(const HttpSources& sources) {
  const DatabaseStats database = sources.database->stats();
  Json json;
  json.open('{');
  json.add("not_ready", sources.not_ready ? sources.not_ready() : std::string());
  json.add("degraded", database.degraded);
  json.add("path", database.path);
  json.add("durability", to_string(database.durability));
  json.add("kernels", database.kernels);
  json.add("gpu", database.gpu);
  json.add("threads", std::uint64_t{database.threads});
  json.add("rows", database.rows);
  json.add("sequence", database.sequence);
  json.add("commits", database.commits);
  json.add("commit_writes", database.commit_writes);
  json.add("disk_bytes", database.disk_bytes);
  if (sources.counters != nullptr) {
    json.add("connections", sources.counters->connections.load());
    json.add("requests", sources.counters->requests.load());
  }
  const Serving& serving = sources.stats->serving();
  add_pool(json, "search", serving.searches().stats());
  add_pool(json, "write", serving.writes().stats());
  add_pool(json, "read", serving.reads().stats());
  add_batch_sizes(json, *sources.stats);
  add_collections(json, *sources.database);
  add_history(json, *sources.stats);
  json.close('}');
  return json.take();
}

std::string slow_json(const ServerStats& stats) {
  Json json;
  json.open('[');
  for (const SlowRequest& slow : stats.slowest()) {
    const ServedStages& served = slow.served;
    json.open('{');
    json.add("unix_ms", slow.unix_ms);
    json.add("verb", to_string(slow.verb));
    json.add("class", to_string(slow.priority));
    json.add("status", to_string(slow.code));
    json.add("collection", slow.collection);
    json.add("identity", slow.identity);
    json.add("total_us", static_cast<double>(served.total_ns) / 1e3);
    json.add("queue_us", static_cast<double>(served.queue_ns) / 1e3);
    json.add("batch_us", static_cast<double>(served.batch_ns) / 1e3);
    json.add("scan_us", static_cast<double>(served.scan_ns) / 1e3);
    json.add("rescore_us", static_cast<double>(served.rescore_ns) / 1e3);
    json.add("fetch_us", static_cast<double>(served.fetch_ns) / 1e3);
    json.add("run_us", static_cast<double>(served.run_ns) / 1e3);
    json.add("send_us", static_cast<double>(served.send_ns) / 1e3);
    json.add("batch_size", std::uint64_t{served.batch_size});
    json.add("backend", served.backend);
    json.close('}');
  }
  json.close(']');
  return json.take();
}

}  // namespace vecserve::net
