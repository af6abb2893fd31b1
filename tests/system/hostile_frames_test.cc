// Clients that send what no client should: wrong lengths (N1), bytes in any pieces (N2), versions
// that do not exist (N9), replies instead of requests. Real sockets. After each attack a good
// client must be served. Always holds: every case ends in a typed reply or a closed connection.
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <random>

#include "tests/support/served_database.h"
#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

constexpr std::chrono::seconds kSoon{20};

class Attacked {
 public:
  Attacked() { served.fill(50); }
  ~Attacked() { CHECK(is_well()); }

  bool is_well() {
    test::WireClient good = served.client();
    CountRequest count;
    count.collection = "rows";
    const Reply reply = good.ask(Verb::count, count);
    const auto* answer = std::get_if<CountReply>(&reply.body);
    return answer != nullptr && answer->count == 50;
  }
  test::ServedDatabase served;
};

// A frame whose header announces `length` bytes, with a right checksum.
std::string announcing(std::uint32_t length, std::uint64_t id, Verb verb = Verb::count) {
  std::string bytes;
  FrameHeader header;
  header.verb = verb;
  header.request_id = id;
  append_frame(header, "", bytes);
  std::memcpy(bytes.data() + 16, &length, sizeof length);
  const std::uint32_t sum = frame_checksum(std::string_view(bytes).substr(0, 28));
  std::memcpy(bytes.data() + 28, &sum, sizeof sum);
  return bytes;
}

TEST_CASE("hostile N1: a frame that is too long is refused by its header alone", "[hostile]") {
  Attacked attacked;
  constexpr auto kMax = static_cast<std::uint32_t>(limits::frame_bytes_max_default);
  for (const std::uint32_t length :
       {kMax + 1, std::uint32_t{1} << 31, (std::uint32_t{1} << 31) + 1, UINT32_MAX}) {
    CAPTURE(length);
    test::WireClient client = attacked.served.client();
    client.send(announcing(length, 7));
    const Reply reply = client.reply();
    CHECK(reply.request_id == 7);
    CHECK(test::status_of(reply).field() == "frame");
    client.end_writing();
    CHECK(client.closed_within(kSoon));
  }
}

TEST_CASE("hostile N1: a frame that may be that long takes memory only as it comes", "[hostile]") {
  Attacked attacked;
  const std::uint32_t max = limits::frame_bytes_max_default;
  std::vector<test::WireClient> clients;
  for (const std::uint32_t length : {max - 1, max, max, max, max, max, max, max}) {
    test::WireClient& client = clients.emplace_back(attacked.served.client());
    REQUIRE(client.send(announcing(length, 7) + std::string(100, 'x')));
  }
  CHECK(attacked.is_well());
}

TEST_CASE("hostile N1: before the hello only a short frame is looked at", "[hostile]") {
  Attacked attacked;
  test::WireClient client(attacked.served.address);
  client.send(announcing(limits::hello_bytes_max + 1, 7, Verb::hello));
  CHECK(test::status_of(client.reply()).field() == "frame");
  client.end_writing();
  CHECK(client.closed_within(kSoon));
}

TEST_CASE("hostile N1: an empty body is refused where one is needed", "[hostile]") {
  Attacked attacked;
  test::WireClient client = attacked.served.client();
  const test::WireSamples samples;
  std::uint64_t id = 100;
  for (const auto& [verb, body] : samples.requests()) {
    if (verb == Verb::hello) continue;
    CAPTURE(std::string(to_string(verb)));
    client.send(announcing(0, ++id, verb));
    const Reply reply = client.reply();
    CHECK(reply.request_id == id);
    const bool needs_nothing = std::holds_alternative<EmptyRequest>(body) || verb == Verb::cancel;
    CHECK(test::status_of(reply).ok() == needs_nothing);
  }
}

TEST_CASE("hostile N2: every split of a session gives the same answers", "[hostile]") {
  Attacked attacked;
  std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest());
  bytes += test::frame_bytes({.verb = Verb::count, .id = 2}, CountRequest{"rows", ""});
  bytes += test::frame_bytes({.verb = Verb::ping, .id = 3}, EmptyRequest());
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CAPTURE(cut);
    test::WireClient client(attacked.served.address);
    client.send(std::string_view(bytes).substr(0, cut));
    client.send(std::string_view(bytes).substr(cut));
    bool seen[4] = {};
    for (int i = 0; i < 3; ++i) {
      const Reply reply = client.reply();
      REQUIRE(reply.request_id <= 3);
      CHECK(test::status_of(reply).ok());
      seen[reply.request_id] = true;
    }
    CHECK((seen[1] && seen[2] && seen[3]));
  }
}

