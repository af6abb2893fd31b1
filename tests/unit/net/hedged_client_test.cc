// The hedged client against scripted replicas: one that answers at once and one that never does.
// What it decides is tested in hedge_policy_test; here that decisions become calls, answers and
// cancels, and that every callback comes once.
// Main thread calls; replicas have threads of their own. No sleeping: a silent replica stays
// silent.
#include "vecserve/hedge.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "tests/support/scripted_peer.h"

namespace vecserve::test {
namespace {

using net::Verb;

// Answers searches while it is not silent, and counts what it was asked. Silent, it answers nothing
// but cancels, and what they take back as never begun.
struct Replica {
  std::atomic<bool> silent{false};
  std::atomic<int> held{0};  // searches that it has and did not answer
  std::atomic<int> searches{0};
  std::atomic<int> cancels{0};
  std::atomic<int> recalls{0};  // of these, only of what has not begun
  std::mutex rule_mutex;
  std::function<bool()> rule = [] { return false; };  // under rule_mutex: refuse the next search?
  std::set<std::uint64_t> held_ids;                   // of its connection's thread
  ScriptedPeer peer{
      ScriptedPeer::answering([this](PeerConnection& connection, const PeerRequest& request) {
        if (request.header.verb == Verb::cancel) {
          ++cancels;
          const auto& cancel = std::get<net::CancelRequest>(request.request);
          recalls += cancel.waiting_only ? 1 : 0;
          connection.reply(request.header, net::EmptyReply{}, {});
          if (held_ids.erase(cancel.target) == 0) return;
          net::FrameHeader dropped;
          dropped.verb = Verb::search;
          dropped.request_id = cancel.target;
          net::ErrorReply gone;
          gone.status = Status(StatusCode::cancelled, "cancelled before it began");
          connection.refuse(dropped, gone);
          --held;
          return;
        }
        ++searches;
        if (silent) {
          held_ids.insert(request.header.request_id);
          ++held;
          return;
        }
        if (refuses()) {
          net::ErrorReply full;
          full.status = Status(StatusCode::resource_exhausted, "full");
          return connection.refuse(request.header, full);
        }
        SearchResult found;
        found.offsets = {0, 0};
        found.certified = {1};
        found.truncated = {0};
        connection.reply(request.header, found, {});
      })};

  // At any time: a second copy of an earlier search may still be on its way to the replica.
  void refuse_when(std::function<bool()> refuse) {
    const std::lock_guard lock(rule_mutex);
    rule = std::move(refuse);
  }

 private:
  bool refuses() {
    const std::lock_guard lock(rule_mutex);
    return rule();
  }
};

HedgeOptions options_for(const std::vector<std::unique_ptr<Replica>>& replicas) {
  HedgeOptions options;
  for (const auto& replica : replicas) {
    ClientOptions client;
    client.address = replica->peer.address();
    options.replicas.push_back(client);
  }
  options.target = std::chrono::milliseconds(20);  // late calls are hedged after 10 ms at most
  return options;
}

std::vector<std::unique_ptr<Replica>> make_replicas(int count) {
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int i = 0; i < count; ++i) replicas.push_back(std::make_unique<Replica>());
  return replicas;
}

const std::vector<float> kVector = {1.0F, 2.0F};

Reply<SearchResult> search_once(HedgedClient& client) {
  const std::vector<Query> queries = {Query(kVector)};
  return client.search("books", queries);
}

Status search_within(HedgedClient& client, std::chrono::milliseconds timeout) {
  const std::vector<Query> queries = {Query(kVector)};
  CallOptions call;
  call.timeout = timeout;
  return client.search("books", queries, {}, call).status();
}

// A search while a replica is silent: it is answered, unless the budget for second copies, which a
// busy host uses up with calls that are late for other reasons, did not allow to ask another one.
bool answered_or_out_of_budget(HedgedClient& client) {
  const std::uint64_t before = client.stats().no_budget;
  return search_within(client, std::chrono::milliseconds(500)).ok() ||
         client.stats().no_budget > before;
}

}  // namespace

