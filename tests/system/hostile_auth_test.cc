// Those who should not be there: no hello, no token, wrong tokens by the thousand (N7), tokens that
// allow less than is asked, and whether the time of a refusal tells anything about a token. Always
// holds: after each attack the database is byte for byte what it was.
#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>

#include "net/tokens.h"
#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

constexpr std::chrono::seconds kSoon{20};

class Guarded {
 public:
  Guarded() {
    ServerOptions options;
    options.token_file = folder_.at("tokens");
    options.checkpoint_folder = folder_.at("checkpoints");
    std::ofstream(options.token_file)
        << "reader " << to_hex(digest_of("read-token")) << " read@*\nowner "
        << to_hex(digest_of("all-token")) << " read,write,admin@*\n";
    served.emplace(options);
    served->fill(20);
    CollectionOptions shape;
    shape.dim = 4;
    REQUIRE(served->database->create_collection("books", shape).ok());
    before_ = served->database->stats();
  }
  ~Guarded() { CHECK(unchanged()); }

  bool unchanged() const {
    const DatabaseStats now = served->database->stats();
    return now.sequence == before_.sequence && now.rows == before_.rows &&
           now.collections == before_.collections &&
           !std::filesystem::exists(folder_.at("checkpoints"));
  }

  std::optional<test::ServedDatabase> served;

 private:
  test::TemporaryFolder folder_;
  DatabaseStats before_;
};

TEST_CASE("hostile N7: without a hello no verb has an effect", "[hostile]") {
  Guarded guarded;
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    if (verb == Verb::hello) continue;
    CAPTURE(std::string(to_string(verb)));
    test::WireClient client(guarded.served->address);
    client.request({.verb = verb, .id = 3}, body);
    CHECK(test::status_of(client.reply()).code() == StatusCode::unauthenticated);
    client.end_writing();
    CHECK(client.closed_within(kSoon));
    CHECK(guarded.unchanged());
  }
}

TEST_CASE("hostile N7: after a refused hello no verb has an effect", "[hostile]") {
  const test::WireSamples samples;
  for (const std::string_view token : {"", "wrong"}) {
    for (const auto& [verb, body] : samples.requests()) {
      CAPTURE(std::string(to_string(verb)));
      Guarded guarded;
      HelloRequest hello;
      hello.token = token;
      std::string bytes = test::frame_bytes({.verb = Verb::hello, .id = 1}, hello);
      bytes += test::frame_bytes({.verb = verb, .id = 2}, body);
      test::WireClient client(guarded.served->address);
      client.send(bytes);  // at once, so that the request is there before the refusal
      CHECK(test::status_of(client.reply()).code() == StatusCode::unauthenticated);
      client.end_writing();
      CHECK_FALSE(client.receive().has_value());
    }
  }
}

TEST_CASE("hostile N7: a token that may only read changes nothing", "[hostile]") {
  Guarded guarded;
  test::WireClient client = guarded.served->client("read-token");
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    if (verb == Verb::hello) continue;
    CAPTURE(std::string(to_string(verb)));
    const Status status = test::status_of(client.ask(verb, body));
    const bool changes = is_write(verb) || verb == Verb::create_collection ||
                         verb == Verb::drop_collection || verb == Verb::checkpoint ||
                         verb == Verb::verify || verb == Verb::restore;
    CHECK((status.code() == StatusCode::permission_denied) == changes);
    CHECK(guarded.unchanged());
  }
}

TEST_CASE("hostile N7: guesses by the thousand are slowed down and let nobody in", "[hostile]") {
  Guarded guarded;
  constexpr int kGuesses = 3'000;
  int waits = 0;
  for (int i = 0; i < kGuesses; ++i) {
    test::WireClient client(guarded.served->address);
    HelloRequest hello;
    const std::string token = "guess-" + std::to_string(i);
    hello.token = token;
    REQUIRE(client.request({.verb = Verb::hello, .id = 1}, hello));
    const Reply reply = client.reply();
    const auto& error = std::get<ErrorReply>(reply.body);
    REQUIRE(error.status.code() == StatusCode::unauthenticated);
    if (error.retry.retry_after.count() > 0) ++waits;
  }
  // All but the first few, and those that came when a wait was just over.
  CHECK(waits > kGuesses / 2);
  CHECK(guarded.served->server->counters().connections_accepted.load() >= kGuesses);
}

TEST_CASE("hostile N7: looking for a token takes the same time whatever is shown", "[hostile]") {
  // Not a proof of constant time; it would catch a comparison that ends at the first difference or
  // at the first match among thousands.
  std::string text;
  for (int i = 0; i < 2'000; ++i) {
    text += "n " + to_hex(digest_of("token-" + std::to_string(i))) + " read@*\n";
  }
  const Tokens tokens = Tokens::parse(text).value();
  const auto median_of = [&](const std::string& token) {
    std::vector<std::int64_t> times;
    for (int i = 0; i < 201; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      const bool found = tokens.find(token) != nullptr;
      times.push_back((std::chrono::steady_clock::now() - begin).count());
      CHECK(found == token.starts_with("token-"));
    }
    std::nth_element(times.begin(), times.begin() + 100, times.end());
    return static_cast<double>(times[100]);
  };
  const double first = median_of("token-0");
  const double last = median_of("token-1999");
  const double none = median_of("nonsense");
  CAPTURE(first, last, none);
  CHECK(first > 0.5 * last);
  CHECK(none > 0.5 * last);
  CHECK(none < 2.0 * last);
}

}  // namespace
}  // namespace vecserve::net
