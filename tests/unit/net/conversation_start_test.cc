// Writes of one connection: in the order in which they were sent as far as they touch the same
// rows, also when some are cancelled or refused and when the connection closes. Real lanes. Always
// holds: each is answered once, and nothing is left in the order at the end.
#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "net/conversation.h"
#include "tests/support/dice.h"
#include "tests/support/served_database.h"
#include "tests/support/talk.h"

namespace vecserve::net {
namespace {

using test::Talk;

void make_rows(Talk& talk) {
  talk.greet();
  CollectionOptions shape;
  shape.dim = 1;
  REQUIRE(talk.database->create_collection("rows", shape).ok());
}

// One row, or an erasure of it.
struct Change {
  std::uint64_t row = 0;
  std::string payload;  // "": erase
  bool say(Talk& talk, std::uint64_t id) const {
    if (payload.empty()) {
      EraseRequest erase;
      erase.collection = "rows";
      erase.ids = {RowId(row)};
      return talk.say(Verb::erase, erase, id);
    }
    const std::vector<float> vector = {1.0f};
    WriteRequest write;
    write.collection = "rows";
    write.rows.resize(1);
    write.rows[0].id = RowId(row);
    write.rows[0].vector = VectorView(vector);
    write.rows[0].payload = payload;
    return talk.say(Verb::upsert, write, id);
  }
};

TEST_CASE("conversation: pipelined writes to one row happen in the order in which they were sent") {
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{6}));
  CAPTURE(seed);
  test::Dice dice(seed);
  Talk talk;
  make_rows(talk);
  std::map<std::uint64_t, std::string> expected;  // payloads, "" for none
  constexpr std::uint64_t kWrites = 400;
  for (std::uint64_t id = 0; id < kWrites; ++id) {
    Change change;
    change.row = dice.below(5);
    if (!dice.percent(30)) change.payload = "{\"n\":" + std::to_string(id) + "}";
    REQUIRE(change.say(talk, 100 + id));
    expected[change.row] = change.payload;
  }
  for (std::uint64_t id = 0; id < kWrites; ++id) {
    REQUIRE(test::status_of(talk.hear()).ok());
  }
  const Collection rows = talk.database->collection("rows").value();
  for (const auto& [row, payload] : expected) {
    const auto found = rows.get(RowId(row));
    CHECK(found.ok() == !payload.empty());
    if (found.ok()) CHECK(found->payload == payload);
  }
}

TEST_CASE("conversation: a collection that is made and filled in one breath is there in time") {
  Talk talk;
  talk.greet();
  CreateRequest create;
  create.collection = "rows";
  create.options.dim = 1;
  EraseWhereRequest erase;
  erase.collection = "rows";
  erase.filter = ".n < 50";
  REQUIRE(talk.say(Verb::create_collection, create, 1));
  for (std::uint64_t n = 0; n < 100; ++n) {
    REQUIRE(Change{n, "{\"n\":" + std::to_string(n) + "}"}.say(talk, 10 + n));
  }
  REQUIRE(talk.say(Verb::erase_where, erase, 2));
  REQUIRE(Change{7, "{\"n\":7}"}.say(talk, 3));
  for (int n = 0; n < 103; ++n) {
    const Reply reply = talk.hear();
    CAPTURE(reply.request_id);
    REQUIRE(test::status_of(reply).ok());
    if (reply.request_id == 2) CHECK(std::get<WriteResult>(reply.body).rows == 50);
  }
  CHECK(talk.database->collection("rows").value().count().value() == 51);
}

// Nothing runs: what is admitted waits for a lane for ever.
TEST_CASE("conversation: a write that waits for another can be cancelled, its place stays") {
  Talk talk({}, false);
  make_rows(talk);
  for (std::uint64_t id = 1; id <= 3; ++id) REQUIRE(Change{1, "{}"}.say(talk, id));
  CHECK(talk.serving.writes().stats().in_flight == 1);
  REQUIRE(talk.say(Verb::cancel, CancelRequest{2}, 20));
  std::vector<Reply> replies;
  replies.push_back(talk.hear());
  replies.push_back(talk.hear());
  for (const Reply& reply : replies) {
    const StatusCode code = test::status_of(reply).code();
    CHECK(code == (reply.request_id == 2 ? StatusCode::cancelled : StatusCode::ok));
  }
  // The number is free again, and the third still waits for the first.
  CHECK(talk.serving.writes().stats().in_flight == 1);
  REQUIRE(Change{1, "{}"}.say(talk, 2));
  CHECK(talk.talk->unanswered() == 3);
  // The first is cancelled in the core: the third is next.
  REQUIRE(talk.say(Verb::cancel, CancelRequest{1}, 21));
  CHECK(talk.serving.writes().stats().in_flight == 1);
  CHECK(talk.talk->unanswered() == 2);
  talk.talk->close();
  CHECK(talk.talk->unanswered() == 0);
  CHECK(talk.serving.writes().stats().in_flight == 0);
}

TEST_CASE("conversation: refused writes free those behind them, however many") {
  Talk talk({}, false);
  make_rows(talk);
  constexpr std::uint64_t kWrites = 1'000;
  for (std::uint64_t id = 0; id < kWrites; ++id) REQUIRE(Change{1, "{}"}.say(talk, id));
  CHECK(talk.talk->unanswered() == kWrites);
  talk.serving.drain();
  REQUIRE(talk.say(Verb::cancel, CancelRequest{0}, 5'000));
  CHECK(talk.talk->unanswered() == 0);
  int refused = 0;
  for (std::uint64_t n = 0; n <= kWrites; ++n) {
    refused += test::status_of(talk.hear()).code() == StatusCode::unavailable ? 1 : 0;
  }
  CHECK(refused == kWrites - 1);
}

TEST_CASE("conversation: writes that were cancelled while they waited are bounded") {
  ServerOptions options;
  options.connection_requests_max = 10;
  Talk talk(options, false);
  make_rows(talk);
  REQUIRE(Change{1, "{}"}.say(talk, 0));
  int refused = 0;
  for (std::uint64_t n = 0; n < 30; ++n) {
    REQUIRE(Change{1, "{}"}.say(talk, 1));
    REQUIRE(talk.say(Verb::cancel, CancelRequest{1}, 2));
    for (int heard = 0; heard < 2; ++heard) {
      const Reply reply = talk.hear();
      if (test::status_of(reply).code() == StatusCode::resource_exhausted) ++refused;
    }
  }
  CHECK(refused == 11);  // twenty places, one of them taken by the first
}

}  // namespace
}  // namespace vecserve::net
