// What a client does with its calls when a server answers out of order, refuses, goes away, or says
// nothing. Tests net/client_calls.cc through the public Client, against a scripted peer.
// Always holds: nothing waits for a time to pass but for the deadline that is under test.
#include <catch2/catch.hpp>
#include <future>
#include <mutex>
#include <set>
#include <vector>

#include "tests/support/scripted_peer.h"
#include "vecserve/client.h"

namespace vecserve::test {
namespace {

using namespace std::chrono_literals;
using net::Verb;

TEST_CASE("client calls: replies in any order find their calls") {
  ScriptedPeer peer([](PeerConnection& connection, std::uint32_t) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    std::vector<PeerRequest> held(5);
    for (PeerRequest& request : held) {
      if (!connection.next(request)) return;
    }
    for (std::size_t i = held.size(); i-- > 0;) {
      const auto& asked = std::get<net::CountRequest>(held[i].request);
      connection.reply(held[i].header, net::CountReply{asked.filter.size()});
    }
    PeerRequest rest;
    while (connection.next(rest)) {
    }
  });
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  std::vector<std::future<Reply<std::uint64_t>>> replies;
  for (std::size_t i = 0; i < 5; ++i) {
    auto [done, reply] = promised<std::uint64_t>();
    (void)client->async_count("c", std::string(i, '.'), {}, done);
    replies.push_back(std::move(reply));
  }
  for (std::size_t i = 0; i < 5; ++i) {
    const auto reply = replies[i].get();
    REQUIRE(reply.ok());
    CHECK(*reply == i);
    CHECK(reply.info().attempts == 1);
    CHECK(reply.info().called <= reply.info().sent);
    CHECK(reply.info().sent <= reply.info().received);
  }
  CHECK(client->stats().in_flight == 0);
  CHECK(client->stats().replies == 5);
}

TEST_CASE(
    "client calls: a write whose connection is lost is sent again under the same request id") {
  std::mutex mutex;
  std::vector<RequestId> seen;
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t number) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    PeerRequest request;
    while (connection.next(request)) {
      {
        const std::lock_guard lock(mutex);
        seen.push_back(std::get<net::WriteRequest>(request.request).options.request_id);
      }
      if (number == 0) return;  // the reply never leaves
      WriteResult written;
      written.rows = 1;
      written.replayed = true;
      connection.reply(request.header, written);
    }
  });
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  const std::vector<float> vector = {1.0F};
  const RowInput row{7, vector, {}, {}};
  const auto written = client->upsert("c", {&row, 1});
  REQUIRE(written.ok());
  CHECK(written->replayed);
  CHECK(written.info().attempts == 2);
  const std::lock_guard lock(mutex);
  REQUIRE(seen.size() == 2);
  CHECK_FALSE(seen[0].empty());
  CHECK(seen[0] == seen[1]);
  CHECK(client->stats().retries == 1);
  CHECK(client->stats().connects == 2);
}

TEST_CASE("client calls: creating and dropping is not sent a second time") {
  std::atomic<int> seen{0};
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    PeerRequest request;
    if (connection.next(request)) ++seen;
  });
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  CollectionOptions collection;
  collection.dim = 4;
  CHECK(client->create_collection("c", collection).status().code() == StatusCode::unavailable);
  CHECK(seen == 1);
  CHECK(client->drop_collection("c").status().code() == StatusCode::unavailable);
  CHECK(seen == 2);
}

TEST_CASE("client calls: attempts are bounded when every connection is lost") {
  std::atomic<int> seen{0};
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    if (!connection.greet(ScriptedPeer::usual_hello())) return;
    PeerRequest request;
    if (connection.next(request)) ++seen;
  });
  auto options = peer.client_options();
  options.attempts_max = 4;
  auto client = Client::connect(options);
  REQUIRE(client.ok());
  const auto reply = client->count("c");
  CHECK(reply.status().code() == StatusCode::unavailable);
  CHECK(reply.info().attempts == 4);
  CHECK(seen == 4);
}

