// The public Client, verb by verb: that a call becomes the right request, and a reply the right
// result. Tests net/client.cc against a scripted peer that keeps what it was asked.
// Always holds: no call of the public API is left out.
#include "vecserve/client.h"

#include <catch2/catch.hpp>
#include <deque>
#include <mutex>

#include "tests/support/scripted_peer.h"

namespace vecserve::test {
namespace {

using namespace std::chrono_literals;
using net::Verb;

// Answers every request with the next of `answers`; the test looks at what was asked last.
struct Desk {
  std::mutex mutex;
  std::deque<net::ReplyBody> answers;
  ServedStages served;
  PeerRequest asked;
  ScriptedPeer peer{
      ScriptedPeer::answering([this](PeerConnection& connection, const PeerRequest& request) {
        const std::lock_guard lock(mutex);
        asked.header = request.header;
        asked.body = request.body;
        REQUIRE(net::decode_request(asked.header, asked.body, asked.request).ok());
        connection.reply(request.header, answers.front(), served);
        answers.pop_front();
      })};
  Result<Client> client = connect();

  Result<Client> connect() {
    ClientOptions options;
    options.address = peer.address();
    return Client::connect(options);
  }
  void will_answer(net::ReplyBody body) {
    const std::lock_guard lock(mutex);
    answers.push_back(std::move(body));
  }
  template <typename Body>
  const Body& asked_for(Verb verb) {
    const std::lock_guard lock(mutex);
    CHECK(asked.header.verb == verb);
    return std::get<Body>(asked.request);
  }
};

WriteResult some_write() {
  WriteResult written;
  written.rows = 3;
  written.sequence = 17;
  written.durability = Durability::process;
  return written;
}

// What one query found: nothing, for sure.
SearchResult one_empty_answer() {
  SearchResult found;
  found.offsets = {0, 0};
  found.certified = {1};
  found.truncated = {0};
  return found;
}

const std::vector<float> kVector = {1.0F, 2.0F};

TEST_CASE("client: collections are made, listed, described and dropped") {
  Desk desk;
  REQUIRE(desk.client.ok());
  CollectionOptions options;
  options.dim = 2;
  options.fields = {{"year", FieldType::number}};
  desk.will_answer(net::EmptyReply{});
  CHECK(desk.client->create_collection("books", options).ok());
  const auto& create = desk.asked_for<net::CreateRequest>(Verb::create_collection);
  CHECK(create.collection == "books");
  CHECK(create.options == options);

  desk.will_answer(net::ListReply{{"a", "b"}});
  CHECK(*desk.client->list_collections() == std::vector<std::string>{"a", "b"});

  desk.will_answer(options);
  CHECK(*desk.client->collection_options("books") == options);
  CHECK(desk.asked_for<net::CollectionRequest>(Verb::collection_options).collection == "books");

  CollectionStats stats;
  stats.name = "books";
  stats.rows = 5;
  stats.options = options;
  desk.will_answer(stats);
  CHECK(desk.client->collection_stats("books")->rows == 5);

  desk.will_answer(net::EmptyReply{});
  CHECK(desk.client->drop_collection("books").ok());
  (void)desk.asked_for<net::CollectionRequest>(Verb::drop_collection);

  desk.will_answer(net::EmptyReply{});
  CHECK(desk.client->ping().ok());
}

TEST_CASE("client: the database is checkpointed, restored, verified and described") {
  Desk desk;
  CheckpointInfo made;
  made.path = "checkpoints/monday";
  made.rows = 9;
  desk.will_answer(made);
  CHECK(desk.client->checkpoint("monday")->path == "checkpoints/monday");
  CHECK(desk.asked_for<net::CheckpointRequest>(Verb::checkpoint).name == "monday");

  desk.will_answer(net::EmptyReply{});
  CHECK(desk.client->restore("monday", "again").ok());
  const auto& restore = desk.asked_for<net::RestoreRequest>(Verb::restore);
  CHECK(restore.checkpoint == "monday");
  CHECK(restore.name == "again");

  VerifyReport report;
  report.rows = 11;
  desk.will_answer(report);
  CHECK(desk.client->verify()->rows == 11);

  DatabaseStats stats;
  stats.sequence = 12;
  desk.will_answer(stats);
  CHECK(desk.client->database_stats()->sequence == 12);
}

TEST_CASE("client: every write carries a request id, one's own if one has it") {
  Desk desk;
  const RowInput row{"id", kVector, "{}", 5};
  std::vector<RequestId> ids;
  const auto check = [&](const Reply<WriteResult>& written, Verb verb) {
    REQUIRE(written.ok());
    CHECK(written->rows == 3);
    CHECK(written->sequence == 17);
    CHECK(written->durability == Durability::process);
    const auto& asked = desk.asked_for<net::WriteRequest>(verb);
    CHECK(asked.collection == "books");
    REQUIRE(asked.rows.size() == 1);
    CHECK(asked.rows[0].id == row.id);
    CHECK(asked.rows[0].vector.dim == 2);
    CHECK(asked.rows[0].payload == "{}");
    CHECK(asked.rows[0].ttl_ms == 5);
    ids.push_back(asked.options.request_id);
  };
  for (int i = 0; i < 3; ++i) desk.will_answer(some_write());
  check(desk.client->upsert("books", {&row, 1}), Verb::upsert);
  check(desk.client->insert("books", {&row, 1}), Verb::insert);
  check(desk.client->update("books", {&row, 1}), Verb::update);
  CHECK_FALSE(ids[0].empty());
  CHECK(ids[0].client == ids[1].client);
  CHECK(ids[1].client == ids[2].client);
  CHECK(ids[0].sequence + 1 == ids[1].sequence);
  CHECK(ids[1].sequence + 1 == ids[2].sequence);

  WriteOptions mine;
  mine.request_id = {3, 4};
  mine.durability = Durability::sync;
  desk.will_answer(some_write());
  check(desk.client->upsert("books", {&row, 1}, mine), Verb::upsert);
  CHECK(ids[3] == mine.request_id);
  CHECK(desk.asked_for<net::WriteRequest>(Verb::upsert).options.durability == Durability::sync);

  const std::vector<RowId> erased = {1, "two"};
  desk.will_answer(some_write());
  CHECK(desk.client->erase("books", erased)->rows == 3);
  CHECK(desk.asked_for<net::EraseRequest>(Verb::erase).ids == erased);
  CHECK_FALSE(desk.asked_for<net::EraseRequest>(Verb::erase).options.request_id.empty());
  desk.will_answer(some_write());
  CHECK(desk.client->erase_where("books", ".year < 1990")->rows == 3);
  CHECK(desk.asked_for<net::EraseWhereRequest>(Verb::erase_where).filter == ".year < 1990");
}

TEST_CASE("client: a search returns hits, stages and the server's timing") {
  Desk desk;
  SearchResult found;
  found.neighbors = {{7, 0.25, {}, "{\"a\":1}"}, {"x", 0.5, {}, ""}};
  found.offsets = {0, 2};
  found.certified = {1};
  found.truncated = {0};
  found.rows_visible = 10;
  desk.served.queue_ns = 1;
  desk.served.scan_ns = 3;
  desk.served.rescore_ns = 4;
  desk.served.total_ns = 9;
  desk.served.batch_size = 6;
  desk.served.backend = "cpu/avx512";
  desk.will_answer(found);
  SearchOptions options;
  options.k = 2;
  options.filter = ".year > 3";
  options.with_payload = true;
  CallOptions call;
  call.priority = Priority::bulk;
  call.timeout = 2s;
  const auto reply = desk.client->search("books", Query(kVector), options, call);
  REQUIRE(reply.ok());
  REQUIRE(reply->of(0).size() == 2);
  CHECK(reply->of(0)[0].id == RowId(7));
  CHECK(reply->of(0)[0].distance == 0.25);
  CHECK(reply->of(0)[0].payload == "{\"a\":1}");
  CHECK(reply->backend == "cpu/avx512");
  CHECK(reply->stages.scan_ns == 3);
  CHECK(reply->rows_visible == 10);
  CHECK(reply.info().server.queue_ns == 1);
  CHECK(reply.info().server.batch_size == 6);
  const auto& asked = desk.asked_for<net::SearchRequest>(Verb::search);
  CHECK(asked.k == 2);
  CHECK(asked.filter == ".year > 3");
  CHECK(asked.with_payload);
  CHECK_FALSE(asked.with_vector);
  CHECK_FALSE(asked.recall.has_value());
  CHECK_FALSE(asked.ef.has_value());
  CHECK(reply->recall == 1.0);
  CHECK(desk.asked.header.priority == Priority::bulk);
  CHECK(desk.asked.header.deadline_us <= 2'000'000);
  CHECK(desk.asked.header.deadline_us > 0);

  RangeSearchOptions range;
  range.radius = 1.5;
  range.limit = 8;
  desk.will_answer(found);
  const Query query(kVector);
  CHECK(desk.client->range_search("books", {&query, 1}, range).ok());
  CHECK(desk.asked_for<net::RangeSearchRequest>(Verb::range_search).radius == 1.5);
  CHECK(desk.asked_for<net::RangeSearchRequest>(Verb::range_search).limit == 8);
}

TEST_CASE("client: an explained search says so, and its preparing is told apart from its scan") {
  Desk desk;
  SearchResult found = one_empty_answer();
  found.times.full_ns = 7;
  found.stages.prepare_ns = 2;
  desk.served.scan_ns = 5;
  desk.will_answer(found);
  SearchOptions options;
  options.explain = true;
  const auto reply = desk.client->search("books", Query(kVector), options);
  REQUIRE(reply.ok());
  CHECK(reply->times.full_ns == 7);
  CHECK(reply->stages.prepare_ns == 2);
  CHECK(reply->stages.scan_ns == 3);
  CHECK(desk.asked_for<net::SearchRequest>(Verb::search).explain);
  RangeSearchOptions range;
  range.explain = true;
  desk.will_answer(found);
  const Query query(kVector);
  REQUIRE(desk.client->range_search("books", {&query, 1}, range).ok());
  CHECK(desk.asked_for<net::RangeSearchRequest>(Verb::range_search).explain);
}

TEST_CASE("client: how much recall is wanted and expected goes over the wire, if it is not all") {
  Desk desk;
  SearchResult found = one_empty_answer();
  found.certified = {0};
  found.recall = 0.9375;
  desk.will_answer(found);
  SearchOptions options;
  options.recall = 0.93;
  const auto reply = desk.client->search("books", Query(kVector), options);
  REQUIRE(reply.ok());
  CHECK(reply->recall == 0.9375);
  CHECK(reply->certified[0] == 0);
  CHECK(desk.asked_for<net::SearchRequest>(Verb::search).recall == 0.93);
  CHECK_FALSE(desk.asked_for<net::SearchRequest>(Verb::search).ef.has_value());
  options.recall = 1.0;
  options.ef = 77;
  desk.will_answer(found);
  REQUIRE(desk.client->search("books", Query(kVector), options).ok());
  CHECK_FALSE(desk.asked_for<net::SearchRequest>(Verb::search).recall.has_value());
  CHECK(desk.asked_for<net::SearchRequest>(Verb::search).ef == 77);
}

TEST_CASE("client: the earlier of a search's deadline and its timeout goes over the wire") {
  Desk desk;
  desk.will_answer(one_empty_answer());
  SearchOptions options;
  options.deadline = std::chrono::steady_clock::now() + 1s;
  CHECK(desk.client->search("books", Query(kVector), options).ok());
  (void)desk.asked_for<net::SearchRequest>(Verb::search);
  CHECK(desk.asked.header.deadline_us <= 1'000'000);
}

TEST_CASE("client: a cancel token of one process is refused with what to use instead") {
  Desk desk;
  SearchOptions options;
  options.cancel = std::make_shared<CancelToken>();
  const auto reply = desk.client->search("books", Query(kVector), options);
  CHECK(reply.status().code() == StatusCode::invalid_argument);
  CHECK(reply.status().field() == "cancel");
}

TEST_CASE("client: rows are read one by one, many at once, and counted") {
  Desk desk;
  Row row;
  row.id = 7;
  row.payload = "{}";
  desk.will_answer(net::RowsReply{{row}});
  CHECK(desk.client->get("books", 7)->payload == "{}");
  CHECK(desk.asked_for<net::GetRequest>(Verb::get).ids == std::vector<RowId>{7});
  desk.will_answer(net::RowsReply{{row, std::nullopt}});
  const std::vector<RowId> ids = {7, 8};
  const auto rows = desk.client->multi_get("books", ids, {false, true});
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0]->id == RowId(7));
  CHECK_FALSE((*rows)[1].has_value());
  CHECK_FALSE(desk.asked_for<net::GetRequest>(Verb::multi_get).with_payload);
  desk.will_answer(net::CountReply{1});
  CHECK(*desk.client->exists("books", 7));
  desk.will_answer(net::CountReply{0});
  CHECK_FALSE(*desk.client->exists("books", 8));
  desk.will_answer(net::CountReply{12});
  CHECK(*desk.client->count("books", ".a") == 12);
}

