// The server as a whole: it listens, answers over TCP and a Unix socket and on several io threads,
// reads its tokens again, drains and stops. Real sockets on loopback. Always holds: after every
// case no connection and no scan is left.
#include "net/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "net/tokens.h"
#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"

namespace vecserve::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

SearchRequest search_for(const std::vector<float>& vector, std::uint32_t k) {
  SearchRequest search;
  search.collection = "rows";
  search.queries = {Query(vector)};
  search.k = k;
  search.with_payload = true;
  return search;
}

TEST_CASE("server: answers come back over TCP and over a Unix socket", "[server]") {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.listen = {"127.0.0.1:0", "unix:" + folder.at("socket")};
  test::ServedDatabase served(options);
  served.fill(10);
  REQUIRE(served.server->addresses().size() == 2);
  for (const std::string& address : served.server->addresses()) {
    CAPTURE(address);
    test::WireClient client(address);
    REQUIRE(client.connected());
    REQUIRE(test::status_of(client.hello()).ok());
    const std::vector<float> vector = {3, 1, 0, 0};
    const Reply reply = client.ask(Verb::search, search_for(vector, 2));
    const auto& result = std::get<SearchResult>(reply.body);
    REQUIRE(result.neighbors.size() == 2);
    CHECK(result.neighbors[0].id == RowId(3));
    CHECK(result.neighbors[0].payload == R"({"n":3})");
    CHECK(reply.served.total_ns > 0);
    CHECK(reply.served.run_ns >= reply.served.scan_ns);
  }
}

TEST_CASE("server: pipelined requests are all answered, each once", "[server]") {
  ServerOptions options;
  options.io_threads = 3;
  ServingOptions patient;  // nobody is refused for lack of time
  patient.searches.target = seconds(60);
  test::ServedDatabase served(options, "", patient);
  served.fill(100);
  constexpr int kClients = 6;
  constexpr std::uint64_t kRequests = 200;
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> right{0};
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&] {
      test::WireClient client(served.address);
      std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = kRequests}, HelloRequest());
      std::vector<std::uint8_t> seen(kRequests, 0);
      for (std::uint64_t id = 0; id < kRequests; ++id) {
        const std::vector<float> vector = {static_cast<float>(id % 100), 1, 0, 0};
        bytes += test::frame_bytes({.verb = Verb::search, .id = id}, search_for(vector, 1));
      }
      client.send(bytes);
      for (std::uint64_t n = 0; n <= kRequests; ++n) {
        const std::optional<Reply> reply = client.try_reply();
        if (!reply) return;
        const auto* result = std::get_if<SearchResult>(&reply->body);
        if (result == nullptr || seen[reply->request_id]++ != 0) continue;
        if (result->neighbors[0].id == RowId(reply->request_id % 100)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == kClients * kRequests);
}

