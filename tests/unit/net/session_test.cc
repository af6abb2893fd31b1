// One connection's clock and bounds: no hello, a frame that drips, idling, not reading, hanging up
// in the middle, an error before the end. Real sockets with short timeouts. Always holds: no test
// waits for a time to pass, only for what must happen when it has.
#include "net/session.h"

#include <catch2/catch.hpp>

#include "tests/support/served_database.h"

namespace vecserve::net {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSoon{10'000};

ServerOptions hasty() {
  ServerOptions options;
  options.hello_timeout = milliseconds(200);
  options.frame_timeout = milliseconds(200);
  options.idle_timeout = milliseconds(400);
  options.write_timeout = milliseconds(300);
  return options;
}

std::uint64_t cut(const test::ServedDatabase& served) {
  return served.server->counters().cut_slow.load();
}

TEST_CASE("session: a connection without hello is cut off", "[session]") {
  test::ServedDatabase served(hasty());
  test::WireClient client(served.address);
  REQUIRE(client.connected());
  CHECK(client.closed_within(kSoon));
  CHECK(cut(served) == 1);
}

TEST_CASE("session: a frame that does not end is cut off, however it drips", "[session]") {
  ServerOptions options = hasty();
  options.idle_timeout = milliseconds(0);
  test::ServedDatabase served(options);
  const std::string frame = test::frame_bytes({.verb = Verb::ping, .id = 1}, EmptyRequest());
  for (const std::size_t size : {std::size_t{1}, frame.size() - 1}) {
    test::WireClient client = served.client();
    REQUIRE(client.send(frame.substr(0, size)));
    CHECK(client.closed_within(kSoon));
  }
  CHECK(cut(served) == 2);
}

TEST_CASE("session: an idle connection is closed, a busy one is not", "[session]") {
  test::ServedDatabase served(hasty());
  test::WireClient busy = served.client();
  test::WireClient idle = served.client();
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < milliseconds(800)) {
    REQUIRE(test::status_of(busy.ask(Verb::ping, EmptyRequest())).ok());
  }
  CHECK(idle.closed_within(kSoon));
  CHECK(test::status_of(busy.ask(Verb::ping, EmptyRequest())).ok());
}

TEST_CASE("session: a short search of an idle server is run where it was read", "[session]") {
  net::ServingOptions serving;
  serving.searches.guest_most = std::chrono::seconds(100);  // whatever the host does meanwhile
  test::ServedDatabase served({}, {}, serving);
  served.fill(100);
  test::WireClient client = served.client();
  SearchRequest search;
  search.collection = "rows";
  const float vector[] = {41.0f, 1.0f, 0.0f, 0.0f};
  search.queries.emplace_back(VectorView(vector));
  search.k = 1;
  // The first teaches what a search takes, and one that follows too soon goes to a lane.
  const auto late = std::chrono::steady_clock::now() + kSoon;
  while (served.serving->searches().stats().guest_batches < 10) {
    const Reply reply = client.ask(Verb::search, search);
    REQUIRE(std::holds_alternative<SearchResult>(reply.body));
    CHECK(std::get<SearchResult>(reply.body).of(0).front().id == RowId(41));
    REQUIRE(std::chrono::steady_clock::now() < late);
  }
  CHECK(served.serving->searches().stats().in_flight == 0);
}

TEST_CASE("session: who does not read is cut off", "[session]") {
  test::ServedDatabase served(hasty());
  served.fill(2'000);
  test::WireClient client(served.address);
  client.set_receive_buffer(4'096);
  REQUIRE(test::status_of(client.hello()).ok());
  GetRequest get;
  get.collection = "rows";
  for (std::uint64_t i = 0; i < 2'000; ++i) get.ids.emplace_back(i);
  const auto until = std::chrono::steady_clock::now() + kSoon;
  std::uint64_t id = 1;
  while (cut(served) == 0 && std::chrono::steady_clock::now() < until) {
    static_cast<void>(
        client.send_some(test::frame_bytes({.verb = Verb::multi_get, .id = ++id}, get)));
  }
  CHECK(cut(served) == 1);
}

TEST_CASE("session: hanging up in the middle of anything leaves nothing behind", "[session]") {
  test::ServedDatabase served;
  served.fill(100);
  ScanRequest scan;
  scan.collection = "rows";
  scan.page_rows = 1;
  const std::string frame = test::frame_bytes({.verb = Verb::scan, .id = 1}, scan);
  for (std::size_t size = 0; size <= frame.size(); ++size) {
    test::WireClient client = served.client();
    client.send(std::string_view(frame).substr(0, size));
    if (size % 2 == 0) client.reset();
  }
  test::WireClient last = served.client();
  CHECK(test::status_of(last.ask(Verb::ping, EmptyRequest())).ok());
}

TEST_CASE("session: who ends its sending side still gets its replies", "[session]") {
  test::ServedDatabase served;
  served.fill(500);
  test::WireClient client = served.client();
  SearchRequest search;
  const std::vector<float> vector = {3, 1, 0, 0};
  search.collection = "rows";
  search.queries = {Query(vector)};
  search.k = 1;
  ScanRequest scan;
  scan.collection = "rows";
  scan.page_rows = 10;
  std::string bytes = test::frame_bytes({.verb = Verb::scan, .id = 999}, scan);
  for (std::uint64_t id = 0; id < 20; ++id) {
    bytes += test::frame_bytes({.verb = Verb::search, .id = id}, search);
  }
  bytes += "\xf7";  // the beginning of a frame that never comes
  REQUIRE(client.send(bytes));
  client.end_writing();
  std::size_t rows = 0;
  int found = 0;
  while (const auto reply = client.try_reply()) {
    REQUIRE(test::status_of(*reply).ok());
    if (reply->request_id == 999) {
      rows += std::get<RowsReply>(reply->body).rows.size();
    } else {
      ++found;
    }
  }
  CHECK(found == 20);
  CHECK(rows == 500);
  while (served.server->counters().connections.load() != 0) {
  }
}

TEST_CASE("session: the last error reply arrives before the end", "[session]") {
  test::ServedDatabase served;
  for (int round = 0; round < 20; ++round) {
    test::WireClient client(served.address);
    // More than the refused request itself is on its way when the server ends the connection.
    std::string bytes = test::frame_bytes({.verb = Verb::ping, .id = 4}, EmptyRequest());
    bytes += std::string(20'000, 'x');
    client.send(bytes);
    const Reply reply = client.reply();
    CHECK(reply.request_id == 4);
    CHECK(test::status_of(reply).code() == StatusCode::unauthenticated);
    client.end_writing();
    CHECK(client.closed_within(kSoon));
  }
}

}  // namespace
}  // namespace vecserve::net
