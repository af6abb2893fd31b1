// The plain stream over a pair of connected sockets: bytes both ways, the end of writing, and
// shutting under a waiting read. TLS is tested where it is decided, in server_tls_test. One io
// context that the test runs itself.
#include "net/session_stream.h"

#include <catch2/catch.hpp>
#include <string>

namespace vecserve::net {
namespace {

template <typename Body>
void run(asio::io_context& context, Body&& body) {
  asio::co_spawn(context, std::forward<Body>(body), asio::detached);
  context.restart();
  context.run();
}

TEST_CASE("session_stream: bytes go both ways, and the end of writing is seen",
          "[session_stream]") {
  asio::io_context context;
  asio::local::stream_protocol::socket near(context), far(context);
  asio::local::connect_pair(near, far);
  SessionStream stream(SessionStream::Socket(std::move(near)), nullptr);
  std::string got, back(3, '\0');
  std::size_t sent = 0;
  std::error_code handshake, end;
  run(context, [&]() -> asio::awaitable<void> {
    handshake = co_await stream.handshake();
    std::error_code error;
    sent = co_await stream.write_some("abc", error);
    asio::read(far, asio::buffer(back));
    asio::write(far, asio::buffer("xy", 2));
    char space[16];
    const std::size_t count = co_await stream.read_some(space, error);
    got.assign(space, count);
    co_await stream.end_writing();
    far.read_some(asio::buffer(space), end);
  });
  CHECK_FALSE(handshake);
  CHECK(sent == 3);
  CHECK(back == "abc");
  CHECK(got == "xy");
  CHECK(end == asio::error::eof);
}

TEST_CASE("session_stream: shutting ends a read that waits", "[session_stream]") {
  asio::io_context context;
  asio::local::stream_protocol::socket near(context), far(context);
  asio::local::connect_pair(near, far);
  SessionStream stream(SessionStream::Socket(std::move(near)), nullptr);
  std::error_code error;
  asio::co_spawn(
      context,
      [&]() -> asio::awaitable<void> {
        char space[16];
        static_cast<void>(co_await stream.read_some(space, error));
      },
      asio::detached);
  asio::post(context, [&] { stream.shut(); });
  context.run();
  CHECK(error == asio::error::operation_aborted);
}

}  // namespace
}  // namespace vecserve::net
