// See stats_prometheus.h.
// Any thread. Always holds: a histogram's buckets are cumulative, end with +Inf and agree with its
// count, also while others record.
#include "net/stats_prometheus.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sstream>
#include <utility>
#include <vector>

namespace vecserve::net {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<std::pair<std::string, std::string>>;

// 10 us to 10 s, three to a decade.
constexpr std::array<std::uint64_t, 19> kDurationsNs = {
    10'000,        20'000,        50'000,        100'000,       200'000,
    500'000,       1'000'000,     2'000'000,     5'000'000,     10'000'000,
    20'000'000,    50'000'000,    100'000'000,   200'000'000,   500'000'000,
    1'000'000'000, 2'000'000'000, 5'000'000'000, 10'000'000'000};
constexpr std::array<std::uint64_t, 10> kBatchSizes = {1, 2, 4, 8, 16, 32, 64, 128, 256, 1'024};

ClientMetric labelled(const Labels& labels) {
  ClientMetric metric;
  for (const auto& [name, value] : labels) metric.label.push_back({name, value});
  return metric;
}

class Families {
 public:
  MetricFamily& family(const char* name, const char* help, MetricType type) {
    families_.push_back({name, help, type, {}});
    return families_.back();
  }
  void gauge(const char* name, const char* help, double value) {
    add(family(name, help, MetricType::Gauge), {}, value);
  }
  void counter(const char* name, const char* help, std::uint64_t value) {
    add(family(name, help, MetricType::Counter), {}, static_cast<double>(value));
  }
  static void add(MetricFamily& family, const Labels& labels, double value) {
    ClientMetric metric = labelled(labels);
    (family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    family.metric.push_back(std::move(metric));
  }
  template <std::size_t N>
  static void add(MetricFamily& family, const Labels& labels, const engine::Histogram& values,
                  const std::array<std::uint64_t, N>& bounds, double unit) {
    ClientMetric metric = labelled(labels);
    metric.histogram.sample_count = values.total();
    metric.histogram.sample_sum = values.mean() * static_cast<double>(values.total()) * unit;
    for (const std::uint64_t bound : bounds) {
      metric.histogram.bucket.push_back(
          {values.count_up_to(bound), static_cast<double>(bound) * unit});
    }
    metric.histogram.bucket.push_back({values.total(), std::numeric_limits<double>::infinity()});
    family.metric.push_back(std::move(metric));
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  std::vector<MetricFamily> families_;
};

void add_requests(Families& families, const ServerStats& stats) {
  engine::Histogram values;
  MetricFamily& durations =
      families.family("vecserve_request_duration_seconds",
                      "Time of requests that succeeded, by stage", MetricType::Histogram);
  for (std::size_t o = 0; o < kOps; ++o) {
    for (std::size_t s = 0; s < kStages; ++s) {
      const auto op = static_cast<Op>(o);
      const auto stage = static_cast<Stage>(s);
      stats.read(op, stage, values);
      if (values.total() == 0 && stage != Stage::total) continue;
      Families::add(durations,
                    {{"op", std::string(to_string(op))}, {"stage", std::string(to_string(stage))}},
                    values, kDurationsNs, 1e-9);
    }
  }
  MetricFamily& requests =
      families.family("vecserve_requests_total", "Replies, by outcome", MetricType::Counter);
  for (std::size_t o = 0; o < kOps; ++o) {
    for (std::uint8_t code = 0; code <= static_cast<std::uint8_t>(StatusCode::permission_denied);
         ++code) {
      const auto count = stats.outcomes(static_cast<Op>(o), static_cast<StatusCode>(code));
      if (count == 0 && code != 0) continue;
      Families::add(requests,
                    {{"op", std::string(to_string(static_cast<Op>(o)))},
                     {"outcome", std::string(to_string(static_cast<StatusCode>(code)))}},
                    static_cast<double>(count));
    }
  }
  stats.read_batch_sizes(values);
  Families::add(families.family("vecserve_batch_size", "Requests in the batch of a search",
                                MetricType::Histogram),
                {}, values, kBatchSizes, 1.0);
  MetricFamily& expired =
      families.family("vecserve_deadline_exceeded_total",
                      "Requests out of time, by how far they had come", MetricType::Counter);
  Families::add(expired, {{"stage", "queue"}}, static_cast<double>(stats.expired(false)));
  Families::add(expired, {{"stage", "run"}}, static_cast<double>(stats.expired(true)));
  families.counter("vecserve_certified_total", "Searches whose answers are proven exact",
                   stats.certified());
}

struct Pool {
  const char* name;
  DispatchStats stats;
};

void add_pools(Families& families, const Serving& serving) {
  const std::array<Pool, 3> pools = {{{"search", serving.searches().stats()},
                                      {"write", serving.writes().stats()},
                                      {"read", serving.reads().stats()}}};
  MetricFamily& depth =
      families.family("vecserve_queue_depth", "Requests that wait, by class", MetricType::Gauge);
  for (const Pool& pool : pools) {
    for (std::size_t c = 0; c < kPriorityCount; ++c) {
      Families::add(
          depth, {{"pool", pool.name}, {"class", std::string(to_string(static_cast<Priority>(c)))}},
          static_cast<double>(pool.stats.queued[c]));
    }
  }
  const auto each = [&](const char* name, const char* help, MetricType type, auto&& value) {
    MetricFamily& family = families.family(name, help, type);
    for (const Pool& pool : pools) {
      Families::add(family, {{"pool", pool.name}}, static_cast<double>(value(pool.stats)));
    }
  };
  each("vecserve_queue_limit_seconds", "The longest that a request may take to be admitted",
       MetricType::Gauge,
       [](const DispatchStats& s) { return static_cast<double>(s.target.count()) * 1e-9; });
  each("vecserve_slow_batch_seconds", "99th percentile of a full batch", MetricType::Gauge,
       [](const DispatchStats& s) { return static_cast<double>(s.slow_batch.count()) * 1e-9; });
  each("vecserve_in_flight", "Requests admitted and not answered", MetricType::Gauge,
       [](const DispatchStats& s) { return s.in_flight; });
  each("vecserve_lanes_busy", "Batches that run now", MetricType::Gauge,
       [](const DispatchStats& s) { return s.lanes_busy; });
  each("vecserve_batches_total", "Batches begun", MetricType::Counter,
       [](const DispatchStats& s) { return s.batches; });
  each("vecserve_guest_batches_total", "Batches run by the thread that had read the request",
       MetricType::Counter, [](const DispatchStats& s) { return s.guest_batches; });
  each("vecserve_cancelled_total", "Requests that were cancelled", MetricType::Counter,
       [](const DispatchStats& s) { return s.cancelled; });
  each("vecserve_shed_total", "Requests admitted, then given up under overload",
       MetricType::Counter, [](const DispatchStats& s) { return s.shed; });
  MetricFamily& rejected = families.family(
      "vecserve_rejected_total", "Requests refused at once, by reason", MetricType::Counter);
  for (const Pool& pool : pools) {
    for (std::uint8_t r = 1; r <= static_cast<std::uint8_t>(RefusalReason::draining); ++r) {
      Families::add(
          rejected,
          {{"pool", pool.name}, {"reason", std::string(to_string(static_cast<RefusalReason>(r)))}},
          static_cast<double>(pool.stats.refused[r]));
    }
  }
}

// Rows that entered each view of the vectors: how far the cheaper ones narrow a search down.
void add_reads(Families& families, const std::vector<CollectionStats>& collections) {
  const std::pair<const char*, std::uint64_t SearchReads::*> planes[] = {
      {"sketch", &SearchReads::sketch}, {"sketch_fine", &SearchReads::sketch_fine},
      {"coarse", &SearchReads::coarse}, {"graph", &SearchReads::graph},
      {"full", &SearchReads::full},
  };
  MetricFamily& family = families.family("vecserve_collection_rows_read_total",
                                         "Rows that searches looked at in each view of the vectors",
                                         MetricType::Counter);
  for (const CollectionStats& stats : collections) {
    for (const auto& [plane, rows] : planes) {
      Families::add(family, {{"collection", stats.name}, {"plane", plane}},
                    static_cast<double>(stats.reads.*rows));
    }
  }
}

void add_database(Families& families, const Database& database) {
  const DatabaseStats all = database.stats();
  families.gauge("vecserve_collections", "Collections", static_cast<double>(all.collections));
  families.gauge("vecserve_durable_seq", "The last acknowledged write",
                 static_cast<double>(all.sequence));
  families.counter("vecserve_commits_total", "Group commits", all.commits);
  families.counter("vecserve_commit_writes_total", "Writes that group commits carried",
                   all.commit_writes);
  families.gauge("vecserve_disk_bytes", "Size of the database folder",
                 static_cast<double>(all.disk_bytes));
  families.gauge("vecserve_degraded", "1: writes are refused", all.degraded.empty() ? 0.0 : 1.0);
  struct PerCollection {
    const char* name;
    const char* help;
    MetricType type;
    std::uint64_t CollectionStats::*value;
  };
  const std::array<PerCollection, 8> wanted = {{
      {"vecserve_collection_rows", "Live rows", MetricType::Gauge, &CollectionStats::rows},
      {"vecserve_tombstones", "Rows erased or replaced whose memory is not yet given back",
       MetricType::Gauge, &CollectionStats::rows_dead},
      {"vecserve_collection_vector_bytes", "Memory of vectors", MetricType::Gauge,
       &CollectionStats::vector_bytes},
      {"vecserve_collection_payload_bytes", "Memory of payloads", MetricType::Gauge,
       &CollectionStats::payload_bytes},
      {"vecserve_collection_searches_total", "Queries answered", MetricType::Counter,
       &CollectionStats::searches},
      {"vecserve_collection_writes_total", "Rows written", MetricType::Counter,
       &CollectionStats::writes},
      {"vecserve_collection_blocks_rewritten_total", "Sparse blocks given back",
       MetricType::Counter, &CollectionStats::blocks_rewritten},
      {"vecserve_collection_rows_expired_total", "Rows whose time to live passed",
       MetricType::Counter, &CollectionStats::rows_expired},
  }};
  std::vector<CollectionStats> collections;
  for (const std::string& name : database.list_collections()) {
    if (collections.size() == limits::metric_collections) break;
    const Result<Collection> collection = database.collection(name);
    if (!collection.ok()) continue;
    Result<CollectionStats> stats = collection->stats();
    if (stats.ok()) collections.push_back(std::move(*stats));
  }
  for (const PerCollection& each : wanted) {
    MetricFamily& family = families.family(each.name, each.help, each.type);
    for (const CollectionStats& stats : collections) {
      Families::add(family, {{"collection", stats.name}}, static_cast<double>(stats.*each.value));
    }
  }
  add_reads(families, collections);
  Families::add(families.family("vecserve_build_info", "What runs here", MetricType::Gauge),
                {{"kernels", all.kernels}}, 1.0);
}

void add_connections(Families& families, const ServerCounters& counters) {
  const auto of = [](const std::atomic<std::uint64_t>& value) {
    return value.load(std::memory_order_relaxed);
  };
  families.gauge("vecserve_connections", "Connections now",
                 static_cast<double>(of(counters.connections)));
  families.counter("vecserve_connections_total", "Connections accepted",
                   of(counters.connections_accepted));
  families.counter("vecserve_received_bytes_total", "Bytes from clients", of(counters.bytes_in));
  families.counter("vecserve_sent_bytes_total", "Bytes to clients", of(counters.bytes_out));
  MetricFamily& cut = families.family("vecserve_connections_cut_total",
                                      "Connections ended by the server", MetricType::Counter);
  Families::add(cut, {{"reason", "slow"}}, static_cast<double>(of(counters.cut_slow)));
  Families::add(cut, {{"reason", "broken"}}, static_cast<double>(of(counters.cut_broken)));
  Families::add(cut, {{"reason", "strange"}}, static_cast<double>(of(counters.cut_strange)));
}

void add_process(Families& families) {
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  if (statm >> pages >> resident) {
    families.gauge("process_resident_memory_bytes", "Memory in use",
                   static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE)));
  }
}

}  // namespace

std::string prometheus_text(const MetricSources& sources) {
  Families families;
  add_requests(families, *sources.stats);
  add_pools(families, sources.stats->serving());
  add_database(families, *sources.database);
  if (sources.counters != nullptr) add_connections(families, *sources.counters);
  add_process(families);
  return families.text();
}

}  // namespace vecserve::net
