// The samples themselves, by verb, in the order of the numbers. Used by unit tests of request and
// reply, by the fuzz targets' corpus and by the system tests. One thread.
// Always holds: a verb of net/frame.h without a sample fails "samples cover every verb".
#include "tests/support/wire_samples.h"

namespace vecserve::test {

namespace {

using namespace vecserve::net;

WriteOptions write_options() {
  WriteOptions options;
  options.durability = Durability::process;
  options.request_id = {1, 2};
  return options;
}

CollectionOptions collection_options() {
  CollectionOptions options;
  options.dim = 4;
  options.metric = Metric::cosine;
  options.type = ScalarType::f16;
  options.fields = {{"year", FieldType::number}, {"genre", FieldType::string}};
  return options;
}

Row row(RowId id) {
  Row value;
  value.id = std::move(id);
  const std::vector<std::byte> bytes(8, std::byte{3});
  value.vector = Vector(ScalarType::u8, 8, bytes);
  value.payload = R"({"year":1959})";
  value.ttl_ms = 9;
  return value;
}

SearchResult search_result() {
  SearchResult result;
  for (std::uint64_t i = 0; i < 3; ++i) {
    Neighbor neighbor;
    neighbor.id = i == 1 ? RowId("one") : RowId(i);
    neighbor.distance = 0.25 * static_cast<double>(i);
    neighbor.payload = i == 2 ? "{}" : "";
    neighbor.vector = row(RowId(0)).vector;
    result.neighbors.push_back(neighbor);
  }
  result.offsets = {0, 1, 3};
  result.certified = {1, 1};
  result.truncated = {0, 1};
  result.rows_visible = 10'000;
  result.reruns = 2;
  result.recall = 0.875;
  return result;
}

CollectionStats collection_stats() {
  CollectionStats stats;
  stats.name = "books";
  stats.options = collection_options();
  stats.rows = 1;
  stats.rows_dead = 2;
  stats.blocks = 3;
  stats.slots = 4;
  stats.vector_bytes = 5;
  stats.payload_bytes = 6;
  stats.index_bytes = 7;
  stats.writes = 8;
  stats.erases = 9;
  stats.searches = 10;
  stats.search_reruns = 11;
  stats.blocks_rewritten = 12;
  stats.rows_expired = 13;
  stats.coarse_bytes = 14;
  stats.sketch_bytes = 15;
  stats.rows_sketched = 16;
  stats.rows_surveyed = 17;
  stats.graph_bytes = 18;
  stats.rows_linked = 19;
  stats.rows_unlinked = 20;
  stats.graph_measured = true;
  stats.graph_restored = 21;
  stats.graph_saved = 22;
  stats.reads = {23, 24, 25, 26, 27};
  stats.backend = "cpu/avx2";
  return stats;
}

DatabaseStats database_stats() {
  DatabaseStats stats;
  stats.path = "data";
  stats.read_only = true;
  stats.degraded = "the disk is full";
  stats.durability = Durability::process;
  stats.collections = 1;
  stats.rows = 2;
  stats.sequence = 3;
  stats.commits = 4;
  stats.commit_writes = 5;
  stats.open_ns = 6;
  stats.disk_bytes = 7;
  stats.kernels = "avx2";
  stats.threads = 8;
  stats.gpu = "none: no device";
  return stats;
}

HelloReply hello_reply() {
  HelloReply reply;
  reply.server = "vecserve 0.1.0";
  reply.features = 1;
  reply.frame_bytes_max = 64 << 20;
  reply.requests_max = 1'024;
  reply.bytes_max = 128 << 20;
  reply.idle_timeout_ms = 300'000;
  reply.scopes = kScopeRead | kScopeWrite;
  return reply;
}

}  // namespace

net::WriteRequest WireSamples::write() const {
  WriteRequest request;
  request.collection = "books";
  RowInput first;
  first.id = 7;
  first.vector = VectorView(floats_);
  first.payload = R"({"year":1959})";
  first.ttl_ms = 60'000;
  RowInput second;
  second.id = "seven";
  second.vector = VectorView(std::span<const std::uint8_t>(bytes_));
  request.rows = {first, second};
  request.options = write_options();
  return request;
}

net::SearchRequest WireSamples::search() const {
  SearchRequest request;
  request.collection = "books";
  Query own{VectorView(floats_)};
  own.k = 5;
  own.filter = ".year >= 1990";
  request.queries = {Query(VectorView(floats_)), own};
  request.k = 3;
  request.filter = ".year < 2000";
  request.with_payload = true;
  request.with_vector = true;
  request.recall = 0.95;
  request.ef = 200;
  return request;
}

net::RangeSearchRequest WireSamples::range_search() const {
  RangeSearchRequest request;
  request.collection = "books";
  request.queries = {Query(VectorView(floats_))};
  request.radius = 1.5;
  request.limit = 100;
  request.filter = ".year < 2000";
  request.with_payload = true;
  return request;
}

net::GetRequest WireSamples::get() const {
  GetRequest request;
  request.collection = "books";
  request.ids = {RowId(7)};
  request.with_vector = false;
  return request;
}

net::ScanRequest WireSamples::scan() const {
  ScanRequest request;
  request.collection = "books";
  request.after = RowId("k");
  request.filter = ".year < 2000";
  request.with_vector = false;
  request.page_rows = 10;
  request.rows_max = 25;
  return request;
}

std::vector<std::pair<net::Verb, net::RequestBody>> WireSamples::requests() const {
  HelloRequest hello;
  hello.client = "samples";
  hello.token = "secret";
  GetRequest many = get();
  many.ids = {RowId(7), RowId("seven"), RowId(UINT64_MAX)};
  EraseRequest erase;
  erase.collection = "books";
  erase.ids = {RowId(7), RowId("seven")};
  erase.options = write_options();
  return {
      {Verb::hello, hello},
      {Verb::ping, EmptyRequest()},
      {Verb::cancel, CancelRequest{41}},
      {Verb::create_collection, CreateRequest{"films", collection_options()}},
      {Verb::drop_collection, CollectionRequest{"books"}},
      {Verb::list_collections, EmptyRequest()},
      {Verb::collection_options, CollectionRequest{"books"}},
      {Verb::collection_stats, CollectionRequest{"books"}},
      {Verb::upsert, write()},
      {Verb::insert, write()},
      {Verb::update, write()},
      {Verb::erase, erase},
      {Verb::erase_where, EraseWhereRequest{"books", ".year > 0", write_options()}},
      {Verb::search, search()},
      {Verb::range_search, range_search()},
      {Verb::get, get()},
      {Verb::multi_get, many},
      {Verb::exists, get()},
      {Verb::count, CountRequest{"books", ".year > 0"}},
      {Verb::scan, scan()},
      {Verb::database_stats, EmptyRequest()},
      {Verb::checkpoint, CheckpointRequest{"monday"}},
      {Verb::verify, EmptyRequest()},
      {Verb::restore, RestoreRequest{"monday", "again"}},
  };
}

std::vector<std::pair<net::Verb, net::ReplyBody>> WireSamples::replies() const {
  const WriteResult write{2, 9, Durability::process, true};
  RowsReply rows;
  rows.rows = {row(RowId(1)), std::nullopt, row(RowId("x"))};
  return {
      {Verb::hello, hello_reply()},
      {Verb::ping, EmptyReply()},
      {Verb::cancel, EmptyReply()},
      {Verb::create_collection, EmptyReply()},
      {Verb::drop_collection, EmptyReply()},
      {Verb::list_collections, ListReply{{"books", "films"}}},
      {Verb::collection_options, collection_options()},
      {Verb::collection_stats, collection_stats()},
      {Verb::upsert, write},
      {Verb::insert, write},
      {Verb::update, write},
      {Verb::erase, write},
      {Verb::erase_where, write},
      {Verb::search, search_result()},
      {Verb::range_search, search_result()},
      {Verb::get, rows},
      {Verb::multi_get, rows},
      {Verb::exists, CountReply{1}},
      {Verb::count, CountReply{77}},
      {Verb::scan, rows},
      {Verb::database_stats, database_stats()},
      {Verb::checkpoint, CheckpointInfo{"checkpoints/monday", 3, 1, 2, 4}},
      {Verb::verify, VerifyReport{1, 2, 3}},
      {Verb::restore, EmptyReply()},
  };
}

}  // namespace vecserve::test
