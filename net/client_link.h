// One connection of a client, kept alive: connect, greet, read replies, and after a loss the same
// again with backoff. Between the core, which owns the calls, and the stream. The client's thread
// only. Always holds: a call is given to a link only while it is up, and comes back through the
// owner's on_reply or on_link_down exactly once.
#pragma once

#include <asio.hpp>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/client_address.h"
#include "net/client_stream.h"
#include "net/client_throttle.h"
#include "net/frame.h"
#include "net/reply.h"
#include "vecserve/client.h"
#include "vecserve/status.h"

namespace vecserve::net {

class ClientLink;

// What a link tells its owner; plain functions of the core, so that the link needs no interface.
struct ClientLinkEvents {
  std::function<void(ClientLink& link, const HelloReply& hello)> up;
  // A reply to a request; the link goes on.
  std::function<void(ClientLink& link, Reply& reply)> reply;
  // The connection was lost, or could not be made; another attempt follows.
  std::function<void(ClientLink& link, const Status& why)> down;
  std::function<void(std::size_t)> sent;      // bytes
  std::function<void(std::size_t)> received;  // bytes
};

class ClientLink : public std::enable_shared_from_this<ClientLink> {
 public:
  ClientLink(asio::io_context& io, const ClientOptions& options, ClientAddress address,
             std::shared_ptr<asio::ssl::context> tls, const ClientLinkEvents& events,
             std::uint64_t seed);

  void start();
  // Ends the connection and the attempts. No event follows.
  void stop();

  // Written in the order of the calls; only while it is up.
  void write(std::shared_ptr<const void> keep, std::string_view bytes);

  [[nodiscard]] bool up() const { return up_; }

  // Kept by the owner: what was sent and is not answered.
  std::uint32_t calls = 0;
  std::size_t call_bytes = 0;
  std::uint64_t calls_max = 1;
  std::uint64_t call_bytes_max = 0;

 private:
  void restart();
  [[nodiscard]] asio::awaitable<void> run();
  // Until the connection ends; why it did.
  [[nodiscard]] asio::awaitable<Status> serve();
  [[nodiscard]] asio::awaitable<Status> open();
  [[nodiscard]] asio::awaitable<Status> greet(FrameReader& reader);
  [[nodiscard]] asio::awaitable<Status> read_replies(FrameReader& reader);
  // The next frame; unavailable when the connection ends first.
  [[nodiscard]] asio::awaitable<Status> next_frame(FrameReader& reader, Frame& frame);

  asio::io_context& io_;
  const ClientOptions& options_;
  ClientAddress address_;
  std::shared_ptr<asio::ssl::context> tls_;
  const ClientLinkEvents& events_;
  Backoff backoff_;
  asio::steady_timer pause_;    // between attempts
  asio::steady_timer timeout_;  // of one attempt
  std::shared_ptr<ClientStream> stream_;
  bool up_ = false;
  bool stopping_ = false;
};

}  // namespace vecserve::net
