// Searches and writes beside each other on one server: each has its own bounded queue, so that
// neither can starve the other, whichever of them hangs or floods; writes that wait for the disk
// together share its syncs. Real sockets and threads, no sleeping: what is held up is held by a
// gate. Always holds: nothing is left unanswered.
#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"

namespace vecserve::net {
namespace {

// Shut until it is opened, for good.
struct Gate {
  std::atomic<bool> open{false};
  void let_go() {
    open = true;
    open.notify_all();
  }
  void pass() { open.wait(false); }
};

// Searches that begin hang until the gate is open; then they find nothing.
class HungSearches final : public Device {
 public:
  void run(Batch& batch) noexcept override {
    gate.pass();
    for (Status& status : batch.statuses) status = Status(StatusCode::internal, "hung");
  }
  Gate gate;
};

class HungWrite final : public CallWork {
 public:
  HungWrite(std::shared_ptr<Peer> peer, Gate& gate) : CallWork(std::move(peer), {}), gate_(gate) {}
  Status call(const std::shared_ptr<const CancelToken>&) override {
    gate_.pass();
    return {};
  }
  void finish(const Outcome&) noexcept override {}

 private:
  Gate& gate_;
};

const std::vector<float> kVector = {3, 1, 0, 0};

SearchRequest search_request() {
  SearchRequest search;
  search.collection = "rows";
  search.queries = {Query(kVector)};
  search.k = 1;
  return search;
}

WriteRequest write_request(std::uint64_t row) {
  WriteRequest write;
  write.collection = "rows";
  write.rows.resize(1);
  write.rows[0].id = RowId(row);
  write.rows[0].vector = VectorView(kVector);
  return write;
}

TEST_CASE("server: searches that hang in every lane keep no write waiting", "[fairness]") {
  HungSearches searches;
  ServingOptions patient;
  patient.searches.target = std::chrono::hours(1);
  test::ServedDatabase served({}, "", patient, &searches);
  served.fill(10);
  test::WireClient searching = served.client();
  constexpr std::uint64_t kSearches = 50;
  for (std::uint64_t id = 0; id < kSearches; ++id) {
    REQUIRE(searching.request({.verb = Verb::search, .id = id}, search_request()));
  }
  while (served.serving->searches().stats().admitted != kSearches) {
  }
  test::WireClient writing = served.client();
  for (std::uint64_t row = 0; row < 200; ++row) {
    REQUIRE(test::status_of(writing.ask(Verb::upsert, write_request(row))).ok());
  }
  CHECK(served.serving->searches().stats().completed == 0);
  searches.gate.let_go();
  for (std::uint64_t n = 0; n < kSearches; ++n) {
    CHECK(test::status_of(searching.reply()).code() == StatusCode::internal);
  }
}

TEST_CASE("server: writes that hang in every lane fill their own queue and keep no search waiting",
          "[fairness]") {
  Gate gate;  // outlives the server
  ServingOptions bounded;
  bounded.writes.works_max = 64;
  test::ServedDatabase served({}, "", bounded);
  served.fill(10);
  Dispatch& writes = served.serving->writes();
  const auto peer = writes.join();
  for (std::uint32_t i = 0; i < bounded.writes.lanes; ++i) {
    REQUIRE_FALSE(writes.submit(std::make_shared<HungWrite>(peer, gate)).has_value());
    // One to a lane: two that wait together would ride in one batch.
    while (writes.stats().lanes_busy != i + 1) {
    }
  }
  test::WireClient writing = served.client();
  constexpr std::uint64_t kWrites = 100;
  for (std::uint64_t id = 0; id < kWrites; ++id) {
    REQUIRE(writing.request({.verb = Verb::upsert, .id = id}, write_request(100 + id)));
  }
  const std::uint64_t room = bounded.writes.works_max - bounded.writes.lanes;
  for (std::uint64_t n = 0; n < kWrites - room; ++n) {
    CHECK(test::status_of(writing.reply()).code() == StatusCode::resource_exhausted);
  }
  test::WireClient searching = served.client();
  for (int n = 0; n < 200; ++n) {
    REQUIRE(test::status_of(searching.ask(Verb::search, search_request())).ok());
  }
  CHECK(writes.stats().completed == 0);
  gate.let_go();
  for (std::uint64_t n = 0; n < room; ++n) CHECK(test::status_of(writing.reply()).ok());
}

// Asks without pause until it has had so many good answers, and goes on until it is told to stop.
class Flood {
 public:
  Flood(const std::string& address, bool writes, std::uint64_t first, std::uint64_t enough)
      : thread_([this, address, writes, first, enough] { run(address, writes, first, enough); }) {}
  void wait_enough() { enough_.wait(false); }
  void stop() {
    stop_ = true;
    thread_.join();
  }
  [[nodiscard]] bool healthy() const { return healthy_; }

 private:
  void run(const std::string& address, bool writes, std::uint64_t first, std::uint64_t enough) {
    constexpr std::uint64_t kInFlight = 16;
    test::WireClient client(address);
    bool fine = client.request({.verb = Verb::hello, .id = 0}, HelloRequest()) &&
                client.try_reply().has_value();
    const auto ask = [&](std::uint64_t id) {
      return writes ? client.request({.verb = Verb::upsert, .id = id}, write_request(first + id))
                    : client.request({.verb = Verb::search, .id = id}, search_request());
    };
    for (std::uint64_t id = 0; fine && id < kInFlight; ++id) fine = ask(id);
    std::uint64_t good = 0;
    while (fine && !stop_) {
      const std::optional<Reply> reply = client.try_reply();
      fine = reply.has_value();
      if (!fine) break;
      const StatusCode code = test::status_of(*reply).code();
      fine = code == StatusCode::ok || code == StatusCode::resource_exhausted;
      if (code == StatusCode::ok && ++good == enough) {
        enough_ = true;
        enough_.notify_all();
      }
      fine = fine && ask(reply->request_id);
    }
    healthy_ = fine;
    enough_ = true;
    enough_.notify_all();
  }

  std::atomic<bool> stop_{false};
  std::atomic<bool> enough_{false};
  std::atomic<bool> healthy_{false};
  std::thread thread_;
};

TEST_CASE("server: floods of searches and of durable writes both get on, and writes share syncs",
          "[fairness]") {
  const test::TemporaryFolder folder;
  test::ServedDatabase served({}, folder.at("data"));
  served.fill(2'000);
  const DatabaseStats before = served.database->stats();
  constexpr std::uint64_t kEnough = VECSERVE_SANITIZED ? 100 : 500;
  std::vector<std::unique_ptr<Flood>> floods;
  for (std::uint64_t i = 0; i < 8; ++i) {
    const std::uint64_t first = 10'000 + i * 1'000'000;
    floods.push_back(std::make_unique<Flood>(served.address, i % 2 == 0, first, kEnough));
  }
  // Nobody stops before everybody has had enough: the others flood all the while.
  for (const auto& flood : floods) flood->wait_enough();
  for (const auto& flood : floods) {
    flood->stop();
    CHECK(flood->healthy());
  }
  const DatabaseStats after = served.database->stats();
  const std::uint64_t writes = after.commit_writes - before.commit_writes;
  const std::uint64_t commits = after.commits - before.commits;
  INFO(writes << " writes in " << commits << " commits");
  CHECK(writes >= 4 * kEnough);
  CHECK(commits < writes);
}

}  // namespace
}  // namespace vecserve::net