TEST_CASE("client: a scan goes on behind the last row and joins the frames of one page") {
  std::vector<std::optional<RowId>> after;
  ScriptedPeer peer(
      ScriptedPeer::answering([&](PeerConnection& connection, const PeerRequest& asked) {
        const auto& scan = std::get<net::ScanRequest>(asked.request);
        after.push_back(scan.after);
        const std::uint64_t from = scan.after ? scan.after->number() + 1 : 0;
        const std::uint64_t to = std::min<std::uint64_t>(from + scan.rows_max, 10);
        for (std::uint64_t id = from; id < to; ++id) {
          Row row;
          row.id = id;
          connection.reply(asked.header, net::RowsReply{{row}}, {}, true);
        }
        connection.reply(asked.header, net::RowsReply{});
      }));
  ClientOptions options;
  options.address = peer.address();
  auto client = Client::connect(options);
  REQUIRE(client.ok());
  RemoteCursor cursor = client->scan("books");
  std::vector<std::uint64_t> ids;
  while (!cursor.done()) {
    const auto page = cursor.next(4);
    REQUIRE(page.ok());
    for (const Row& row : *page) ids.push_back(row.id.number());
  }
  CHECK(ids == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(after == std::vector<std::optional<RowId>>{std::nullopt, RowId(3), RowId(7)});
  CHECK(cursor.next(4)->empty());
}

TEST_CASE("client: an answer of another kind is an error, not a value") {
  Desk desk;
  desk.will_answer(net::EmptyReply{});
  CHECK(desk.client->create_collection("c", {}).ok());
  // A get that is answered by two rows.
  desk.will_answer(net::RowsReply{{std::nullopt, std::nullopt}});
  CHECK(desk.client->get("books", 7).status().code() == StatusCode::internal);
}

}  // namespace
}  // namespace vecserve::test