TEST_CASE("hostile N2: one byte at a time, and many frames at once", "[hostile]") {
  Attacked attacked;
  test::WireClient slow(attacked.served.address);
  const std::string hello = test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest());
  for (const char byte : hello) REQUIRE(slow.send({&byte, 1}));
  CHECK(test::status_of(slow.reply()).ok());

  std::string many = hello;
  constexpr std::uint64_t kPings = 5'000;
  for (std::uint64_t id = 2; id < kPings; ++id) {
    many += test::frame_bytes({.verb = Verb::ping, .id = id}, EmptyRequest());
  }
  test::WireClient fast(attacked.served.address);
  REQUIRE(fast.send(many));
  for (std::uint64_t id = 1; id < kPings; ++id) CHECK(fast.reply().request_id == id);
}

TEST_CASE("hostile N2: every prefix of a session leaves nothing behind", "[hostile]") {
  Attacked attacked;
  std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest());
  bytes += test::frame_bytes({.verb = Verb::count, .id = 2}, CountRequest{"rows", ""});
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    test::WireClient client(attacked.served.address);
    client.send(std::string_view(bytes).substr(0, size));
  }
}

TEST_CASE("hostile N6: a reset at every byte of a session leaves nothing behind", "[hostile]") {
  Attacked attacked;
  const std::vector<float> vector = {1, 2, 3, 4};
  SearchRequest search;
  search.collection = "rows";
  search.queries = {Query(vector)};
  std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest());
  bytes += test::frame_bytes({.verb = Verb::search, .id = 2}, search);
  for (std::size_t size = 0; size <= bytes.size(); ++size) {
    test::WireClient client(attacked.served.address);
    client.send(std::string_view(bytes).substr(0, size));
    client.reset();
  }
}

TEST_CASE("hostile N9: an unknown version is answered with those that are spoken", "[hostile]") {
  Attacked attacked;
  for (const int version : {0, 2, 255}) {
    CAPTURE(version);
    std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = 9}, HelloRequest());
    bytes[2] = static_cast<char>(version);
    const std::uint32_t sum = frame_checksum(std::string_view(bytes).substr(0, 28));
    std::memcpy(bytes.data() + 28, &sum, sizeof sum);
    test::WireClient client(attacked.served.address);
    client.send(bytes);
    const Reply reply = client.reply();
    CHECK(reply.request_id == 9);
    const auto& error = std::get<ErrorReply>(reply.body);
    CHECK(error.status.field() == "version");
    CHECK(error.version_min == kVersionMin);
    CHECK(error.version_max == kVersionMax);
    client.end_writing();
    CHECK(client.closed_within(kSoon));
  }
}

TEST_CASE("hostile N9: unknown verbs and fields are told apart from broken bytes", "[hostile]") {
  Attacked attacked;
  test::WireClient client = attacked.served.client();
  client.send(announcing(0, 5, Verb{200}));
  CHECK(test::status_of(client.reply()).code() == StatusCode::unimplemented);
  std::string bytes;
  FrameHeader header;
  header.verb = Verb::ping;
  append_frame(header, std::string("\xbc\x01", 2), bytes);
  client.send(bytes);
  CHECK(test::status_of(client.reply()).code() == StatusCode::unimplemented);
}

TEST_CASE("hostile: other protocols and noise are closed without a word", "[hostile]") {
  Attacked attacked;
  std::mt19937_64 random(11);
  std::string noise(10'000, '\0');
  for (char& byte : noise) byte = static_cast<char>(random());
  noise[0] = '\x01';
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), std::string("*1\r\n$4\r\nPING\r\n"),
        std::string("\x16\x03\x01\x02\x00", 5), noise, std::string(100, '\0')}) {
    test::WireClient client(attacked.served.address);
    client.send(bytes);
    client.end_writing();
    CHECK_FALSE(client.receive().has_value());
  }
}

TEST_CASE("hostile: damaged bytes end the connection, others go on", "[hostile]") {
  Attacked attacked;
  test::WireClient bystander = attacked.served.client();
  const std::string frame =
      test::frame_bytes({.verb = Verb::count, .id = 2}, CountRequest{"rows", ""});
  for (std::size_t at = 0; at < frame.size(); ++at) {
    std::string damaged = frame;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    test::WireClient client = attacked.served.client();
    client.send(damaged);
    client.end_writing();
    const std::optional<Frame> answer = client.receive();
    if (answer) CHECK(answer->header.is_error());
    CHECK(client.closed_within(kSoon));
  }
  CHECK(test::status_of(bystander.ask(Verb::ping, EmptyRequest())).ok());
}

TEST_CASE("hostile: replies, second hellos and used numbers are refused one by one", "[hostile]") {
  Attacked attacked;
  test::WireClient client = attacked.served.client();
  CHECK(test::status_of(client.hello()).code() == StatusCode::failed_precondition);
  std::string bytes;
  FrameHeader header;
  header.verb = Verb::ping;
  header.flags = kFlagReply;
  append_frame(header, "", bytes);
  client.send(bytes);
  CHECK(test::status_of(client.reply()).field() == "flags");
  CHECK(test::status_of(client.ask(Verb::ping, EmptyRequest())).ok());
}

}  // namespace
}  // namespace vecserve::net
