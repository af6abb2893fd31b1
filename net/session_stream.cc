// Plain or TLS, decided once per connection. Between the kernel and the session, on the
// connection's io thread. Always holds: errors are values; nothing here throws but for lack of
// memory.
#include "net/session_stream.h"

#include <utility>

namespace vecserve::net {

SessionStream::SessionStream(Socket socket, std::shared_ptr<asio::ssl::context> tls)
    : socket_(std::move(socket)), context_(std::move(tls)) {
  if (context_ != nullptr) tls_.emplace(socket_, *context_);
}

asio::awaitable<std::error_code> SessionStream::handshake() {
  std::error_code error;
  if (tls_) {
    co_await tls_->async_handshake(asio::ssl::stream_base::server,
                                   asio::redirect_error(asio::use_awaitable, error));
  }
  co_return error;
}

asio::awaitable<std::size_t> SessionStream::read_some(std::span<char> to, std::error_code& error) {
  const auto buffer = asio::buffer(to.data(), to.size());
  if (tls_) {
    co_return co_await tls_->async_read_some(buffer,
                                             asio::redirect_error(asio::use_awaitable, error));
  }
  co_return co_await socket_.async_read_some(buffer,
                                             asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<std::size_t> SessionStream::write_some(std::string_view from,
                                                       std::error_code& error) {
  const auto buffer = asio::buffer(from.data(), from.size());
  if (tls_) {
    co_return co_await tls_->async_write_some(buffer,
                                              asio::redirect_error(asio::use_awaitable, error));
  }
  co_return co_await socket_.async_write_some(buffer,
                                              asio::redirect_error(asio::use_awaitable, error));
}

asio::awaitable<void> SessionStream::end_writing() {
  std::error_code ignored;
  if (tls_) {
    co_await tls_->async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
  }
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void SessionStream::shut() {
  std::error_code ignored;
  socket_.close(ignored);
}

}  // namespace vecserve::net
