// One description per message, run by FieldWriter and FieldReader alike, and the table of which
// message belongs to which verb. Between frame and admission. Pure, any thread.
// Always holds: a field's tag is never given another meaning; PROTOCOL.md lists them all.
#include "net/request.h"

#include <type_traits>
#include <utility>

#include "engine/base/limits.h"
#include "net/fields.h"

namespace vecserve::net {

namespace {

namespace bounds = engine::limits;

constexpr std::uint64_t kAny = UINT64_MAX;

// `value` is const when writing, so that a description works on both.

constexpr auto kEmpty = [](auto& fields, auto& value) {
  static_cast<void>(fields);
  static_cast<void>(value);
};

constexpr auto kHello = [](auto& fields, auto& value) {
  fields.number(1, "version_min", value.version_min, 255);
  fields.number(2, "version_max", value.version_max, 255);
  fields.text(3, "client", value.client, limits::client_name_bytes_max);
  fields.text(4, "token", value.token, limits::token_bytes_max);
  fields.number(5, "features", value.features, kAny);
};

constexpr auto kCancel = [](auto& fields, auto& value) {
  fields.number(1, "target", value.target, kAny);
  fields.flag(2, "waiting_only", value.waiting_only);
};

constexpr auto kField = [](auto& fields, auto& value) {
  fields.text(1, "fields", value.name, bounds::name_bytes_max);
  fields.number(2, "fields", value.type, static_cast<std::uint64_t>(FieldType::boolean));
};

constexpr auto kCreate = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.number(2, "dim", value.options.dim, bounds::dim_max);
  fields.number(3, "metric", value.options.metric, static_cast<std::uint64_t>(Metric::hamming));
  fields.number(4, "type", value.options.type, static_cast<std::uint64_t>(ScalarType::bit));
  fields.list(5, "fields", value.options.fields, bounds::fields_max, kField);
};

constexpr auto kCollection = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
};

constexpr auto kRow = [](auto& fields, auto& value) {
  fields.id(1, "id", value.id);
  fields.vector(2, "vector", value.vector);
  fields.text(3, "payload", value.payload, bounds::payload_bytes_max);
  fields.number(4, "ttl_ms", value.ttl_ms, kAny);
};

// Tags 13 to 15 of every write.
constexpr auto kWriteOptions = [](auto& fields, auto& value) {
  fields.number(13, "durability", value.durability,
                static_cast<std::uint64_t>(Durability::process));
  fields.number(14, "request_id", value.request_id.client, kAny);
  fields.number(15, "request_id", value.request_id.sequence, kAny);
};

constexpr auto kWrite = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.list(2, "rows", value.rows, bounds::batch_rows_max, kRow);
  kWriteOptions(fields, value.options);
};

constexpr auto kErase = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.ids(2, "ids", value.ids, bounds::batch_rows_max);
  kWriteOptions(fields, value.options);
};

constexpr auto kEraseWhere = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.text(2, "filter", value.filter, bounds::filter_bytes_max);
  kWriteOptions(fields, value.options);
};

constexpr auto kQuery = [](auto& fields, auto& value) {
  fields.vector(1, "vector", value.vector);
  fields.number(2, "k", value.k, UINT32_MAX);
  fields.text(3, "filter", value.filter, bounds::filter_bytes_max);
};

constexpr Tag kTagExplain = 50;  // of both kinds of search

constexpr auto kSearch = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.list(2, "queries", value.queries, bounds::queries_max, kQuery);
  fields.number(3, "k", value.k, UINT32_MAX);
  fields.text(4, "filter", value.filter, bounds::filter_bytes_max);
  fields.flag(5, "with_payload", value.with_payload);
  fields.flag(6, "with_vector", value.with_vector);
  fields.real(48, "recall", value.recall);
  fields.number(49, "ef", value.ef, UINT32_MAX);
  fields.flag(kTagExplain, "explain", value.explain);
};

constexpr auto kRangeSearch = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.list(2, "queries", value.queries, bounds::queries_max, kQuery);
  fields.real(3, "radius", value.radius);
  fields.text(4, "filter", value.filter, bounds::filter_bytes_max);
  fields.flag(5, "with_payload", value.with_payload);
  fields.flag(6, "with_vector", value.with_vector);
  fields.number(7, "limit", value.limit, UINT32_MAX);
  fields.flag(kTagExplain, "explain", value.explain);
};

