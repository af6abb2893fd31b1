// One description per answer, run by FieldWriter and FieldReader alike. Tag 1 of every reply is
// where its time went. Between the engine and the outbox, and in the client. Pure, any thread.
// Always holds: a field's tag is never given another meaning; PROTOCOL.md lists them all.
#include "net/reply.h"

#include <algorithm>
#include <utility>

#include "engine/base/limits.h"
#include "net/fields.h"

namespace vecserve::net {

namespace {

namespace bounds = engine::limits;

constexpr std::uint64_t kAny = UINT64_MAX;
constexpr std::size_t kNamesMax = bounds::collections_max;
constexpr std::size_t kNeighborsMax = limits::fields_max;
constexpr std::size_t kTextMax = limits::message_bytes_max;

// `value` is const when writing, so that a description works on both.

constexpr auto kLoad = [](auto& fields, auto& value) {
  fields.real(1, "level", value.level);
  fields.number(2, "queued", value.queued, UINT32_MAX);
  fields.number(3, "spare", value.spare, UINT32_MAX);
  fields.number(4, "credits", value.credits, UINT32_MAX);
  fields.number(5, "wait_ns", value.wait_ns, kAny);
};

constexpr auto kServed = [](auto& fields, auto& value) {
  fields.number(1, "queue_ns", value.queue_ns, kAny);
  fields.number(2, "batch_ns", value.batch_ns, kAny);
  fields.number(3, "scan_ns", value.scan_ns, kAny);
  fields.number(4, "rescore_ns", value.rescore_ns, kAny);
  fields.number(5, "fetch_ns", value.fetch_ns, kAny);
  fields.number(6, "run_ns", value.run_ns, kAny);
  fields.number(7, "send_ns", value.send_ns, kAny);
  fields.number(8, "total_ns", value.total_ns, kAny);
  fields.number(9, "batch_size", value.batch_size, UINT32_MAX);
  fields.number(10, "batch_queries", value.batch_queries, UINT32_MAX);
  fields.flag(11, "certified", value.certified);
  fields.text(12, "backend", value.backend, kTextMax);
  fields.nested(13, "load", value.load, kLoad);
};

constexpr auto kHello = [](auto& fields, auto& value) {
  fields.number(2, "version", value.version, 255);
  fields.text(3, "server", value.server, kTextMax);
  fields.number(4, "features", value.features, kAny);
  fields.number(5, "frame_bytes_max", value.frame_bytes_max, kAny);
  fields.number(6, "requests_max", value.requests_max, kAny);
  fields.number(7, "bytes_max", value.bytes_max, kAny);
  fields.number(8, "idle_timeout_ms", value.idle_timeout_ms, kAny);
  fields.number(9, "scopes", value.scopes, kScopesAll);
};

// The Status apart, because its parts are only read, and the waits as numbers. `Text` is a view
// when writing.
template <typename Text>
struct ErrorParts {
  StatusCode code = StatusCode::internal;
  Text message{};
  Text field{};
  std::uint64_t wait_us = 0;
  std::uint64_t after_us = 0;
  std::uint8_t version_min = 0;
  std::uint8_t version_max = 0;
};

constexpr auto kError = [](auto& fields, auto& value) {
  fields.number(2, "code", value.code, 255);
  fields.text(3, "message", value.message, kTextMax);
  fields.text(4, "field", value.field, kTextMax);
  fields.number(5, "predicted_wait_us", value.wait_us, kAny);
  fields.number(6, "retry_after_us", value.after_us, kAny);
  fields.number(7, "version_min", value.version_min, 255);
  fields.number(8, "version_max", value.version_max, 255);
};

constexpr auto kName = [](auto& fields, auto& value) { fields.text(1, "names", value, kTextMax); };

constexpr auto kList = [](auto& fields, auto& value) {
  fields.list(2, "names", value.names, kNamesMax, kName);
};

constexpr auto kField = [](auto& fields, auto& value) {
  fields.text(1, "fields", value.name, bounds::name_bytes_max);
  fields.number(2, "fields", value.type, static_cast<std::uint64_t>(FieldType::boolean));
};

constexpr auto kOptions = [](auto& fields, auto& value) {
  fields.number(2, "dim", value.dim, bounds::dim_max);
  fields.number(3, "metric", value.metric, static_cast<std::uint64_t>(Metric::hamming));
  fields.number(4, "type", value.type, static_cast<std::uint64_t>(ScalarType::bit));
  fields.list(5, "fields", value.fields, bounds::fields_max, kField);
};

constexpr auto kReads = [](auto& fields, auto& value) {
  fields.number(1, "sketch", value.sketch, kAny);
  fields.number(2, "sketch_fine", value.sketch_fine, kAny);
  fields.number(3, "coarse", value.coarse, kAny);
  fields.number(4, "graph", value.graph, kAny);
  fields.number(5, "full", value.full, kAny);
};

constexpr auto kCollectionStats = [](auto& fields, auto& value) {
  kOptions(fields, value.options);
  fields.text(6, "name", value.name, bounds::name_bytes_max);
  fields.number(7, "rows", value.rows, kAny);
  fields.number(8, "rows_dead", value.rows_dead, kAny);
  fields.number(9, "blocks", value.blocks, kAny);
  fields.number(10, "slots", value.slots, kAny);
  fields.number(11, "vector_bytes", value.vector_bytes, kAny);
  fields.number(12, "payload_bytes", value.payload_bytes, kAny);
  fields.number(13, "index_bytes", value.index_bytes, kAny);
  fields.number(14, "writes", value.writes, kAny);
  fields.number(15, "erases", value.erases, kAny);
  fields.number(16, "searches", value.searches, kAny);
  fields.number(17, "search_reruns", value.search_reruns, kAny);
  fields.number(18, "blocks_rewritten", value.blocks_rewritten, kAny);
  fields.number(19, "rows_expired", value.rows_expired, kAny);
  fields.text(20, "backend", value.backend, kTextMax);
  fields.number(21, "coarse_bytes", value.coarse_bytes, kAny);
  fields.number(22, "sketch_bytes", value.sketch_bytes, kAny);
  fields.number(23, "rows_sketched", value.rows_sketched, kAny);
  fields.number(24, "rows_surveyed", value.rows_surveyed, kAny);
  fields.number(48, "graph_bytes", value.graph_bytes, kAny);
  fields.number(49, "rows_linked", value.rows_linked, kAny);
  fields.number(50, "rows_unlinked", value.rows_unlinked, kAny);
  fields.flag(51, "graph_measured", value.graph_measured);
  fields.number(52, "graph_restored", value.graph_restored, kAny);
  fields.number(53, "graph_saved", value.graph_saved, kAny);
  fields.nested(54, "reads", value.reads, kReads);
};

constexpr auto kWrite = [](auto& fields, auto& value) {
  fields.number(2, "rows", value.rows, kAny);
  fields.number(3, "sequence", value.sequence, kAny);
  fields.number(4, "durability", value.durability, static_cast<std::uint64_t>(Durability::process));
  fields.flag(5, "replayed", value.replayed);
};

constexpr auto kNeighbor = [](auto& fields, auto& value) {
  fields.id(1, "id", value.id);
  fields.real(2, "distance", value.distance);
  fields.vector(3, "vector", value.vector);
  fields.text(4, "payload", value.payload, bounds::payload_bytes_max);
};

// The answers of one query.
struct Answers {
  std::vector<Neighbor> neighbors{};
  bool certified = false;
  bool truncated = false;
};

constexpr auto kAnswers = [](auto& fields, auto& value) {
  fields.list(1, "neighbors", value.neighbors, kNeighborsMax, kNeighbor);
  fields.flag(2, "certified", value.certified);
  fields.flag(3, "truncated", value.truncated);
};

struct SearchParts {
  std::vector<Answers> queries{};
  SearchResult totals{};  // without answers
};

constexpr Tag kTagRecall = 48;   // left out of an exact answer
constexpr Tag kTagExplain = 49;  // in an explained one only

// What a search read, and for how long: its reads, times and how long it prepared.
constexpr auto kExplain = [](auto& fields, auto& value) {
  kReads(fields, value.reads);
  fields.number(6, "sketch_ns", value.times.sketch_ns, kAny);
  fields.number(7, "coarse_ns", value.times.coarse_ns, kAny);
  fields.number(8, "graph_ns", value.times.graph_ns, kAny);
  fields.number(9, "full_ns", value.times.full_ns, kAny);
  fields.number(10, "prepare_ns", value.stages.prepare_ns, kAny);
};

bool is_explained(const SearchResult& result) {
  const SearchTimes& times = result.times;
  return (times.sketch_ns | times.coarse_ns | times.graph_ns | times.full_ns) != 0;
}

constexpr auto kSearchTotals = [](auto& fields, auto& value) {
  fields.number(3, "rows_visible", value.rows_visible, kAny);
  fields.number(4, "reruns", value.reruns, UINT32_MAX);
};

constexpr auto kRow = [](auto& fields, auto& value) {
  fields.id(1, "id", value.id);
  fields.vector(2, "vector", value.vector);
  fields.text(3, "payload", value.payload, bounds::payload_bytes_max);
  fields.number(4, "ttl_ms", value.ttl_ms, kAny);
};

constexpr auto kCount = [](auto& fields, auto& value) {
  fields.number(2, "count", value.count, kAny);
};

constexpr auto kDatabaseStats = [](auto& fields, auto& value) {
  fields.text(2, "path", value.path, limits::path_bytes_max);
  fields.flag(3, "read_only", value.read_only);
  fields.text(4, "degraded", value.degraded, kTextMax);
  fields.number(5, "durability", value.durability, static_cast<std::uint64_t>(Durability::process));
  fields.number(6, "collections", value.collections, kAny);
  fields.number(7, "rows", value.rows, kAny);
  fields.number(8, "sequence", value.sequence, kAny);
  fields.number(9, "commits", value.commits, kAny);
  fields.number(10, "commit_writes", value.commit_writes, kAny);
  fields.number(11, "open_ns", value.open_ns, kAny);
  fields.number(12, "disk_bytes", value.disk_bytes, kAny);
  fields.text(13, "kernels", value.kernels, kTextMax);
  fields.number(14, "threads", value.threads, UINT32_MAX);
  fields.text(15, "gpu", value.gpu, kTextMax);
};

constexpr auto kCheckpoint = [](auto& fields, auto& value) {
  fields.text(2, "path", value.path, limits::path_bytes_max);
  fields.number(3, "sequence", value.sequence, kAny);
  fields.number(4, "collections", value.collections, kAny);
  fields.number(5, "rows", value.rows, kAny);
  fields.number(6, "bytes", value.bytes, kAny);
};

constexpr auto kVerify = [](auto& fields, auto& value) {
  fields.number(2, "collections", value.collections, kAny);
  fields.number(3, "rows", value.rows, kAny);
  fields.number(4, "bytes", value.bytes, kAny);
};

constexpr auto kNothing = [](auto&, auto&) {};

// Reads the fields of a body and, before all others, tag 1.
template <typename T, typename Describe>
Status read_reply(std::string_view body, ServedStages& served, T& value, Describe&& describe) {
  return read_fields(body, value, [&](FieldReader& fields, T& into) {
    fields.nested(1, "served", served, kServed);
    describe(fields, into);
  });
}

void write_query(FieldWriter& writer, const SearchResult& result, std::size_t query) {
  const std::size_t begin = writer.open(2);
  for (const Neighbor& neighbor : result.of(query)) {
    writer.nested(1, "neighbors", neighbor, kNeighbor);
  }
  writer.flag(2, "certified", query < result.certified.size() && result.certified[query] != 0);
  writer.flag(3, "truncated", query < result.truncated.size() && result.truncated[query] != 0);
  writer.close(begin);
}

void write_search(FieldWriter& writer, const SearchSlice& slice) {
  for (std::size_t i = 0; i < slice.count; ++i) {
    write_query(writer, *slice.result, slice.first + i);
  }
  kSearchTotals(writer, *slice.result);
  if (slice.result->recall < 1.0) writer.real(kTagRecall, "recall", slice.result->recall);
  if (is_explained(*slice.result)) writer.nested(kTagExplain, "explain", *slice.result, kExplain);
}

Status read_search(std::string_view body, ServedStages& served, SearchResult& result) {
  SearchParts parts;
  VECSERVE_TRY(read_reply(body, served, parts, [](FieldReader& fields, SearchParts& into) {
    fields.list(2, "queries", into.queries, bounds::queries_max, kAnswers);
    kSearchTotals(fields, into.totals);
    fields.real(kTagRecall, "recall", into.totals.recall);
    fields.nested(kTagExplain, "explain", into.totals, kExplain);
  }));
  result = std::move(parts.totals);
  result.offsets.push_back(0);
  for (Answers& answers : parts.queries) {
    std::move(answers.neighbors.begin(), answers.neighbors.end(),
              std::back_inserter(result.neighbors));
    result.offsets.push_back(result.neighbors.size());
    result.certified.push_back(answers.certified ? 1 : 0);
    result.truncated.push_back(answers.truncated ? 1 : 0);
  }
  result.backend = served.backend;
  result.stages.scan_ns = served.scan_ns;
  result.stages.rescore_ns = served.rescore_ns;
  result.stages.fetch_ns = served.fetch_ns;
  return {};
}

void write_rows(FieldWriter& writer, const RowsReply& reply) {
  for (const std::optional<Row>& row : reply.rows) {
    const std::size_t begin = writer.open(2);  // a missing row is an empty entry
    if (row) writer.nested(1, "row", *row, kRow);
    writer.close(begin);
  }
}

// One entry of the reply: a row, or none where there is no such row.
struct RowEntry {
  std::vector<Row> row{};
};

constexpr auto kRowEntry = [](auto& fields, auto& value) {
  fields.list(1, "row", value.row, 1, kRow);
};

Status read_rows(std::string_view body, ServedStages& served, RowsReply& reply) {
  std::vector<RowEntry> entries;
  VECSERVE_TRY(
      read_reply(body, served, entries, [](FieldReader& fields, std::vector<RowEntry>& into) {
        fields.list(2, "rows", into, bounds::batch_rows_max, kRowEntry);
      }));
  reply.rows.reserve(entries.size());
  for (RowEntry& entry : entries) {
    if (entry.row.empty()) {
      reply.rows.emplace_back();
    } else {
      reply.rows.emplace_back(std::move(entry.row.front()));
    }
  }
  return {};
}

std::uint64_t as_us(std::chrono::microseconds time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(time.count(), 0));
}

void write_error(FieldWriter& writer, const ErrorReply& error) {
  ErrorParts<std::string_view> parts;
  parts.code = error.status.code();
  parts.message = std::string_view(error.status.message()).substr(0, kTextMax);
  parts.field = std::string_view(error.status.field()).substr(0, kTextMax);
  parts.wait_us = as_us(error.retry.predicted_wait);
  parts.after_us = as_us(error.retry.retry_after);
  parts.version_min = error.version_min;
  parts.version_max = error.version_max;
  kError(writer, std::as_const(parts));
}

Status read_error(std::string_view body, ServedStages& served, ErrorReply& error) {
  ErrorParts<std::string> parts;
  VECSERVE_TRY(read_reply(body, served, parts, kError));
  if (parts.code == StatusCode::ok) return Status::invalid_argument("code", "an error is not ok");
  // Longer than about 292,000 years does not fit the type; nobody means it.
  constexpr std::uint64_t kLongest = std::uint64_t{1} << 53;
  error.status = Status(parts.code, std::move(parts.message), std::move(parts.field));
  error.retry.predicted_wait = std::chrono::microseconds(std::min(parts.wait_us, kLongest));
  error.retry.retry_after = std::chrono::microseconds(std::min(parts.after_us, kLongest));
  error.version_min = parts.version_min;
  error.version_max = parts.version_max;
  return {};
}

Status read_body(const FrameHeader& header, std::string_view body, Reply& reply) {
  ServedStages& served = reply.served;
  ReplyBody& to = reply.body;
  if (header.is_error()) return read_error(body, served, to.emplace<ErrorReply>());
  switch (header.verb) {
    case Verb::hello:
      return read_reply(body, served, to.emplace<HelloReply>(), kHello);
    case Verb::ping:
    case Verb::cancel:
    case Verb::create_collection:
    case Verb::drop_collection:
    case Verb::restore:
      return read_reply(body, served, to.emplace<EmptyReply>(), kNothing);
    case Verb::list_collections:
      return read_reply(body, served, to.emplace<ListReply>(), kList);
    case Verb::collection_options:
      return read_reply(body, served, to.emplace<CollectionOptions>(), kOptions);
    case Verb::collection_stats:
      return read_reply(body, served, to.emplace<CollectionStats>(), kCollectionStats);
    case Verb::upsert:
    case Verb::insert:
    case Verb::update:
    case Verb::erase:
    case Verb::erase_where:
      return read_reply(body, served, to.emplace<WriteResult>(), kWrite);
    case Verb::search:
    case Verb::range_search:
      return read_search(body, served, to.emplace<SearchResult>());
    case Verb::get:
    case Verb::multi_get:
    case Verb::scan:
      return read_rows(body, served, to.emplace<RowsReply>());
    case Verb::exists:
    case Verb::count:
      return read_reply(body, served, to.emplace<CountReply>(), kCount);
    case Verb::database_stats:
      return read_reply(body, served, to.emplace<DatabaseStats>(), kDatabaseStats);
    case Verb::checkpoint:
      return read_reply(body, served, to.emplace<CheckpointInfo>(), kCheckpoint);
    case Verb::verify:
      return read_reply(body, served, to.emplace<VerifyReport>(), kVerify);
  }
  return {StatusCode::unimplemented, "a reply to no verb that is known", "verb"};
}

// Writes what stands behind `served` by what it is.
struct BodyWriter {
  FieldWriter& to;
  void operator()(const EmptyReply&) const {}
  void operator()(const HelloReply& value) const { kHello(to, value); }
  void operator()(const ErrorReply& value) const { write_error(to, value); }
  void operator()(const ListReply& value) const { kList(to, value); }
  void operator()(const CollectionOptions& value) const { kOptions(to, value); }
  void operator()(const CollectionStats& value) const { kCollectionStats(to, value); }
  void operator()(const WriteResult& value) const { kWrite(to, value); }
  void operator()(const SearchResult& value) const {
    write_search(to, {&value, 0, value.query_count()});
  }
  void operator()(const RowsReply& value) const { write_rows(to, value); }
  void operator()(const CountReply& value) const { kCount(to, value); }
  void operator()(const DatabaseStats& value) const { kDatabaseStats(to, value); }
  void operator()(const CheckpointInfo& value) const { kCheckpoint(to, value); }
  void operator()(const VerifyReport& value) const { kVerify(to, value); }
};

std::uint64_t ns_between(std::chrono::steady_clock::time_point from,
                         std::chrono::steady_clock::time_point to) {
  return to <= from ? 0 : static_cast<std::uint64_t>(std::chrono::nanoseconds(to - from).count());
}

// Holds a refusal, with its sentence and its times, in one piece.
constexpr std::size_t kSmallReply = 320;

// The answer first and `served` behind it, so that the time of encoding is in it.
template <typename Write>
ServedStages encode(const ReplyEnvelope& envelope, const ServedStages& given, std::uint16_t flags,
                    std::string& out, Write&& write) {
  out.reserve(out.size() + kSmallReply);
  const std::size_t begin = begin_frame(out);
  FieldWriter writer(out);
  write(writer);
  ServedStages served = given;
  if (envelope.timer.clock != nullptr) {
    const auto now = envelope.timer.clock->steady_now();
    served.send_ns = ns_between(envelope.timer.done, now);
    served.total_ns = ns_between(envelope.timer.arrived, now);
  }
  writer.nested(1, "served", std::as_const(served), kServed);
  FrameHeader header;
  header.version = envelope.version;
  header.verb = envelope.verb;
  header.flags = static_cast<std::uint16_t>(kFlagReply | flags | (envelope.more ? kFlagMore : 0));
  header.request_id = envelope.request_id;
  end_frame(header, begin, out);
  return served;
}

}  // namespace