TEST_CASE("client calls: a refusal is repeated when the server said to come back") {
  std::atomic<int> seen{0};
  ScriptedPeer peer(
      ScriptedPeer::answering([&](PeerConnection& connection, const PeerRequest& asked) {
        if (++seen < 3) {
          net::ErrorReply error;
          error.status = {StatusCode::resource_exhausted, "busy"};
          error.retry = {5ms, 1ms};
          connection.refuse(asked.header, error);
        } else {
          connection.reply(asked.header, net::CountReply{9});
        }
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  const auto reply = client->count("c");
  REQUIRE(reply.ok());
  CHECK(*reply == 9);
  CHECK(reply.info().attempts == 3);
  CHECK(client->stats().refused == 2);
}

TEST_CASE("client calls: a refusal that cannot be repeated in time comes back with its advice") {
  ScriptedPeer peer(
      ScriptedPeer::answering([](PeerConnection& connection, const PeerRequest& asked) {
        net::ErrorReply error;
        error.status = {StatusCode::resource_exhausted, "busy"};
        error.retry = {5ms, 60s};
        connection.refuse(asked.header, error);
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  const auto reply = client->count("c");
  CHECK(reply.status().code() == StatusCode::resource_exhausted);
  CHECK(reply.info().attempts == 1);
  CHECK(reply.info().retry.retry_after == 60s);
  CHECK(reply.info().retry.predicted_wait == 5ms);
}

TEST_CASE("client calls: a client holds back when most is refused, and says so") {
  ScriptedPeer peer(
      ScriptedPeer::answering([](PeerConnection& connection, const PeerRequest& asked) {
        net::ErrorReply error;
        error.status = {StatusCode::resource_exhausted, "busy"};
        error.retry = {60s, 60s};
        connection.refuse(asked.header, error);
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  int throttled = 0;
  for (int i = 0; i < 200; ++i) {
    const auto reply = client->count("c");
    CHECK(reply.status().code() == StatusCode::resource_exhausted);
    if (reply.info().throttled) {
      ++throttled;
      CHECK(reply.info().attempts == 0);
    }
  }
  CHECK(throttled > 100);  // 0.95 of 180, less what chance may do
  CHECK(client->stats().throttled == static_cast<std::uint64_t>(throttled));
  CHECK(client->stats().refused == static_cast<std::uint64_t>(200 - throttled));
}

TEST_CASE("client calls: silence ends at the deadline, and the server is told") {
  std::promise<std::uint64_t> cancelled;
  std::atomic<std::uint64_t> asked_id{0};
  std::atomic<std::uint32_t> deadline_us{0};
  ScriptedPeer peer(ScriptedPeer::answering([&](PeerConnection&, const PeerRequest& asked) {
    if (asked.header.verb == Verb::count) {
      asked_id = asked.header.request_id;
      deadline_us = asked.header.deadline_us;
    } else if (asked.header.verb == Verb::cancel) {
      cancelled.set_value(std::get<net::CancelRequest>(asked.request).target);
    }
  }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  CallOptions call;
  call.timeout = 30ms;
  const auto begin = std::chrono::steady_clock::now();
  const auto reply = client->count("c", {}, call);
  CHECK(reply.status().code() == StatusCode::deadline_exceeded);
  CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
  CHECK(cancelled.get_future().get() == asked_id);
  CHECK(deadline_us > 0);
  CHECK(deadline_us <= 30'000);
  CHECK(client->stats().in_flight == 0);
}

TEST_CASE("client calls: a call that is taken back ends by the server's word") {
  ScriptedPeer peer(
      ScriptedPeer::answering([](PeerConnection& connection, const PeerRequest& asked) {
        if (asked.header.verb != Verb::cancel) return;  // everything else waits there
        const auto& cancel = std::get<net::CancelRequest>(asked.request);
        connection.reply(asked.header, net::EmptyReply{});
        net::FrameHeader taken_back;
        taken_back.verb = Verb::count;
        taken_back.request_id = cancel.target;
        if (cancel.waiting_only) return;  // it runs: left alone
        ServedStages ran;
        ran.batch_size = 3;
        connection.reply(taken_back, net::CountReply{5}, ran);
      }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  auto [done, reply] = promised<std::uint64_t>();
  const CallId call = client->async_count("books", "", {}, done);
  client->recall(call, Recall::if_waiting);
  client->recall(call, Recall::always);
  const Reply<std::uint64_t> got = reply.get();
  REQUIRE(got.ok());  // it was answered before it could be stopped
  CHECK(*got == 5);
  CHECK(got.info().server.batch_size == 3);
  client->recall(call, Recall::always);  // gone already: no effect
}

TEST_CASE("client calls: a cancelled call ends at once, and the server is told") {
  std::promise<void> arrived;
  std::promise<std::uint64_t> cancelled;
  ScriptedPeer peer(ScriptedPeer::answering([&](PeerConnection&, const PeerRequest& asked) {
    if (asked.header.verb == Verb::count) {
      arrived.set_value();
    } else if (asked.header.verb == Verb::cancel) {
      cancelled.set_value(std::get<net::CancelRequest>(asked.request).target);
    }
  }));
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  auto [done, reply] = promised<std::uint64_t>();
  const CallId call = client->async_count("c", {}, {}, done);
  arrived.get_future().wait();
  client->cancel(call);
  CHECK(reply.get().status().code() == StatusCode::cancelled);
  CHECK(cancelled.get_future().get() == call);
  client->cancel(call);  // gone already: no effect
  client->cancel(987'654);
}

TEST_CASE("client calls: no more are sent at once than the server allows") {
  std::atomic<int> open{0};
  std::atomic<int> most{0};
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    auto hello = ScriptedPeer::usual_hello();
    hello.requests_max = 3;
    if (!connection.greet(hello)) return;
    std::vector<PeerRequest> held;
    PeerRequest request;
    while (connection.next(request)) {
      held.push_back(std::move(request));
      most = std::max<int>(most, ++open);
      if (held.size() < 3) continue;
      for (const PeerRequest& each : held) {
        --open;
        connection.reply(each.header, net::CountReply{1});
      }
      held.clear();
    }
  });
  auto client = Client::connect(peer.client_options());
  REQUIRE(client.ok());
  std::vector<std::future<Reply<std::uint64_t>>> replies;
  for (int i = 0; i < 30; ++i) {
    auto [done, reply] = promised<std::uint64_t>();
    (void)client->async_count("c", {}, {}, done);
    replies.push_back(std::move(reply));
  }
  for (auto& reply : replies) CHECK(reply.get().ok());
  CHECK(most == 3);
}

TEST_CASE("client calls: the client's own bound refuses what is beyond it") {
  std::promise<void> release;
  auto released = release.get_future().share();
  ScriptedPeer peer(
      ScriptedPeer::answering([&](PeerConnection& connection, const PeerRequest& asked) {
        released.wait();
        connection.reply(asked.header, net::CountReply{1});
      }));
  auto options = peer.client_options();
  options.calls_max = 2;
  auto client = Client::connect(options);
  REQUIRE(client.ok());
  auto [done_one, one] = promised<std::uint64_t>();
  auto [done_two, two] = promised<std::uint64_t>();
  (void)client->async_count("c", {}, {}, done_one);
  (void)client->async_count("c", {}, {}, done_two);
  CHECK(client->count("c").status().code() == StatusCode::resource_exhausted);
  release.set_value();
  CHECK(one.get().ok());
  CHECK(two.get().ok());
  CHECK(client->count("c").ok());
}

}  // namespace
}  // namespace vecserve::test
