// The life of a client: connecting, being turned away, closing under load, waiting in a callback.
// Tests net/client_core.cc through the public Client, against a scripted peer.
// Always holds: every call that was begun ends in exactly one callback.
#include "net/client_core.h"

#include <catch2/catch.hpp>
#include <future>
#include <thread>
#include <vector>

#include "tests/support/scripted_peer.h"
#include "vecserve/client.h"

namespace vecserve::test {
namespace {

using namespace std::chrono_literals;

TEST_CASE("client core: nobody there is said at once") {
  std::string address;
  {
    const ScriptedPeer peer([](PeerConnection&, std::uint32_t) {});
    address = peer.address();
  }
  ClientOptions options;
  options.address = address;
  const auto client = Client::connect(options);
  REQUIRE_FALSE(client.ok());
  CHECK(client.status().code() == StatusCode::unavailable);
  CHECK(client.status().message().find(address) != std::string::npos);
}

TEST_CASE("client core: a server that does not greet is given up in time") {
  const ScriptedPeer peer([](PeerConnection& connection, std::uint32_t) {
    PeerRequest request;
    while (connection.next(request)) {
    }
  });
  auto options = peer.client_options();
  options.connect_timeout = 30ms;
  CHECK(Client::connect(options).status().code() == StatusCode::unavailable);
}

TEST_CASE("client core: a token that is not known is said as such") {
  const ScriptedPeer peer([](PeerConnection& connection, std::uint32_t) {
    PeerRequest request;
    if (!connection.next(request)) return;
    const auto& hello = std::get<net::HelloRequest>(request.request);
    CHECK(hello.token == "wrong");
    net::ErrorReply error;
    error.status = {StatusCode::unauthenticated, "the token is not known"};
    connection.refuse(request.header, error);
  });
  auto options = peer.client_options();
  options.token = "wrong";
  CHECK(Client::connect(options).status().code() == StatusCode::unauthenticated);
}

TEST_CASE("client core: a server of another version says which it speaks") {
  const ScriptedPeer peer([](PeerConnection& connection, std::uint32_t) {
    PeerRequest request;
    if (!connection.next(request)) return;
    net::ErrorReply error;
    error.status = {StatusCode::failed_precondition, "no common version"};
    error.version_min = 3;
    error.version_max = 5;
    connection.refuse(request.header, error);
  });
  const auto client = Client::connect(peer.client_options());
  CHECK(client.status().code() == StatusCode::failed_precondition);
  CHECK(client.status().message().find("3 to 5") != std::string::npos);
}

TEST_CASE("client core: what the server said of itself is kept") {
  const ScriptedPeer peer(ScriptedPeer::answering([](PeerConnection&, const PeerRequest&) {}));
  const auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  CHECK(client->server_info().version == "scripted");
  CHECK(client->server_info().protocol == net::kVersionMax);
  CHECK(client->server_info().frame_bytes_max == net::limits::frame_bytes_max_default);
  CHECK(client->stats().connections_up == 1);
}

TEST_CASE("client core: a request above the server's frame limit never leaves") {
  std::atomic<int> seen{0};
  const ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    auto hello = ScriptedPeer::usual_hello();
    hello.frame_bytes_max = 1'000;
    if (!connection.greet(hello)) return;
    PeerRequest request;
    while (connection.next(request)) ++seen;
  });
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  CHECK(client->count("c", std::string(2'000, '.')).status().code() ==
        StatusCode::invalid_argument);
  CHECK(seen == 0);
}

TEST_CASE("client core: closing ends every call with cancelled") {
  const ScriptedPeer peer(ScriptedPeer::answering([](PeerConnection&, const PeerRequest&) {}));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  std::vector<std::future<Reply<std::uint64_t>>> replies;
  for (int i = 0; i < 100; ++i) {
    auto [done, reply] = promised<std::uint64_t>();
    (void)client->async_count("c", {}, {}, done);
    replies.push_back(std::move(reply));
  }
  client->close();
  for (auto& reply : replies) CHECK(reply.get().status().code() == StatusCode::cancelled);
  CHECK(client->count("c").status().code() == StatusCode::cancelled);
  client->close();
}

TEST_CASE("client core: many threads may call while another closes") {
  ScriptedPeer peer(
      ScriptedPeer::answering([](PeerConnection& connection, const PeerRequest& asked) {
        connection.reply(asked.header, net::CountReply{1});
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  std::atomic<int> ended{0};
  std::atomic<int> begun{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        ++begun;
        (void)client->async_count("c", {}, {}, [&](const Reply<std::uint64_t>&) { ++ended; });
      }
    });
  }
  client->close();
  for (std::thread& thread : threads) thread.join();
  CHECK(ended == 800);
  CHECK(begun == 800);
  CHECK(client->stats().in_flight == 0);
}

TEST_CASE("client core: a callback may begin calls but not wait for them") {
  ScriptedPeer peer(
      ScriptedPeer::answering([](PeerConnection& connection, const PeerRequest& asked) {
        connection.reply(asked.header, net::CountReply{1});
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  auto [done, second] = promised<std::uint64_t>();
  std::promise<StatusCode> waited;
  (void)client->async_count("c", {}, {}, [&, done = done](const Reply<std::uint64_t>&) {
    waited.set_value(client->count("c").status().code());
    (void)client->async_count("c", {}, {}, done);
  });
  CHECK(waited.get_future().get() == StatusCode::failed_precondition);
  CHECK(second.get().ok());
}

}  // namespace
}  // namespace vecserve::test