ServedStages encode_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                          const ReplyBody& body, std::string& out) {
  const bool error = std::holds_alternative<ErrorReply>(body);
  return encode(envelope, served, error ? kFlagError : std::uint16_t{0}, out,
                [&](FieldWriter& writer) { std::visit(BodyWriter{writer}, body); });
}

ServedStages encode_search_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                                 const SearchSlice& slice, std::string& out) {
  return encode(envelope, served, 0, out,
                [&](FieldWriter& writer) { write_search(writer, slice); });
}

ServedStages encode_error_reply(const ReplyEnvelope& envelope, const ServedStages& served,
                                const ErrorReply& error, std::string& out) {
  return encode(envelope, served, kFlagError, out,
                [&](FieldWriter& writer) { write_error(writer, error); });
}

Status decode_reply(const FrameHeader& header, std::string_view body, Reply& reply) {
  if (!header.is_reply()) return {StatusCode::data_loss, "the peer sent a request, not a reply"};
  reply.verb = header.verb;
  reply.request_id = header.request_id;
  reply.more = header.has_more();
  reply.served = ServedStages();
  const Status status = read_body(header, body, reply);
  if (status.ok()) return {};
  return {StatusCode::data_loss, "a reply that cannot be read: " + status.to_string()};
}

}  // namespace vecserve::net
