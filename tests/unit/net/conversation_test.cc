// A conversation without a socket: each verb against a real database behind a running serving core,
// scopes, bounds on unanswered requests, cancelling, scans that pause, hanging up. Answers come
// from lanes; the test waits for the outbox. Always holds: no unanswered request is left at the end
// of a case.
#include "net/conversation.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/support/talk.h"
#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

using test::Talk;

CollectionOptions four_dimensions() {
  CollectionOptions options;
  options.dim = 4;
  return options;
}

// Rows 0 to count - 1 in the collection "books".
void fill(Talk& talk, std::uint64_t count, std::size_t payload_bytes = 0) {
  REQUIRE(talk.database->create_collection("books", four_dimensions()).ok());
  const std::vector<float> vector = {1, 2, 3, 4};
  const std::string payload = "{\"text\":\"" + std::string(payload_bytes, 'x') + "\"}";
  WriteRequest write;
  write.collection = "books";
  for (std::uint64_t i = 0; i < count; ++i) {
    RowInput& row = write.rows.emplace_back();
    row.id = RowId(i);
    row.vector = VectorView(vector);
    row.payload = payload;
  }
  const Reply reply = talk.ask(Verb::upsert, write);
  REQUIRE(std::holds_alternative<WriteResult>(reply.body));
  CHECK(std::get<WriteResult>(reply.body).rows == count);
}

TEST_CASE("conversation: every verb is answered, and by its own kind of answer", "[conversation]") {
  Talk talk;
  talk.greet();
  REQUIRE(talk.database->create_collection("books", four_dimensions()).ok());
  const test::WireSamples samples;
  const auto replies = samples.replies();
  std::size_t at = 0;
  for (const auto& [verb, body] : samples.requests()) {
    CAPTURE(std::string(to_string(verb)));
    const Reply reply = talk.ask(verb, body);
    const Status status = test::status_of(reply);
    CAPTURE(status.to_string());
    CHECK(status.code() != StatusCode::internal);
    CHECK(status.code() != StatusCode::unimplemented);
    if (status.ok()) CHECK(reply.body.index() == replies[at].second.index());
    CHECK(reply.served.total_ns >= reply.served.run_ns);
    ++at;
  }
}

TEST_CASE("conversation: before the hello nothing is done, and the connection ends",
          "[conversation]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    if (verb == Verb::hello) continue;
    CAPTURE(std::string(to_string(verb)));
    Talk talk;
    CHECK_FALSE(talk.say(verb, body));
    CHECK(test::status_of(talk.hear()).code() == StatusCode::unauthenticated);
    CHECK_FALSE(talk.say(Verb::hello, HelloRequest()));  // too late
    CHECK(talk.database->list_collections().empty());
    CHECK(talk.database->stats().sequence == 0);
  }
}

TEST_CASE("conversation: scopes are kept per collection", "[conversation]") {
  ServerOptions options;
  options.token_file = "tokens";
  Talk talk(options);
  const std::string line =
      "alice " + to_hex(digest_of("t")) + " read@books read,write,admin@films\n";
  talk.shared->set_tokens(std::make_shared<const Tokens>(Tokens::parse(line).value()));
  for (const char* name : {"books", "films", "songs"}) {
    REQUIRE(talk.database->create_collection(name, four_dimensions()).ok());
  }
  talk.greet("t");
  const auto count = [&](std::string_view name) {
    return talk.status(Verb::count, CountRequest{name, ""}).code();
  };
  CHECK(count("books") == StatusCode::ok);
  CHECK(count("films") == StatusCode::ok);
  CHECK(count("songs") == StatusCode::permission_denied);
  CHECK(count("") == StatusCode::not_found);
  const auto erase = [&](std::string_view name) {
    return talk.status(Verb::erase, EraseRequest{name, {RowId(1)}, {}}).code();
  };
  CHECK(erase("films") == StatusCode::ok);
  CHECK(erase("books") == StatusCode::permission_denied);
  const auto drop = [&](std::string_view name) {
    return talk.status(Verb::drop_collection, CollectionRequest{name}).code();
  };
  CHECK(drop("books") == StatusCode::permission_denied);
  CHECK(drop("films") == StatusCode::ok);
  for (const Verb verb : {Verb::verify, Verb::checkpoint, Verb::restore}) {
    const RequestBody body = verb == Verb::verify       ? RequestBody(EmptyRequest())
                             : verb == Verb::checkpoint ? RequestBody(CheckpointRequest{"a"})
                                                        : RequestBody(RestoreRequest{"a", "b"});
    CHECK(talk.status(verb, body).code() == StatusCode::permission_denied);
  }
  const Reply list = talk.ask(Verb::list_collections, EmptyRequest());
  CHECK(std::get<ListReply>(list.body).names == std::vector<std::string>{"books"});
}

