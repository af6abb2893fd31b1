// One connection over its life: up, replies, down, up again; and bytes that are no frames.
// Tests net/client_link.cc on an io_context of the test's own, against a scripted peer.
// Always holds: after stop() no event comes.
#include "net/client_link.h"

#include <catch2/catch.hpp>

#include "net/request.h"
#include "tests/support/scripted_peer.h"

namespace vecserve::test {
namespace {

using namespace std::chrono_literals;
using net::ClientLink;
using net::ClientLinkEvents;

struct LinkFixture {
  asio::io_context io;
  ClientOptions options;
  ClientLinkEvents events;
  std::vector<std::string> told;
  std::shared_ptr<ClientLink> link;

  LinkFixture() {
    options.backoff_min = 1ms;
    options.backoff_max = 2ms;
    events.up = [this](ClientLink&, const net::HelloReply&) { told.emplace_back("up"); };
    events.reply = [this](ClientLink&, net::Reply&) { told.emplace_back("reply"); };
    events.down = [this](ClientLink&, const Status& why) {
      told.push_back("down " + std::string(to_string(why.code())));
    };
    events.sent = [](std::size_t) {};
    events.received = [](std::size_t) {};
  }
  void start(const ScriptedPeer& peer) {
    link = std::make_shared<ClientLink>(
        io, options, net::ClientAddress{"127.0.0.1", peer.port(), ""}, nullptr, events, 1);
    link->start();
  }
  // Runs until so many events were told.
  void run_until(std::size_t count) {
    while (told.size() < count && io.run_one() > 0) {
    }
  }
  void ask() {
    auto bytes = std::make_shared<std::string>();
    REQUIRE(net::encode_request({}, net::EmptyRequest{}, 1'000, *bytes).ok());
    link->write(bytes, *bytes);
  }
  void finish() {
    link->stop();
    const std::size_t before = told.size();
    io.run();
    CHECK(told.size() == before);
  }
};

TEST_CASE("client link: up, a reply, down when the peer goes, up again") {
  ScriptedPeer peer([](PeerConnection& connection, std::uint32_t number) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    PeerRequest request;
    while (connection.next(request)) {
      connection.reply(request.header, net::EmptyReply{});
      if (number == 0) return;
    }
  });
  LinkFixture at;
  at.start(peer);
  at.run_until(1);
  CHECK(at.link->up());
  CHECK(at.link->calls_max == net::limits::connection_requests_max_default);
  at.ask();
  at.run_until(4);
  CHECK(at.told == std::vector<std::string>{"up", "reply", "down unavailable", "up"});
  at.finish();
  CHECK_FALSE(at.link->up());
}

TEST_CASE("client link: bytes that are no frame end the connection") {
  ScriptedPeer peer([](PeerConnection& connection, std::uint32_t) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    PeerRequest request;
    if (connection.next(request)) connection.send(std::string(64, 'x'));
    while (connection.next(request)) {
    }
  });
  LinkFixture at;
  at.start(peer);
  at.run_until(1);
  at.ask();
  at.run_until(2);
  CHECK(at.told == std::vector<std::string>{"up", "down unavailable"});
  at.finish();
}

TEST_CASE("client link: a greeting cut short at any byte is a lost connection, never up") {
  std::string hello;
  net::encode_reply({net::Verb::hello, 0, false, 1}, {}, ScriptedPeer::usual_hello(), hello);
  std::atomic<std::size_t> cut{0};
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    PeerRequest request;
    if (!connection.next(request)) return;
    connection.send(hello.substr(0, cut++));
  });
  LinkFixture at;
  at.start(peer);
  at.run_until(hello.size());
  for (const std::string& told : at.told) CHECK(told == "down unavailable");
  at.finish();
}

TEST_CASE("client link: stopping while it waits to connect again ends it") {
  ScriptedPeer peer([](PeerConnection&, std::uint32_t) {});
  LinkFixture at;
  at.options.backoff_min = 1h;
  at.options.backoff_max = 1h;
  at.start(peer);
  at.run_until(1);
  CHECK(at.told == std::vector<std::string>{"down unavailable"});
  at.finish();
}

}  // namespace
}  // namespace vecserve::test
