// See client_stream.h.
// A generic socket serves TCP and Unix alike; what waits is written together, so that many small
// requests cost one system call. The client's thread only.
// Always holds: one write is running at a time; writing_ does not change while it runs.
#include "net/client_stream.h"

#include <array>
#include <utility>

#include "net/limits.h"

namespace vecserve::net {
namespace {

constexpr std::size_t kPiecesMax = 64;  // of one gathering write; the kernel takes 1,024

Status failed(const std::string& what, const asio::error_code& error) {
  return {StatusCode::unavailable, what + ": " + error.message()};
}

std::string text_of(const ClientAddress& address) {
  if (!address.path.empty()) return "unix:" + address.path;
  return address.host + ":" + std::to_string(address.port);
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_client_tls(const TlsOptions& options) {
  if (!options.enabled) return std::shared_ptr<asio::ssl::context>();
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  asio::error_code error;
  const auto wrong = [&error](const char* field, const std::string& what) {
    return Status::invalid_argument(field, what + ": " + error.message());
  };
  (void)context->set_options(asio::ssl::context::default_workarounds |
                                 asio::ssl::context::no_sslv2 | asio::ssl::context::no_sslv3 |
                                 asio::ssl::context::no_tlsv1 | asio::ssl::context::no_tlsv1_1,
                             error);
  if (error) return wrong("tls", "TLS 1.2 cannot be demanded");
  if (options.ca_file.empty()) {
    (void)context->set_default_verify_paths(error);
  } else {
    (void)context->load_verify_file(options.ca_file, error);
  }
  if (error) return wrong("tls.ca_file", options.ca_file + " cannot be used");
  (void)context->set_verify_mode(asio::ssl::verify_peer, error);
  if (error) return wrong("tls", "certificates cannot be verified");
  if (options.certificate_file.empty()) return context;
  (void)context->use_certificate_chain_file(options.certificate_file, error);
  if (error) return wrong("tls.certificate_file", options.certificate_file + " cannot be used");
  (void)context->use_private_key_file(options.key_file, asio::ssl::context::pem, error);
  if (error) return wrong("tls.key_file", options.key_file + " cannot be used");
  return context;
}

ClientStream::ClientStream(asio::io_context& io, std::shared_ptr<asio::ssl::context> tls,
                           std::function<void(std::size_t)> sent)
    : resolver_(io), tls_(std::move(tls)), sent_(std::move(sent)) {
  if (tls_ == nullptr) {
    socket_.emplace(io);
  } else {
    tls_stream_.emplace(io, *tls_);
  }
}

asio::awaitable<Status> ClientStream::open(const ClientAddress& address,
                                           const std::string& server_name) {
  if (Status status = co_await connect(address); !status.ok()) co_return status;
  if (!tls_stream_) co_return Status();
  asio::error_code error;
  (void)tls_stream_->set_verify_callback(asio::ssl::host_name_verification(server_name), error);
  if (!error) {
    co_await tls_stream_->async_handshake(asio::ssl::stream_base::client,
                                          asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) co_return failed("TLS with " + text_of(address) + " failed", error);
  co_return Status();
}

asio::awaitable<Status> ClientStream::connect(const ClientAddress& address) {
  asio::error_code error;
  std::vector<asio::generic::stream_protocol::endpoint> endpoints;
  if (!address.path.empty()) {
    endpoints.emplace_back(asio::local::stream_protocol::endpoint(address.path));
  } else if (const auto number = asio::ip::make_address(address.host, error); !error) {
    endpoints.emplace_back(asio::ip::tcp::endpoint(number, address.port));
  } else {
    const auto found =
        co_await resolver_.async_resolve(address.host, std::to_string(address.port),
                                         asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return failed(address.host + " cannot be found", error);
    for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  }
  Status status = co_await connect_any(endpoints, address.path.empty());
  if (status.ok()) co_return status;
  co_return Status(status.code(), "no connection to " + text_of(address) + status.message());
}

asio::awaitable<Status> ClientStream::connect_any(
    const std::vector<asio::generic::stream_protocol::endpoint>& endpoints, bool is_tcp) {
  asio::error_code error = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    if (closed_) break;
    asio::error_code ignored;
    (void)socket().close(ignored);
    co_await socket().async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
    if (error) continue;
    if (is_tcp) (void)socket().set_option(asio::ip::tcp::no_delay(true), ignored);
    co_return Status();
  }
  co_return failed("", error);
}

asio::awaitable<std::size_t> ClientStream::read_some(std::span<char> space) {
  asio::error_code error;
  const auto buffer = asio::buffer(space.data(), space.size());
  std::size_t count = 0;
  if (tls_stream_) {
    count = co_await tls_stream_->async_read_some(buffer,
                                                  asio::redirect_error(asio::use_awaitable, error));
  } else {
    count =
        co_await socket_->async_read_some(buffer, asio::redirect_error(asio::use_awaitable, error));
  }
  co_return error ? 0 : count;
}

void ClientStream::write(std::shared_ptr<const void> keep, std::string_view bytes) {
  if (closed_) return;
  waiting_.push_back({std::move(keep), bytes});
  // What comes before the handler that is running has ended goes out together: fewer system calls
  // here, and fewer wake-ups there.
  if (flush_planned_ || !writing_.empty()) return;
  asio::post(socket().get_executor(), [self = shared_from_this()] {
    self->flush_planned_ = false;
    self->flush();
  });
  flush_planned_ = true;
}

void ClientStream::flush() {
  if (closed_ || waiting_.empty() || !writing_.empty()) return;
  std::size_t bytes = 0;
  while (!waiting_.empty() && writing_.size() < kPiecesMax && bytes < limits::write_bytes) {
    bytes += waiting_.front().bytes.size();
    writing_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  std::vector<asio::const_buffer> buffers;
  buffers.reserve(writing_.size());
  for (const Piece& piece : writing_) {
    buffers.emplace_back(piece.bytes.data(), piece.bytes.size());
  }
  auto done = [self = shared_from_this()](const asio::error_code& error, std::size_t written) {
    self->on_written(error, written);
  };
  if (tls_stream_) {
    asio::async_write(*tls_stream_, buffers, std::move(done));
  } else {
    asio::async_write(*socket_, buffers, std::move(done));
  }
}

void ClientStream::on_written(const asio::error_code& error, std::size_t bytes) {
  writing_.clear();
  if (error) {
    close();
    return;
  }
  sent_(bytes);
  flush();
}

void ClientStream::close() {
  if (closed_) return;
  closed_ = true;
  waiting_.clear();
  resolver_.cancel();
  asio::error_code ignored;
  (void)socket().close(ignored);
}

}  // namespace vecserve::net