TEST_CASE("conversation: unanswered requests are bounded in number and bytes", "[conversation]") {
  ServerOptions options;
  options.connection_requests_max = 2;
  Talk talk(options, false);  // nothing is ever served
  talk.greet();
  CHECK(talk.say(Verb::list_collections, EmptyRequest(), 1));
  CHECK(talk.say(Verb::list_collections, EmptyRequest(), 2));
  CHECK(talk.talk->unanswered() == 2);
  CHECK(talk.ask(Verb::ping, EmptyRequest(), 3).request_id == 3);
  const Reply refused = talk.ask(Verb::list_collections, EmptyRequest(), 4);
  CHECK(test::status_of(refused).code() == StatusCode::resource_exhausted);
}

TEST_CASE("conversation: a number that is in use is refused, and free again afterwards",
          "[conversation]") {
  Talk talk(ServerOptions(), false);
  talk.greet();
  CHECK(talk.say(Verb::list_collections, EmptyRequest(), 1));
  CHECK(test::status_of(talk.ask(Verb::list_collections, EmptyRequest(), 1)).field() ==
        "request_id");
  CHECK(talk.talk->unanswered() == 1);
  CHECK(talk.say(Verb::cancel, CancelRequest{1}, 2));
  const Reply first = talk.hear();
  const Reply second = talk.hear();
  CHECK(test::status_of(first).code() == StatusCode::cancelled);
  CHECK(first.request_id == 1);
  CHECK(second.request_id == 2);
  CHECK(test::status_of(second).ok());
  CHECK(talk.say(Verb::list_collections, EmptyRequest(), 1));
  CHECK(talk.talk->unanswered() == 1);
}

TEST_CASE("conversation: a cancel of what only waits takes that back, and says that it never ran",
          "[conversation]") {
  Talk talk(ServerOptions(), false);
  talk.greet();
  CHECK(talk.say(Verb::list_collections, EmptyRequest(), 1));
  CHECK(talk.say(Verb::cancel, CancelRequest{1, true}, 2));
  const Reply first = talk.hear();
  CHECK(first.request_id == 1);
  CHECK(test::status_of(first).code() == StatusCode::cancelled);
  CHECK(first.served.batch_size == 0);
  CHECK(talk.hear().request_id == 2);
}

TEST_CASE("conversation: cancelling what is not there is answered all the same", "[conversation]") {
  Talk talk;
  talk.greet();
  CHECK(talk.status(Verb::cancel, CancelRequest{12345}).ok());
}

TEST_CASE("conversation: bad bodies are answered, and many in a row end the connection",
          "[conversation]") {
  Talk talk;
  talk.greet();
  for (std::uint32_t i = 0; i < limits::faults_max; ++i) {
    Frame frame;
    frame.header.verb = Verb::count;
    frame.header.request_id = i;
    frame.body = "\x01";
    CHECK(talk.talk->on_frame(std::move(frame)) == (i + 1 < limits::faults_max));
    CHECK(test::status_of(talk.hear()).code() == StatusCode::invalid_argument);
  }
}

TEST_CASE("conversation: k of 0 and an unknown collection are refused before admission",
          "[conversation]") {
  Talk talk;
  talk.greet();
  fill(talk, 3);
  const std::vector<float> vector = {1, 2, 3, 4};
  SearchRequest search;
  search.collection = "books";
  search.queries = {Query(vector)};
  search.k = 0;
  CHECK(talk.status(Verb::search, search).field() == "k");
  search.k = 2;
  search.collection = "none";
  CHECK(talk.status(Verb::search, search).code() == StatusCode::not_found);
  search.collection = "books";
  const Reply reply = talk.ask(Verb::search, search);
  const auto& result = std::get<SearchResult>(reply.body);
  REQUIRE(result.of(0).size() == 2);
  CHECK(result.of(0)[0].id == RowId(0));
  CHECK(reply.served.batch_size == 1);
  CHECK(reply.served.certified);
  CHECK_FALSE(reply.served.backend.empty());
  CHECK(talk.talk->unanswered() == 0);
}

TEST_CASE("conversation: a scan gives every row once, in pages", "[conversation]") {
  Talk talk;
  talk.greet();
  fill(talk, 100);
  ScanRequest scan;
  scan.collection = "books";
  scan.page_rows = 7;
  CHECK(talk.say(Verb::scan, scan));
  std::uint64_t next = 0;
  for (bool more = true; more;) {
    const Reply page = talk.hear();
    const auto& rows = std::get<RowsReply>(page.body).rows;
    CHECK(rows.size() <= 7);
    for (const auto& row : rows) {
      REQUIRE(row.has_value());
      CHECK(row->id == RowId(next++));
    }
    more = page.more;
  }
  CHECK(next == 100);
  CHECK(talk.talk->unanswered() == 0);
  scan.rows_max = 10;
  CHECK(std::get<RowsReply>(talk.ask(Verb::scan, scan).body).rows.size() == 7);
  const Reply last = talk.hear();
  CHECK(std::get<RowsReply>(last.body).rows.size() == 3);
  CHECK_FALSE(last.more);
}