constexpr auto kGet = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.ids(2, "ids", value.ids, bounds::batch_rows_max);
  fields.number(3, "with_payload", value.with_payload, 1);
  fields.number(4, "with_vector", value.with_vector, 1);
};

constexpr auto kCount = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.text(2, "filter", value.filter, bounds::filter_bytes_max);
};

constexpr auto kScan = [](auto& fields, auto& value) {
  fields.text(1, "collection", value.collection, bounds::name_bytes_max);
  fields.id(2, "after", value.after);
  fields.text(3, "filter", value.filter, bounds::filter_bytes_max);
  fields.number(4, "with_payload", value.with_payload, 1);
  fields.number(5, "with_vector", value.with_vector, 1);
  fields.number(6, "page_rows", value.page_rows, bounds::page_rows_max);
  fields.number(7, "rows_max", value.rows_max, kAny);
};

constexpr auto kCheckpoint = [](auto& fields, auto& value) {
  fields.text(1, "name", value.name, bounds::name_bytes_max);
};

constexpr auto kRestore = [](auto& fields, auto& value) {
  fields.text(1, "checkpoint", value.checkpoint, bounds::name_bytes_max);
  fields.text(2, "name", value.name, bounds::name_bytes_max);
};

void write_body(FieldWriter& writer, const RequestBody& request) {
  struct Visitor {
    FieldWriter& to;
    void operator()(const EmptyRequest& value) const { kEmpty(to, value); }
    void operator()(const HelloRequest& value) const { kHello(to, value); }
    void operator()(const CancelRequest& value) const { kCancel(to, value); }
    void operator()(const CreateRequest& value) const { kCreate(to, value); }
    void operator()(const CollectionRequest& value) const { kCollection(to, value); }
    void operator()(const WriteRequest& value) const { kWrite(to, value); }
    void operator()(const EraseRequest& value) const { kErase(to, value); }
    void operator()(const EraseWhereRequest& value) const { kEraseWhere(to, value); }
    void operator()(const SearchRequest& value) const { kSearch(to, value); }
    void operator()(const RangeSearchRequest& value) const { kRangeSearch(to, value); }
    void operator()(const GetRequest& value) const { kGet(to, value); }
    void operator()(const CountRequest& value) const { kCount(to, value); }
    void operator()(const ScanRequest& value) const { kScan(to, value); }
    void operator()(const CheckpointRequest& value) const { kCheckpoint(to, value); }
    void operator()(const RestoreRequest& value) const { kRestore(to, value); }
  };
  std::visit(Visitor{writer}, request);
}

// So that the frame of a search is allocated once.
std::size_t size_guess(const RequestBody& request) {
  constexpr std::size_t kPerMessage = 128, kPerQuery = 32;
  std::size_t bytes = kPerMessage;
  if (const auto* search = std::get_if<SearchRequest>(&request)) {
    bytes += search->collection.size() + search->filter.size();
    for (const Query& query : search->queries) {
      bytes += kPerQuery + vector_bytes(query.vector.type, query.vector.dim);
    }
  }
  return bytes;
}

// A mistake that the client can see in its own hands: exactly one id where one is asked for.
Status check_single(Verb verb, const GetRequest& request) {
  if (verb == Verb::multi_get || request.ids.size() == 1) return {};
  return Status::invalid_argument("ids", "exactly one id is needed");
}

Status read_get(Verb verb, std::string_view body, GetRequest& request) {
  VECSERVE_TRY(read_fields(body, request, kGet));
  return check_single(verb, request);
}

Status read_scan(std::string_view body, ScanRequest& request) {
  VECSERVE_TRY(read_fields(body, request, kScan));
  if (request.page_rows > 0) return {};
  return Status::invalid_argument("page_rows", "must be 1 to 100,000");
}

}  // namespace

