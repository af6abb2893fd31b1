// A conversation without a socket, driven frame by frame: a database in memory behind the serving
// core, and replies read back from the outbox as lanes put them in. Header only; test thread.
// Always holds: at the end no unanswered request and no scan is left.
#pragma once

#include <catch2/catch.hpp>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "engine/base/clock.h"
#include "net/conversation.h"
#include "tests/support/wire_client.h"
#include "vecserve/database.h"

namespace vecserve::test {

class Talk {
 public:
  explicit Talk(net::ServerOptions options = {}, bool start = true) {
    DatabaseOptions in_memory;
    in_memory.in_memory = true;
    in_memory.threads = 1;
    database.emplace(std::move(Database::open("", in_memory).value()));
    if (start) REQUIRE(serving.start().ok());
    shared = std::make_shared<net::ServerShared>(std::move(options), *database, serving, clock);
    talk = std::make_shared<net::Conversation>(*shared, "here", [this] {
      const std::lock_guard lock(mutex_);
      woken_ = true;
      wakes_.notify_all();
    });
  }
  ~Talk() {
    talk->close();
    serving.stop();
    REQUIRE(serving.wait_idle(std::chrono::steady_clock::now() + kWireWait));
    CHECK(talk->unanswered() == 0);
    CHECK(shared->counters.scans.load() == 0);
  }

  bool say(net::Verb verb, const net::RequestBody& body, std::uint64_t id = 9) {
    const std::string bytes = frame_bytes({.verb = verb, .id = id}, body);
    net::Frame frame;
    REQUIRE(net::decode_header(
                std::span<const char, net::kHeaderBytes>(bytes.data(), net::kHeaderBytes),
                frame.header) == net::FrameFault::none);
    frame.body = bytes.substr(net::kHeaderBytes);
    return talk->on_frame(std::move(frame));
  }

  // The next reply; waits for it.
  net::Reply hear() {
    while (replies_.empty()) {
      {
        std::unique_lock lock(mutex_);
        REQUIRE(wakes_.wait_for(lock, kWireWait, [&] { return woken_; }));
        woken_ = false;
      }
      read_outbox();
    }
    net::Reply reply = std::move(replies_.front());
    replies_.pop_front();
    return reply;
  }
  net::Reply ask(net::Verb verb, const net::RequestBody& body, std::uint64_t id = 9) {
    CHECK(say(verb, body, id));
    net::Reply reply = hear();
    CHECK(reply.request_id == id);
    return reply;
  }
  Status status(net::Verb verb, const net::RequestBody& body) { return status_of(ask(verb, body)); }
  void greet(std::string_view token = {}) {
    net::HelloRequest hello;
    hello.token = token;
    CHECK(std::holds_alternative<net::HelloReply>(ask(net::Verb::hello, hello).body));
  }

  engine::SystemClock clock;
  std::optional<Database> database;
  net::Serving serving{net::ServingOptions(), clock};
  std::shared_ptr<net::ServerShared> shared;
  std::shared_ptr<net::Conversation> talk;

 private:
  void read_outbox() {
    std::string bytes;
    while (talk->outbox().take(bytes)) {
      talk->outbox().sent(bytes.size());
      std::string_view left = bytes;
      while (!left.empty()) {
        net::FrameHeader header;
        REQUIRE(net::decode_header(
                    std::span<const char, net::kHeaderBytes>(left.data(), net::kHeaderBytes),
                    header) == net::FrameFault::none);
        net::Reply& reply = replies_.emplace_back();
        REQUIRE(net::decode_reply(header, left.substr(net::kHeaderBytes, header.body_bytes), reply)
                    .ok());
        left.remove_prefix(net::kHeaderBytes + header.body_bytes);
      }
      talk->drained();
    }
  }

  std::mutex mutex_;
  std::condition_variable wakes_;
  bool woken_ = false;  // guarded by mutex_
  std::deque<net::Reply> replies_;
};

}  // namespace vecserve::test
