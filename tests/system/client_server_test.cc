// The client against the real server: every call over the wire gives what the same call gives in
// this process, over TCP, a Unix socket and TLS, for whoever may and nobody else. Real sockets on
// loopback. Always holds: whatever happens to a server, the client's calls end.
#include <catch2/catch.hpp>
#include <fstream>
#include <future>
#include <limits>
#include <thread>
#include <vector>

#include "net/tokens.h"
#include "tests/support/brute_force.h"
#include "tests/support/coded_row.h"
#include "tests/support/dice.h"
#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tls_peer.h"
#include "vecserve/client.h"

namespace vecserve::test {
namespace {

using namespace std::chrono_literals;

Client connect_to(const std::string& address) {
  ClientOptions options;
  options.address = address;
  Result<Client> client = Client::connect(options);
  INFO(client.status().to_string());
  REQUIRE(client.ok());
  return *std::move(client);
}

CodedBatch batch_of(std::uint64_t first, std::uint64_t count, std::uint32_t version) {
  CodedBatch batch;
  for (std::uint64_t id = first; id < first + count; ++id) batch.add(id, version);
  return batch;
}

bool same_rows(const std::vector<Row>& a, const std::vector<Row>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].id != b[i].id || a[i].payload != b[i].payload ||
        a[i].vector.to_floats() != b[i].vector.to_floats()) {
      return false;
    }
  }
  return true;
}

