// Checks tools/loadgen/client_target against a scripted peer: that each kind becomes its request,
// outcomes follow the reply, and stages are those that the server told. Some threads; nothing waits
// for a time to pass but the short plan.
#include "tools/loadgen/client_target.h"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>

#include "tests/support/scripted_peer.h"
#include "tools/loadgen/run_load.h"

namespace {

using namespace vecserve;
using namespace vecserve::loadgen;
using net::Verb;
using vecserve::test::PeerConnection;
using vecserve::test::PeerRequest;
using vecserve::test::ScriptedPeer;

// Answers by verb, and counts what it was asked.
struct Peer {
  std::array<std::atomic<int>, 256> asked{};
  bool refuse = false;
  ScriptedPeer peer{ScriptedPeer::answering([this](PeerConnection& connection,
                                                   const PeerRequest& request) {
    ++asked.at(static_cast<std::size_t>(request.header.verb));
    if (refuse) {
      connection.refuse(request.header, {Status(StatusCode::resource_exhausted, "full"), {}, 0, 0});
      return;
    }
    ServedStages served;
    served.queue_ns = 1'000;
    served.scan_ns = 2'000;
    served.run_ns = 2'500;
    served.batch_size = 4;
    connection.reply(request.header, answer_to(request.header.verb), served);
  })};

  static net::ReplyBody answer_to(Verb verb) {
    switch (verb) {
      case Verb::search:
        return SearchResult{};
      case Verb::multi_get:
        return net::RowsReply{{std::nullopt}};
      case Verb::upsert:
      case Verb::erase:
        return WriteResult{};
      default:
        return net::EmptyReply{};
    }
  }
  int count(Verb verb) { return asked.at(static_cast<std::size_t>(verb)).load(); }
};

ClientTargetOptions options_for(const Peer& peer) {
  ClientTargetOptions options;
  options.address = peer.peer.address();
  options.connections = 1;
  options.dim = 4;
  options.rows = 2'500;
  return options;
}

TEST_CASE("client target: every kind is sent as itself and its stages come back", "[loadgen]") {
  Peer peer;
  auto target = ClientTarget::connect(options_for(peer));
  REQUIRE(target.ok());
  LoadPlan plan;
  plan.schedule.rate = 2'000.0;
  plan.schedule.duration_s = 0.1;
  plan.weights = {1, 1, 1, 1};
  const auto run = run_load(plan, **target, {});
  REQUIRE(run.ok());
  const Summary& summary = run->report.summary;
  CHECK(run->result.drained);
  CHECK(summary.outcomes[static_cast<std::size_t>(Outcome::ok)] == summary.measured);
  for (const Verb verb : {Verb::search, Verb::upsert, Verb::erase, Verb::multi_get}) {
    CHECK(peer.count(verb) > 10);
  }
  CHECK(summary.has_stages);
  CHECK(summary.mean_batch_size == 4.0);
  CHECK(summary.queue.max() == 1'000);
  CHECK(summary.fetch.max() == 500);
}

TEST_CASE("client target: preparing makes the collection and writes every row once", "[loadgen]") {
  Peer peer;
  auto target = ClientTarget::connect(options_for(peer));
  REQUIRE(target.ok());
  std::uint64_t last = 0;
  REQUIRE((*target)->prepare([&](std::uint64_t rows) { last = rows; }).ok());
  CHECK(last == 2'500);
  CHECK(peer.count(Verb::create_collection) == 1);
  CHECK(peer.count(Verb::upsert) == 3);
}

TEST_CASE("client target: a refusal is one, and is not sent again", "[loadgen]") {
  Peer peer;
  peer.refuse = true;
  auto target = ClientTarget::connect(options_for(peer));
  REQUIRE(target.ok());
  LoadPlan plan;
  plan.schedule.rate = 1'000.0;
  plan.schedule.duration_s = 0.05;
  const auto run = run_load(plan, **target, {});
  REQUIRE(run.ok());
  const Summary& summary = run->report.summary;
  CHECK(summary.outcomes[static_cast<std::size_t>(Outcome::refused)] == summary.measured);
  CHECK(peer.count(Verb::search) == static_cast<int>(summary.sent));
}

TEST_CASE("client target: status codes become outcomes", "[loadgen]") {
  CHECK(outcome_of(StatusCode::ok) == Outcome::ok);
  CHECK(outcome_of(StatusCode::not_found) == Outcome::ok);
  CHECK(outcome_of(StatusCode::resource_exhausted) == Outcome::refused);
  CHECK(outcome_of(StatusCode::deadline_exceeded) == Outcome::expired);
  RetryAdvice advice;
  advice.predicted_wait = std::chrono::milliseconds(3);
  CHECK(outcome_of(StatusCode::deadline_exceeded, advice) == Outcome::refused);
  CHECK(outcome_of(StatusCode::unavailable) == Outcome::failed);
  CHECK(outcome_of(StatusCode::data_loss) == Outcome::failed);
  ClientTargetOptions nothing;
  nothing.rows = 0;
  CHECK(ClientTarget::connect(nothing).status().field() == "rows");
}

}  // namespace