// Answers each query with one row whose id is the query's first coordinate plus 1000. A batch takes
// as long as the gate is shut.
class NamingDevice final : public Device {
 public:
  void run(Batch& batch) noexcept override {
    batches.fetch_add(1);
    batches.notify_all();
    open.wait(false);
    result_ = SearchResult();
    result_.backend = "naming";
    result_.offsets = {0};
    for (const std::shared_ptr<Work>& work : batch.works) {
      auto& search = static_cast<SearchWork&>(*work);
      search.answer_from(result_, result_.query_count());
      for (const Query& query : search.queries) {
        float first = 0;
        std::memcpy(&first, query.vector.data, sizeof(first));
        Neighbor neighbor;
        neighbor.id = RowId(static_cast<std::uint64_t>(first) + 1'000);
        result_.neighbors.push_back(neighbor);
        result_.offsets.push_back(result_.neighbors.size());
        result_.certified.push_back(1);
        result_.truncated.push_back(0);
      }
    }
    batch.stages.scan_ns = 1;
  }
  std::atomic<bool> open{false};
  std::atomic<int> batches{0};

 private:
  SearchResult result_;  // one lane
};

TEST_CASE("server: a device that was brought answers searches in the database's place",
          "[server]") {
  NamingDevice device;
  ServingOptions bounded;
  bounded.searches.lanes = 1;
  bounded.searches.target = seconds(60);
  test::ServedDatabase served({}, "", bounded, &device);
  served.fill(3);
  test::WireClient client = served.client();
  const std::vector<std::vector<float>> vectors = {{7, 0, 0, 0}, {8, 0, 0, 0}, {9, 0, 0, 0}};
  for (std::uint64_t id = 0; id < 3; ++id) {
    REQUIRE(client.request({.verb = Verb::search, .id = id}, search_for(vectors[id], 1)));
    if (id == 0) device.batches.wait(0);
  }
  while (served.serving->searches().stats().queued[0] != 2) {
  }
  device.open = true;
  device.open.notify_all();
  for (int n = 0; n < 3; ++n) {
    const Reply reply = client.reply();
    REQUIRE(test::status_of(reply).ok());
    const auto& result = std::get<SearchResult>(reply.body);
    REQUIRE(result.neighbors.size() == 1);
    CHECK(result.neighbors[0].id == RowId(1'007 + reply.request_id));
    CHECK(reply.served.backend == "naming");
    CHECK(reply.served.batch_size == (reply.request_id == 0 ? 1U : 2U));
  }
  CHECK(device.batches == 2);
}

TEST_CASE("server: an address in use and a bad option are refused", "[server]") {
  test::ServedDatabase served;
  ServerOptions options;
  options.listen = {served.address};
  Server second(options, *served.database, *served.serving, served.clock);
  CHECK(second.start().code() == StatusCode::unavailable);
  ServerOptions open;
  open.listen = {"0.0.0.0:0"};
  Server third(open, *served.database, *served.serving, served.clock);
  CHECK(third.start().field() == "listen");
  ServerOptions missing;
  missing.token_file = "/nowhere/tokens";
  Server fourth(missing, *served.database, *served.serving, served.clock);
  CHECK(fourth.start().field() == "token_file");
}

TEST_CASE("server: a socket file that a killed server left is replaced, a live one is not",
          "[server]") {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.listen = {"unix:" + folder.at("socket")};
  {
    test::ServedDatabase first(options);
    Server second(options, *first.database, *first.serving, first.clock);
    CHECK(second.start().code() == StatusCode::unavailable);
    test::WireClient client(first.address);
    CHECK(client.connected());
  }
  CHECK_FALSE(std::filesystem::exists(folder.at("socket")));
}

TEST_CASE("server: tokens are read again, and a broken file leaves the old ones", "[server]") {
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.token_file = folder.at("tokens");
  const auto write = [&](std::string_view token) {
    std::ofstream(options.token_file) << "a " << to_hex(digest_of(token)) << " read@*\n";
  };
  write("old");
  test::ServedDatabase served(options);
  const auto enters = [&](std::string_view token) {
    test::WireClient client(served.address);
    return test::status_of(client.hello(token)).ok();
  };
  CHECK(enters("old"));
  CHECK_FALSE(enters("new"));
  write("new");
  CHECK(served.server->reload().ok());
  CHECK(enters("new"));
  CHECK_FALSE(enters("old"));
  std::ofstream(options.token_file) << "nonsense\n";
  CHECK(served.server->reload().field() == "token_file");
  CHECK(enters("new"));
}

TEST_CASE("server: draining answers what was admitted and refuses what comes later", "[server]") {
  test::ServedDatabase served;
  served.fill(10);
  test::WireClient client = served.client();
  const std::vector<float> vector = {3, 1, 0, 0};
  CHECK(test::status_of(client.ask(Verb::search, search_for(vector, 2))).ok());
  CHECK(served.server->drain(seconds(10)));
  const Status late = test::status_of(client.ask(Verb::search, search_for(vector, 2)));
  CHECK(late.code() == StatusCode::unavailable);
  CHECK(test::status_of(client.ask(Verb::ping, EmptyRequest())).ok());
  CHECK_FALSE(test::WireClient(served.address).connected());
  served.server->stop();
  CHECK(client.closed_within(milliseconds(5'000)));
  served.server->stop();
}

// Lets go of its batch only when everything else of the server has ended.
class LateDevice final : public Device {
 public:
  void run(Batch& batch) noexcept override {
    began.count_down();
    while (!batch.stop->cancelled()) std::this_thread::yield();
    while (server->counters().connections.load() != 0) std::this_thread::yield();
    for (int i = 0; i < 1'000; ++i) std::this_thread::yield();
    for (Status& status : batch.statuses) status = Status(StatusCode::cancelled, "stopped");
    ended.store(true);
  }
  const Server* server = nullptr;  // set before the first batch
  std::latch began{1};
  std::atomic<bool> ended{false};
};

TEST_CASE("server: when stopping returns, nothing of it runs on a lane any more", "[server]") {
  LateDevice device;
  test::ServedDatabase served({}, "", {}, &device);
  device.server = &*served.server;
  served.fill(3);
  test::WireClient client = served.client();
  const std::vector<float> vector = {3, 1, 0, 0};
  client.request({.verb = Verb::search, .id = 1}, search_for(vector, 1));
  device.began.wait();
  served.server->stop();
  CHECK(device.ended.load());
  CHECK(served.serving->searches().stats().running == 0);
}

TEST_CASE("server: draining gives up when a client does not read", "[server]") {
  // A Unix socket holds about 200 KiB on its way; six answers here are more. What is refused, on a
  // host that stutters, is asked again; and a client that does not read is not cut off meanwhile.
  const test::TemporaryFolder folder;
  ServerOptions options;
  options.listen = {"unix:" + folder.at("socket")};
  options.write_timeout = std::chrono::minutes(10);
  test::ServedDatabase served(options);
  served.fill(2'000);
  test::WireClient client = served.client();
  GetRequest get;
  get.collection = "rows";
  for (std::uint64_t i = 0; i < 2'000; ++i) get.ids.emplace_back(i);
  const ServerCounters& counters = served.server->counters();
  const std::uint64_t before = counters.replies.load();
  const auto answered = [&] { return counters.replies.load() - counters.errors.load() - before; };
  const auto until = std::chrono::steady_clock::now() + test::kWireWait;
  for (std::uint64_t sent = 0; answered() < 6; ++sent) {
    client.request({.verb = Verb::multi_get, .id = 100 + sent}, get);
    while (counters.replies.load() - before <= sent) {
      REQUIRE(std::chrono::steady_clock::now() < until);
      std::this_thread::yield();
    }
  }
  CHECK_FALSE(served.server->drain(milliseconds(200)));
}

}  // namespace
}  // namespace vecserve::net
