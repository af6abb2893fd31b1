// One socket to a server, with or without TLS, over TCP or a Unix socket: open, read some, write
// frames in order, close. Below the link, which makes a new one for each attempt. The client's
// thread only.
// Always holds: after close() no operation that is still running touches anything but this object,
// which lives until the last of them ended.
#pragma once

#include <asio.hpp>
#include <asio/ssl.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/client_address.h"
#include "vecserve/client.h"
#include "vecserve/status.h"

namespace vecserve::net {

// The settings of `options` for all connections of a client; null when TLS is off.
[[nodiscard]] Result<std::shared_ptr<asio::ssl::context>> make_client_tls(
    const TlsOptions& options);

class ClientStream : public std::enable_shared_from_this<ClientStream> {
 public:
  // `sent` is told of bytes that the socket took.
  ClientStream(asio::io_context& io, std::shared_ptr<asio::ssl::context> tls,
               std::function<void(std::size_t)> sent);

  // Resolves, connects and shakes hands; unavailable when any of it fails. `server_name` is what a
  // certificate must be for.
  [[nodiscard]] asio::awaitable<Status> open(const ClientAddress& address,
                                             const std::string& server_name);

  // At least one byte; 0: the connection ended.
  [[nodiscard]] asio::awaitable<std::size_t> read_some(std::span<char> space);

  // The bytes are owned by `keep` until they are written, which begins when the handler that calls
  // this has ended. Closes the stream when writing fails.
  void write(std::shared_ptr<const void> keep, std::string_view bytes);

  void close();
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  struct Piece {
    std::shared_ptr<const void> keep;
    std::string_view bytes;
  };
  using Socket = asio::generic::stream_protocol::socket;

  [[nodiscard]] asio::awaitable<Status> connect(const ClientAddress& address);
  [[nodiscard]] asio::awaitable<Status> connect_any(
      const std::vector<asio::generic::stream_protocol::endpoint>& endpoints, bool is_tcp);
  void flush();
  void on_written(const asio::error_code& error, std::size_t bytes);
  [[nodiscard]] Socket& socket() { return tls_stream_ ? tls_stream_->next_layer() : *socket_; }

  asio::ip::tcp::resolver resolver_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::optional<Socket> socket_;
  std::optional<asio::ssl::stream<Socket>> tls_stream_;
  std::function<void(std::size_t)> sent_;
  bool closed_ = false;
  bool flush_planned_ = false;
  std::deque<Piece> waiting_;   // not given to the socket
  std::vector<Piece> writing_;  // given to it, not taken by it
};

}  // namespace vecserve::net