bool fits(Verb verb, const RequestBody& body) {
  switch (verb) {
    case Verb::hello:
      return std::holds_alternative<HelloRequest>(body);
    case Verb::ping:
    case Verb::list_collections:
    case Verb::database_stats:
    case Verb::verify:
      return std::holds_alternative<EmptyRequest>(body);
    case Verb::cancel:
      return std::holds_alternative<CancelRequest>(body);
    case Verb::create_collection:
      return std::holds_alternative<CreateRequest>(body);
    case Verb::drop_collection:
    case Verb::collection_options:
    case Verb::collection_stats:
      return std::holds_alternative<CollectionRequest>(body);
    case Verb::upsert:
    case Verb::insert:
    case Verb::update:
      return std::holds_alternative<WriteRequest>(body);
    case Verb::erase:
      return std::holds_alternative<EraseRequest>(body);
    case Verb::erase_where:
      return std::holds_alternative<EraseWhereRequest>(body);
    case Verb::search:
      return std::holds_alternative<SearchRequest>(body);
    case Verb::range_search:
      return std::holds_alternative<RangeSearchRequest>(body);
    case Verb::get:
    case Verb::multi_get:
    case Verb::exists:
      return std::holds_alternative<GetRequest>(body);
    case Verb::count:
      return std::holds_alternative<CountRequest>(body);
    case Verb::scan:
      return std::holds_alternative<ScanRequest>(body);
    case Verb::checkpoint:
      return std::holds_alternative<CheckpointRequest>(body);
    case Verb::restore:
      return std::holds_alternative<RestoreRequest>(body);
  }
  return false;
}

Status encode_request(const RequestEnvelope& envelope, const RequestBody& request,
                      std::size_t body_bytes_max, std::string& out) {
  if (!fits(envelope.verb, request)) {
    return Status::invalid_argument("verb", "this body does not belong to it");
  }
  out.reserve(out.size() + kHeaderBytes + size_guess(request));
  const std::size_t begin = begin_frame(out);
  FieldWriter writer(out);
  write_body(writer, request);
  if (out.size() - begin - kHeaderBytes > body_bytes_max) {
    out.resize(begin);
    return Status::invalid_argument("request",
                                    "is larger than the server takes; send less at once");
  }
  FrameHeader header;
  header.version = envelope.version;
  header.verb = envelope.verb;
  header.priority = envelope.priority;
  header.request_id = envelope.id;
  header.deadline_us = envelope.deadline_us;
  end_frame(header, begin, out);
  return {};
}

Status decode_request(const FrameHeader& header, std::string_view body, RequestBody& request) {
  switch (header.verb) {
    case Verb::hello:
      return read_fields(body, request.emplace<HelloRequest>(), kHello);
    case Verb::ping:
    case Verb::list_collections:
    case Verb::database_stats:
    case Verb::verify:
      return read_fields(body, request.emplace<EmptyRequest>(), kEmpty);
    case Verb::cancel:
      return read_fields(body, request.emplace<CancelRequest>(), kCancel);
    case Verb::create_collection:
      return read_fields(body, request.emplace<CreateRequest>(), kCreate);
    case Verb::drop_collection:
    case Verb::collection_options:
    case Verb::collection_stats:
      return read_fields(body, request.emplace<CollectionRequest>(), kCollection);
    case Verb::upsert:
    case Verb::insert:
    case Verb::update:
      return read_fields(body, request.emplace<WriteRequest>(), kWrite);
    case Verb::erase:
      return read_fields(body, request.emplace<EraseRequest>(), kErase);
    case Verb::erase_where:
      return read_fields(body, request.emplace<EraseWhereRequest>(), kEraseWhere);
    case Verb::search:
      return read_fields(body, request.emplace<SearchRequest>(), kSearch);
    case Verb::range_search:
      return read_fields(body, request.emplace<RangeSearchRequest>(), kRangeSearch);
    case Verb::get:
    case Verb::multi_get:
    case Verb::exists:
      return read_get(header.verb, body, request.emplace<GetRequest>());
    case Verb::count:
      return read_fields(body, request.emplace<CountRequest>(), kCount);
    case Verb::scan:
      return read_scan(body, request.emplace<ScanRequest>());
    case Verb::checkpoint:
      return read_fields(body, request.emplace<CheckpointRequest>(), kCheckpoint);
    case Verb::restore:
      return read_fields(body, request.emplace<RestoreRequest>(), kRestore);
  }
  return {StatusCode::unimplemented, "there is no such verb in this version", "verb"};
}

std::string_view collection_of(const RequestBody& request) {
  return std::visit(
      [](const auto& body) -> std::string_view {
        if constexpr (requires { body.collection; }) {
          return body.collection;
        } else {
          return {};
        }
      },
      request);
}

}  // namespace vecserve::net
