// The bytes of one connection, TCP or Unix socket, plain or TLS, behind the same four operations.
// Below the session; on the connection's io thread only. Always holds: at most one read and one
// write are under way, and after shut() every operation ends with an error.
#pragma once

#include <asio.hpp>
#include <asio/ssl.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

namespace vecserve::net {

class SessionStream {
 public:
  using Socket = asio::generic::stream_protocol::socket;

  // `tls` null: plain.
  SessionStream(Socket socket, std::shared_ptr<asio::ssl::context> tls);

  [[nodiscard]] asio::any_io_executor executor() { return socket_.get_executor(); }

  [[nodiscard]] asio::awaitable<std::error_code> handshake();
  // Some bytes, at least one unless there is an error.
  [[nodiscard]] asio::awaitable<std::size_t> read_some(std::span<char> to, std::error_code& error);
  [[nodiscard]] asio::awaitable<std::size_t> write_some(std::string_view from,
                                                        std::error_code& error);
  // Says that nothing more will be written; what the peer sends can still be read.
  [[nodiscard]] asio::awaitable<void> end_writing();
  // Closes at once.
  void shut();

 private:
  Socket socket_;
  std::shared_ptr<asio::ssl::context> context_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
};

}  // namespace vecserve::net