TEST_CASE("hedged client: a call that a silent replica holds is answered by another") {
  const auto replicas = make_replicas(3);
  Result<HedgedClient> client = HedgedClient::connect(options_for(replicas));
  REQUIRE(client.ok());
  // Delays are learned from a hundred calls to each and looked at ten times a second.
  for (int i = 0; i < 500'000 && client->stats().delay.count() == 0; ++i) {
    REQUIRE(search_once(*client).ok());
  }
  REQUIRE(client->stats().delay.count() > 0);
  replicas[0]->silent = true;
  const int before = replicas[0]->searches;
  const std::uint64_t wins = client->stats().wins;
  // Until one was held there and another replica's answer came first.
  // The first copy is asked back, unless the answer came before that.
  const auto held = [&] {
    return replicas[0]->searches > before && client->stats().wins > wins &&
           replicas[0]->recalls > 0;
  };
  for (int i = 0; i < 200'000 && !held(); ++i) REQUIRE(answered_or_out_of_budget(*client));
  CHECK(held());
  CHECK(client->stats().hedges >= 1);
  // The server said that it had not begun.
  client->close();
  CHECK(client->stats().cancelled_queued >= 1);
  CHECK(client->stats().cancelled_running == 0);
}

TEST_CASE(
    "hedged client: when the first copy was taken back and the second refused, a third goes") {
  const auto replicas = make_replicas(2);
  Result<HedgedClient> client = HedgedClient::connect(options_for(replicas));
  REQUIRE(client.ok());
  for (int i = 0; i < 500'000 && client->stats().delay.count() == 0; ++i) {
    REQUIRE(search_once(*client).ok());
  }
  REQUIRE(client->stats().delay.count() > 0);
  // One call at a time: what comes to the other replica while this one holds a call is its second
  // copy, unless a busy host delivers the first one late. That is refused, and from then on this
  // one answers.
  Replica& holds = *replicas[0];
  Replica& refuses = *replicas[1];
  std::atomic<int> refusals{0};
  refuses.refuse_when([&holds, &refusals] {
    if (holds.held == 0) return false;
    holds.silent = false;
    ++refusals;
    return true;
  });
  const auto asked = [&] { return holds.searches + refuses.searches; };
  bool third_answered = false;
  for (int i = 0; i < 200'000 && !third_answered; ++i) {
    holds.silent = true;
    const int refused_before = refusals;
    const int asked_before = asked();
    const Status status = search_within(*client, std::chrono::milliseconds(200));
    third_answered = status.ok() && refusals == refused_before + 1 && asked() == asked_before + 3;
    while (holds.held > 0) std::this_thread::yield();  // a loser that is being taken back
  }
  refuses.refuse_when([] { return false; });  // what it looked at is gone before its thread
  CHECK(third_answered);
  CHECK(client->stats().hedges >= 1);
}

TEST_CASE("hedged client: without hedging calls are spread and none is sent twice") {
  const auto replicas = make_replicas(2);
  HedgeOptions options = options_for(replicas);
  options.hedging = false;
  Result<HedgedClient> client = HedgedClient::connect(options);
  REQUIRE(client.ok());
  for (int i = 0; i < 200; ++i) REQUIRE(search_once(*client).ok());
  CHECK(replicas[0]->searches + replicas[1]->searches == 200);
  CHECK(client->stats().hedges == 0);
  CHECK(client->stats().calls == 200);
}

TEST_CASE("hedged client: what is passed in need not live until the answer") {
  const auto replicas = make_replicas(1);
  Result<HedgedClient> client = HedgedClient::connect(options_for(replicas));
  REQUIRE(client.ok());
  auto [done, reply] = promised<SearchResult>();
  {
    const std::vector<float> vector(64, 0.5F);
    const std::string name = "books";
    std::vector<Query> queries = {Query(vector)};
    queries[0].filter = std::string_view(".year > 1990");
    client->async_search(name, queries, {}, {}, std::move(done));
  }
  CHECK(reply.get().ok());
}

TEST_CASE("hedged client: closing ends what waits, once") {
  const auto replicas = make_replicas(2);
  for (const auto& replica : replicas) replica->silent = true;
  Result<HedgedClient> client = HedgedClient::connect(options_for(replicas));
  REQUIRE(client.ok());
  std::vector<std::future<Reply<SearchResult>>> waiting;
  const std::vector<Query> queries = {Query(kVector)};
  for (int i = 0; i < 20; ++i) {
    auto [done, reply] = promised<SearchResult>();
    client->async_search("books", queries, {}, {}, std::move(done));
    waiting.push_back(std::move(reply));
  }
  client->close();
  for (auto& reply : waiting) CHECK_FALSE(reply.get().ok());
}

TEST_CASE("hedged client: wrong options name the field, an absent replica is unavailable") {
  HedgeOptions options;
  CHECK(HedgedClient::connect(options).status().field() == "replicas");
  const auto replicas = make_replicas(1);
  options = options_for(replicas);
  options.budget = 0.9;
  CHECK(HedgedClient::connect(options).status().field() == "budget");
  options.budget = 0.05;
  options.load_max = 2.0;
  CHECK(HedgedClient::connect(options).status().field() == "load_max");
  options.load_max = 0.9;
  options.target = std::chrono::microseconds(0);
  CHECK(HedgedClient::connect(options).status().field() == "target");
}

}  // namespace vecserve::test
