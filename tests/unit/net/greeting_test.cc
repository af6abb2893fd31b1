// The hello: who is let in, what is said to who is not, versions, and how guessing is slowed down.
// A serving core that is never started stands behind it. One thread; time is passed in.
// Always holds: a refused hello grants nothing.
#include "net/greeting.h"

#include <catch2/catch.hpp>
#include <memory>

#include "net/request.h"
#include "tests/support/wire_client.h"

namespace vecserve::net {
namespace {

class Door {
 public:
  explicit Door(bool with_tokens) {
    DatabaseOptions in_memory;
    in_memory.in_memory = true;
    database_.emplace(std::move(Database::open("", in_memory).value()));
    ServerOptions options;
    if (with_tokens) options.token_file = "tokens";
    shared = std::make_shared<ServerShared>(options, *database_, serving_, clock);
    const std::string line = "alice " + to_hex(digest_of("right")) + " read@books\n";
    shared->set_tokens(std::make_shared<const Tokens>(Tokens::parse(line).value()));
  }

  ErrorReply knock(const HelloRequest& hello) {
    return knock(test::frame_bytes({.verb = Verb::hello, .id = 1}, hello));
  }
  ErrorReply knock(const std::string& bytes) {
    Frame frame;
    REQUIRE(decode_header(std::span<const char, kHeaderBytes>(bytes.data(), kHeaderBytes),
                          frame.header) == FrameFault::none);
    frame.body = bytes.substr(kHeaderBytes);
    return judge_hello(*shared, "10.0.0.1", frame, greeting);
  }
  ErrorReply knock_with(std::string_view token) {
    HelloRequest hello;
    hello.token = token;
    return knock(hello);
  }

  engine::ManualClock clock;
  Greeting greeting;
  std::shared_ptr<ServerShared> shared;

 private:
  std::optional<Database> database_;
  Serving serving_{ServingOptions(), clock};
};

TEST_CASE("greeting: without tokens everybody may do everything", "[greeting]") {
  Door door(false);
  CHECK(door.knock_with("").status.ok());
  CHECK(door.greeting.identity.scopes_on("books") == kScopesAll);
  CHECK(hello_of(door.shared->options, door.greeting).scopes == kScopesAll);
}

TEST_CASE("greeting: with tokens only they open", "[greeting]") {
  Door door(true);
  CHECK(door.knock_with("").status.code() == StatusCode::unauthenticated);
  CHECK(door.knock_with("wrong").status.field() == "token");
  CHECK(door.greeting.identity.grants.empty());
  CHECK(door.knock_with("right").status.ok());
  CHECK(door.greeting.identity.name == "alice");
  const HelloReply reply = hello_of(door.shared->options, door.greeting);
  CHECK(reply.scopes == kScopeRead);
  CHECK(reply.frame_bytes_max == limits::frame_bytes_max_default);
}

TEST_CASE("greeting: N7 guessing is slowed down per address, even with the right token",
          "[greeting]") {
  Door door(true);
  for (std::uint32_t i = 0; i < limits::auth_failures_free; ++i) {
    CHECK(door.knock_with("guess").retry.retry_after.count() == 0);
  }
  const ErrorReply waits = door.knock_with("right");
  CHECK(waits.status.code() == StatusCode::unauthenticated);
  CHECK(waits.retry.retry_after == std::chrono::milliseconds(100));
  door.clock.advance(std::chrono::milliseconds(100));
  CHECK(door.knock_with("right").status.ok());
  CHECK(door.knock_with("guess").retry.retry_after.count() == 0);  // the count began anew
}

TEST_CASE("greeting: N9 a version that nobody here speaks is answered with the range",
          "[greeting]") {
  Door door(true);
  for (const auto& [low, high] :
       {std::pair{kVersionMax + 1, 255}, std::pair{0, kVersionMin - 1}, std::pair{2, 1}}) {
    HelloRequest hello;
    hello.version_min = static_cast<std::uint8_t>(low);
    hello.version_max = static_cast<std::uint8_t>(high);
    const ErrorReply error = door.knock(hello);
    CHECK(error.status.code() == StatusCode::unimplemented);
    CHECK(error.status.field() == "version");
    CHECK(error.version_min == kVersionMin);
    CHECK(error.version_max == kVersionMax);
  }
  HelloRequest wide;
  wide.version_min = 0;
  wide.version_max = 255;
  wide.token = "right";
  CHECK(door.knock(wide).status.ok());
  CHECK(door.greeting.version == kVersionMax);
}

TEST_CASE("greeting: any other verb and any broken body is refused", "[greeting]") {
  Door door(false);
  CHECK(
      door.knock(test::frame_bytes({.verb = Verb::ping, .id = 1}, EmptyRequest())).status.code() ==
      StatusCode::unauthenticated);
  std::string broken;
  FrameHeader header;
  header.verb = Verb::hello;
  append_frame(header, "\x01", broken);
  CHECK(door.knock(broken).status.code() == StatusCode::invalid_argument);
  header.flags = kFlagReply;
  broken.clear();
  append_frame(header, "", broken);
  CHECK(door.knock(broken).status.code() == StatusCode::unauthenticated);
}

}  // namespace
}  // namespace vecserve::net
