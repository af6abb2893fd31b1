// See client_link.h.
// One coroutine per link walks through connect, greet and read; writing needs none. The client's
// thread only. Always holds: the timeout of an attempt covers everything until the greeting was
// answered, and closes the stream, which ends whatever waited for it.
#include "net/client_link.h"

#include <algorithm>
#include <utility>

#include "net/limits.h"
#include "net/request.h"

namespace vecserve::net {

ClientLink::ClientLink(asio::io_context& io, const ClientOptions& options, ClientAddress address,
                       std::shared_ptr<asio::ssl::context> tls, const ClientLinkEvents& events,
                       std::uint64_t seed)
    : io_(io),
      options_(options),
      address_(std::move(address)),
      tls_(std::move(tls)),
      events_(events),
      backoff_(options.backoff_min, options.backoff_max, seed),
      pause_(io),
      timeout_(io) {}

void ClientLink::start() {
  asio::co_spawn(
      io_, [self = shared_from_this()] { return self->run(); },
      [self = shared_from_this()](const std::exception_ptr& thrown) {
        if (thrown != nullptr) self->restart();
      });
}

// Out of memory in the middle of something: the connection is given up, and another one made.
void ClientLink::restart() {
  up_ = false;
  if (stream_ != nullptr) stream_->close();
  if (stopping_) return;
  events_.down(*this, {StatusCode::unavailable, "out of memory"});
  start();
}

void ClientLink::stop() {
  stopping_ = true;
  up_ = false;
  pause_.cancel();
  timeout_.cancel();
  if (stream_ != nullptr) stream_->close();
}

void ClientLink::write(std::shared_ptr<const void> keep, std::string_view bytes) {
  stream_->write(std::move(keep), bytes);
}

asio::awaitable<void> ClientLink::run() {
  while (!stopping_) {
    const Status why = co_await serve();
    up_ = false;
    timeout_.cancel();
    stream_->close();
    if (stopping_) break;
    events_.down(*this, why);
    if (stopping_) break;
    pause_.expires_after(backoff_.next());
    asio::error_code ignored;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

asio::awaitable<Status> ClientLink::serve() {
  stream_ = std::make_shared<ClientStream>(io_, tls_, events_.sent);
  timeout_.expires_after(options_.connect_timeout);
  timeout_.async_wait([stream = stream_](const asio::error_code& error) {
    if (!error) stream->close();
  });
  FrameReader reader(limits::hello_bytes_max);
  Status status = co_await open();
  if (status.ok()) status = co_await greet(reader);
  if (status.ok() && stream_->closed()) {
    status = {StatusCode::unavailable, "the connection was lost"};
  }
  timeout_.cancel();
  if (!status.ok() || stopping_) co_return status;
  co_return co_await read_replies(reader);
}

asio::awaitable<Status> ClientLink::open() {
  const std::string& name =
      options_.tls.server_name.empty() ? address_.host : options_.tls.server_name;
  co_return co_await stream_->open(address_, name);
}

asio::awaitable<Status> ClientLink::greet(FrameReader& reader) {
  HelloRequest hello;
  hello.client = "vecserve client";
  hello.token = options_.token;
  RequestEnvelope envelope;
  envelope.verb = Verb::hello;
  auto bytes = std::make_shared<std::string>();
  Status status = encode_request(envelope, hello, limits::hello_bytes_max, *bytes);
  if (!status.ok()) co_return status;
  stream_->write(bytes, *bytes);
  Frame frame;
  status = co_await next_frame(reader, frame);
  if (!status.ok()) co_return status;
  Reply reply;
  status = decode_reply(frame.header, frame.body, reply);
  if (!status.ok()) co_return status;
  if (const auto* const error = std::get_if<ErrorReply>(&reply.body)) {
    if (error->version_max == 0) co_return error->status;
    co_return Status(StatusCode::failed_precondition, "the server speaks the protocol versions " +
                                                          std::to_string(error->version_min) +
                                                          " to " +
                                                          std::to_string(error->version_max));
  }
  const auto* const answer = std::get_if<HelloReply>(&reply.body);
  if (answer == nullptr) {
    co_return Status(StatusCode::failed_precondition, "the server did not greet");
  }
  reader.set_body_bytes_max(limits::frame_bytes_ceiling);
  backoff_.reset();
  timeout_.cancel();
  up_ = true;
  calls = 0;
  call_bytes = 0;
  calls_max = std::max<std::uint64_t>(answer->requests_max, 1);
  call_bytes_max = answer->bytes_max;
  events_.up(*this, *answer);
  co_return Status();
}

asio::awaitable<Status> ClientLink::read_replies(FrameReader& reader) {
  Frame frame;
  Reply reply;
  while (true) {
    Status status = co_await next_frame(reader, frame);
    if (!status.ok()) co_return status;
    status = decode_reply(frame.header, frame.body, reply);
    if (!status.ok()) co_return Status(StatusCode::unavailable, status.message());
    if (stopping_) co_return Status();
    events_.reply(*this, reply);
  }
}

asio::awaitable<Status> ClientLink::next_frame(FrameReader& reader, Frame& frame) {
  while (true) {
    const FrameReader::Next next = reader.next(frame);
    if (next == FrameReader::Next::frame) co_return Status();
    if (next == FrameReader::Next::broken) {
      co_return Status(StatusCode::unavailable, "the server sent what is no frame: " +
                                                    std::string(to_string(reader.fault())));
    }
    const std::size_t count = co_await stream_->read_some(reader.space());
    if (count == 0) co_return Status(StatusCode::unavailable, "the connection was lost");
    events_.received(count);
    reader.filled(count);
  }
}

}  // namespace vecserve::net