TEST_CASE("client and server: the whole public API over the wire, against the same in process") {
  ServedDatabase served;
  Client client = connect_to(served.address);
  CHECK(client.ping().ok());
  REQUIRE(client.create_collection("rows", coded_collection()).ok());
  CHECK(client.create_collection("rows", coded_collection()).status().code() ==
        StatusCode::already_exists);
  CHECK(*client.list_collections() == std::vector<std::string>{"rows"});
  CHECK(*client.collection_options("rows") == coded_collection());
  Collection direct = *served.database->collection("rows");

  CodedBatch batch = batch_of(0, 500, 1);
  const auto written = client.upsert("rows", batch.inputs());
  REQUIRE(written.ok());
  CHECK(written->rows == 500);
  CHECK(*direct.count() == 500);
  CodedBatch again = batch_of(499, 2, 2);
  CHECK(client.insert("rows", again.inputs()).status().code() == StatusCode::already_exists);
  CHECK(client.update("rows", again.inputs()).status().code() == StatusCode::not_found);
  CodedBatch fresh = batch_of(500, 1, 2);
  CHECK(client.insert("rows", fresh.inputs())->rows == 1);
  CodedBatch payloads;
  payloads.add_payload_only(3, 7);
  CHECK(client.update("rows", payloads.inputs())->rows == 1);
  const std::vector<RowId> erased = {10, 11, 9'999};
  CHECK(client.erase("rows", erased)->rows == 2);
  const std::uint64_t grouped = *direct.count(".group == 5");
  CHECK(client.erase_where("rows", ".group == 5")->rows == grouped);

  CHECK(*client.count("rows") == *direct.count());
  CHECK(*client.count("rows", ".group == 6") == *direct.count(".group == 6"));
  CHECK(client.get("rows", 3)->payload == direct.get(3)->payload);
  CHECK(client.get("rows", 10).status().code() == StatusCode::not_found);
  CHECK(*client.exists("rows", 3));
  CHECK_FALSE(*client.exists("rows", 10));
  const auto some = client.multi_get("rows", erased);
  REQUIRE(some.ok());
  CHECK_FALSE((*some)[0].has_value());
  CHECK(client.collection_stats("rows")->rows == *direct.count());
  CHECK(client.database_stats()->rows == *direct.count());
  CHECK(client.verify()->rows == *direct.count());

  std::vector<Row> over_the_wire;
  RemoteCursor cursor = client.scan("rows", {.filter = ".group != 6"});
  while (!cursor.done()) {
    const auto page = cursor.next(100);
    REQUIRE(page.ok());
    over_the_wire.insert(over_the_wire.end(), page->begin(), page->end());
  }
  auto here = direct.scan({.filter = ".group != 6"});
  CHECK(same_rows(over_the_wire, *here->next(10'000)));

  REQUIRE(client.drop_collection("rows").ok());
  CHECK(client.count("rows").status().code() == StatusCode::not_found);
}

TEST_CASE("client and server: searches over the wire are those of the engine, with their stages") {
  ServedDatabase served;
  Client client = connect_to(served.address);
  REQUIRE(client.create_collection("rows", coded_collection()).ok());
  CodedBatch batch = batch_of(0, 1'000, 1);
  REQUIRE(client.upsert("rows", batch.inputs()).ok());
  Collection direct = *served.database->collection("rows");
  const std::uint64_t seed = 11;
  CAPTURE(seed);
  Dice dice(seed);
  SearchReads all;  // of both, which read the same
  for (int i = 0; i < 30; ++i) {
    std::vector<std::vector<float>> vectors;
    std::vector<Query> queries;
    for (std::uint64_t n = dice.between(1, 5); n-- > 0;) {
      vectors.push_back(coded_vector(dice.below(1'000), static_cast<std::uint32_t>(i)));
    }
    for (const auto& vector : vectors) queries.emplace_back(vector);
    queries.front().k = static_cast<std::uint32_t>(dice.between(1, 20));
    SearchOptions options;
    options.k = static_cast<std::uint32_t>(dice.between(1, 50));
    options.with_payload = dice.percent(50);
    options.with_vector = dice.percent(50);
    options.explain = dice.percent(50);
    if (dice.percent(50)) options.filter = ".group < " + std::to_string(dice.below(16));
    const auto there = client.search("rows", queries, options);
    const auto here = direct.search(queries, options);
    REQUIRE(there.ok());
    REQUIRE(here.ok());
    CHECK(there->offsets == here->offsets);
    CHECK(there->neighbors == here->neighbors);
    CHECK(there->certified == here->certified);
    for (std::size_t n = 0; n < here->neighbors.size(); ++n) {
      CHECK(there->neighbors[n].payload == here->neighbors[n].payload);
      CHECK(there->neighbors[n].vector.to_floats() == here->neighbors[n].vector.to_floats());
    }
    CHECK(there.info().server.total_ns > 0);
    CHECK(there.info().server.batch_size >= 1);
    if (options.explain) {
      CHECK(there->reads.full == here->reads.full);
      CHECK(there->reads.coarse == here->reads.coarse);
      CHECK((there->times.full_ns > 0) == (here->times.full_ns > 0));
    } else {
      CHECK(there->reads.full == 0);
    }
    RangeSearchOptions range;
    range.radius = 5'000.0;
    range.limit = 20;
    range.explain = options.explain;
    const auto near = client.range_search("rows", queries, range);
    const auto within = direct.range_search(queries, range);
    REQUIRE(near.ok());
    REQUIRE(within.ok());
    CHECK(near->neighbors == within->neighbors);
    CHECK(near->truncated == within->truncated);
    CHECK((near->times.full_ns > 0) == (range.explain && within->times.full_ns > 0));
    all.full += 2 * here->reads.full;
    all.coarse += 2 * here->reads.coarse;
    all.full += 2 * within->reads.full;
    all.coarse += 2 * within->reads.coarse;
  }
  const auto stats = client.collection_stats("rows");
  REQUIRE(stats.ok());
  CHECK(stats->reads.full == all.full);
  CHECK(stats->reads.coarse == all.coarse);
  CHECK(stats->reads.graph == 0);
}

void wait_for_graph(Client& client, std::uint64_t rows) {
  for (;;) {
    const auto stats = client.collection_stats("rows");
    REQUIRE(stats.ok());
    if (stats->rows_linked >= rows && stats->graph_measured) break;
    std::this_thread::yield();
  }
}

TEST_CASE(
    "client and server: approximate searches are those of the engine, and say what they are") {
  constexpr std::uint64_t kRows = 4'000;
  ServedDatabase served;
  Client client = connect_to(served.address);
  REQUIRE(client.create_collection("rows", coded_collection()).ok());
  for (std::uint64_t id = 0; id < kRows; id += 1'000) {
    CodedBatch batch = batch_of(id, 1'000, 1);
    REQUIRE(client.upsert("rows", batch.inputs()).ok());
  }
  Collection direct = *served.database->collection("rows");
  SearchOptions options;
  options.k = 5;
  options.ef = 10;
  const std::vector<float> first = coded_vector(17, 1);
  CHECK(client.search("rows", Query(first), options)->certified[0] == 1);  // has the graph made
  wait_for_graph(client, kRows);
  for (std::uint64_t id = 0; id < kRows; id += 200) {
    const std::vector<float> vector = coded_vector(id, 2);
    const auto there = client.search("rows", Query(vector), options);
    const auto here = direct.search(Query(vector), options);
    REQUIRE(there.ok());
    REQUIRE(here.ok());
    CHECK(there->backend.starts_with("graph/"));
    CHECK(there->neighbors == *here);
    CHECK(there->certified[0] == 0);
    CHECK(there->recall > 0.0);
    CHECK(there->recall < 1.0);
  }
  options.ef = 0;
  options.recall = 0.0;
  CHECK(client.search("rows", Query(first), options).status().field() == "recall");
  options.recall = std::numeric_limits<double>::quiet_NaN();
  CHECK(client.search("rows", Query(first), options).status().field() == "recall");
  options.recall = 1.0;
  options.ef = 65'537;
  CHECK(client.search("rows", Query(first), options).status().field() == "ef");
  RangeSearchOptions range;
  range.radius = 9.0;
  const Query query(first);
  CHECK(client.range_search("rows", {&query, 1}, range)->certified[0] == 1);
  range.radius = std::numeric_limits<double>::quiet_NaN();
  CHECK(client.range_search("rows", {&query, 1}, range).status().field() == "radius");
}

TEST_CASE("client and server: errors of the engine come back with code, field and text") {
  ServedDatabase served;
  (void)served.fill(3);
  Client client = connect_to(served.address);
  Collection direct = *served.database->collection("rows");
  const std::vector<float> short_vector = {1.0F};
  const auto there = client.search("rows", Query(short_vector)).status();
  const auto here = direct.search(Query(short_vector)).status();
  CHECK(there.code() == here.code());
  CHECK(there.field() == here.field());
  CHECK(there.message() == here.message());
  CHECK(client.count("rows", ".a ==").status().to_string() ==
        direct.count(".a ==").status().to_string());
  CHECK(client.search("nothing", Query(short_vector)).status().code() == StatusCode::not_found);
}

TEST_CASE("client and server: a write repeated under its request id is applied once") {
  ServedDatabase served;
  Client client = connect_to(served.address);
  REQUIRE(client.create_collection("rows", coded_collection()).ok());
  CodedBatch batch = batch_of(0, 5, 1);
  WriteOptions options;
  options.request_id = {7, 8};
  const auto first = client.insert("rows", batch.inputs(), options);
  REQUIRE(first.ok());
  CHECK_FALSE(first->replayed);
  Client other = connect_to(served.address);
  const auto second = other.insert("rows", batch.inputs(), options);
  REQUIRE(second.ok());
  CHECK(second->replayed);
  CHECK(second->rows == 5);
  CHECK(second->sequence == first->sequence);
}

TEST_CASE("client and server: a Unix socket serves like TCP") {
  const TemporaryFolder folder;
  net::ServerOptions options;
  options.listen = {"unix:" + folder.at("socket")};
  ServedDatabase served(options);
  (void)served.fill(10);
  Client client = connect_to("unix:" + folder.at("socket"));
  CHECK(*client.count("rows") == 10);
}

TEST_CASE("client and server: TLS is verified, and fails closed") {
  const TemporaryFolder folder;
  const CertificateFiles files = make_certificate(folder.path(), "server");
  net::ServerOptions server_options;
  server_options.tls_certificate_file = files.certificate;
  server_options.tls_key_file = files.key;
  ServedDatabase served(server_options);
  (void)served.fill(10);
  ClientOptions options;
  options.address = served.address;
  CHECK(Client::connect(options).status().code() == StatusCode::unavailable);
  options.tls.enabled = true;
  CHECK(Client::connect(options).status().code() == StatusCode::unavailable);  // signed by nobody
  options.tls.ca_file = files.certificate;
  options.tls.server_name = "somebody.else";
  CHECK(Client::connect(options).status().code() == StatusCode::unavailable);
  options.tls.server_name = "localhost";
  auto client = Client::connect(options);
  INFO(client.status().to_string());
  REQUIRE(client.ok());
  CHECK(*client->count("rows") == 10);
  // Larger than a TLS record, both ways, several at once.
  std::vector<std::future<Reply<std::vector<std::optional<Row>>>>> replies;
  const std::vector<RowId> ids(20'000, RowId(3));
  for (int i = 0; i < 4; ++i) {
    auto [done, reply] = promised<std::vector<std::optional<Row>>>();
    (void)client->async_multi_get("rows", ids, {}, {}, done);
    replies.push_back(std::move(reply));
  }
  for (auto& reply : replies) CHECK(reply.get()->size() == 20'000);
}

TEST_CASE("client and server: a server that stops and comes back finds its clients again") {
  const TemporaryFolder folder;
  net::ServerOptions server_options;
  server_options.listen = {"unix:" + folder.at("socket")};
  auto served = std::make_unique<ServedDatabase>(server_options);
  (void)served->fill(10);
  ClientOptions options;
  options.address = "unix:" + folder.at("socket");
  options.backoff_max = 20ms;
  auto client = Client::connect(options);
  REQUIRE(client.ok());
  CHECK(*client->count("rows") == 10);
  served.reset();
  auto [done, reply] = promised<std::uint64_t>();
  (void)client->async_count("rows", "", {}, done);
  served = std::make_unique<ServedDatabase>(server_options);
  CHECK(reply.get().status().code() == StatusCode::not_found);  // an empty database now
  CHECK(client->stats().connects >= 2);
}

TEST_CASE("client and server: many threads share one client") {
  net::ServingOptions patient;
  patient.searches.target = 60s;
  ServedDatabase served({}, "", patient);
  (void)served.fill(100);
  Client client = connect_to(served.address);
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 100; ++i) {
        const std::vector<float> vector = {static_cast<float>((t * 37 + i) % 100), 1, 0, 0};
        const auto found = client.search("rows", Query(vector), {.k = 1});
        if (found.ok() && found->of(0)[0].id == RowId((t * 37 + i) % 100)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 800);
}

}  // namespace
}  // namespace vecserve::test