TEST_CASE("conversation: a scan pauses while the outbox is full, and can be cancelled then",
          "[conversation]") {
  Talk talk;
  talk.greet();
  fill(talk, 64, 100'000);
  ScanRequest scan;
  scan.collection = "books";
  CHECK(talk.say(Verb::scan, scan, 1));
  // Nothing is taken out: two pages of about 1 MiB, and it must stop.
  const auto until = std::chrono::steady_clock::now() + test::kWireWait;
  REQUIRE(talk.serving.wait_idle(until));
  CHECK(talk.talk->outbox().bytes() > limits::outbox_bytes_soft);
  CHECK(talk.talk->outbox().bytes() < 3 * limits::scan_page_bytes);
  CHECK(talk.talk->unanswered() == 1);
  CHECK(talk.say(Verb::cancel, CancelRequest{1}, 2));
  CHECK(talk.talk->unanswered() == 0);
  Status end;
  for (bool more = true; more;) {
    const Reply reply = talk.hear();
    if (reply.request_id != 1) continue;
    more = reply.more;
    end = test::status_of(reply);
  }
  CHECK(end.code() == StatusCode::cancelled);
}

TEST_CASE("conversation: a paused scan goes on when there is room", "[conversation]") {
  Talk talk;
  talk.greet();
  fill(talk, 64, 100'000);
  ScanRequest scan;
  scan.collection = "books";
  CHECK(talk.say(Verb::scan, scan));
  REQUIRE(talk.serving.wait_idle(std::chrono::steady_clock::now() + test::kWireWait));
  std::size_t rows = 0;
  for (bool more = true; more;) {
    const Reply page = talk.hear();
    rows += std::get<RowsReply>(page.body).rows.size();
    more = page.more;
  }
  CHECK(rows == 64);
}

TEST_CASE("conversation: running scans are bounded", "[conversation]") {
  Talk talk(ServerOptions(), false);
  talk.greet();
  REQUIRE(talk.database->create_collection("books", four_dimensions()).ok());
  ScanRequest scan;
  scan.collection = "books";
  for (std::uint32_t i = 0; i < limits::connection_scans_max; ++i) {
    CHECK(talk.say(Verb::scan, scan, 100 + i));
  }
  const Reply refused = talk.ask(Verb::scan, scan, 200);
  CHECK(test::status_of(refused).code() == StatusCode::resource_exhausted);
  CHECK(talk.talk->unanswered() == limits::connection_scans_max);
}

TEST_CASE("conversation: hanging up cancels what waits and answers nothing", "[conversation]") {
  Talk talk(ServerOptions(), false);
  talk.greet();
  for (std::uint64_t id = 1; id <= 10; ++id) {
    CHECK(talk.say(Verb::list_collections, EmptyRequest(), id));
  }
  CHECK(talk.talk->unanswered() == 10);
  talk.talk->close();
  CHECK(talk.talk->unanswered() == 0);
  CHECK(talk.talk->outbox().bytes() == 0);
  CHECK_FALSE(talk.say(Verb::ping, EmptyRequest()));
}

TEST_CASE("conversation: faults are told where the header can be believed", "[conversation]") {
  {
    Talk talk;
    FrameHeader header;
    header.request_id = 5;
    header.version = 9;
    talk.talk->on_fault(FrameFault::version, header);
    const Reply reply = talk.hear();
    CHECK(reply.request_id == 5);
    CHECK(std::get<ErrorReply>(reply.body).version_max == kVersionMax);
  }
  Talk talk;
  talk.talk->on_fault(FrameFault::magic, FrameHeader());
  CHECK(talk.talk->outbox().bytes() == 0);
}

TEST_CASE("conversation: every reply is reported", "[conversation]") {
  std::vector<std::string> seen;
  ServerOptions options;
  options.on_reply = [&seen](const ReplyRecord& record) {
    seen.push_back(std::string(to_string(record.verb)) + " " + std::string(record.collection) +
                   " " + std::string(to_string(record.code)));
  };
  Talk talk(options);
  talk.greet();
  CHECK(talk.status(Verb::count, CountRequest{"none", ""}).code() == StatusCode::not_found);
  REQUIRE(seen.size() == 2);
  CHECK(seen[0] == "hello  ok");
  CHECK(seen[1] == "count none not_found");
}

}  // namespace
}  // namespace vecserve::net
