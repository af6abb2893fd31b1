// The socket under a client: opening, writing many pieces, the other end going away, settings of
// TLS that cannot be used. Tests net/client_stream.cc on an io_context of the test's own.
// Always holds: an operation that is running when the stream is closed ends.
#include "net/client_stream.h"

#include <catch2/catch.hpp>

#include "tests/support/scripted_peer.h"

namespace vecserve::test {
namespace {

using net::ClientAddress;
using net::ClientStream;

struct StreamFixture {
  asio::io_context io;
  std::size_t sent = 0;
  std::shared_ptr<ClientStream> stream =
      std::make_shared<ClientStream>(io, nullptr, [this](std::size_t bytes) { sent += bytes; });

  Status open(const ClientAddress& address) {
    Status result(StatusCode::internal, "did not end");
    asio::co_spawn(
        io, [&]() -> asio::awaitable<void> { result = co_await stream->open(address, "x"); },
        asio::detached);
    io.run();
    io.restart();
    return result;
  }
};

TEST_CASE("client stream: what nobody listens on is unavailable, by name") {
  std::uint16_t port = 0;
  {
    const ScriptedPeer peer([](PeerConnection&, std::uint32_t) {});
    port = peer.port();
  }
  StreamFixture at;
  const Status status = at.open({"127.0.0.1", port, ""});
  CHECK(status.code() == StatusCode::unavailable);
  CHECK(status.message().find(std::to_string(port)) != std::string::npos);
  StreamFixture unix_socket;
  const Status missing = unix_socket.open({"", 0, "/nonexistent/socket"});
  CHECK(missing.code() == StatusCode::unavailable);
  CHECK(missing.message().find("unix:/nonexistent/socket") != std::string::npos);
}

TEST_CASE("client stream: many pieces arrive whole and in order") {
  std::promise<std::vector<std::uint64_t>> arrived;
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    std::vector<std::uint64_t> ids;
    PeerRequest request;
    while (ids.size() < 500 && connection.next(request)) ids.push_back(request.header.request_id);
    arrived.set_value(ids);
  });
  StreamFixture at;
  REQUIRE(at.open({"127.0.0.1", peer.port(), ""}).ok());
  std::size_t bytes = 0;
  const std::string filter(3'000, '.');
  for (std::uint64_t id = 0; id < 500; ++id) {
    auto frame = std::make_shared<std::string>();
    net::RequestEnvelope envelope;
    envelope.verb = net::Verb::count;
    envelope.id = id;
    REQUIRE(net::encode_request(envelope, net::CountRequest{"c", filter}, 1 << 20, *frame).ok());
    bytes += frame->size();
    at.stream->write(frame, *frame);
  }
  at.io.run();
  const auto ids = arrived.get_future().get();
  REQUIRE(ids.size() == 500);
  for (std::uint64_t id = 0; id < 500; ++id) CHECK(ids[id] == id);
  CHECK(at.sent == bytes);
}

TEST_CASE("client stream: a read ends when the stream is closed") {
  std::promise<void> release;
  ScriptedPeer peer([&](PeerConnection& connection, std::uint32_t) {
    PeerRequest request;
    (void)connection.next(request);
  });
  StreamFixture at;
  REQUIRE(at.open({"127.0.0.1", peer.port(), ""}).ok());
  std::size_t count = 1;
  std::array<char, 16> space{};
  asio::co_spawn(
      at.io, [&]() -> asio::awaitable<void> { count = co_await at.stream->read_some(space); },
      asio::detached);
  at.io.poll();
  at.stream->close();
  at.io.run();
  CHECK(count == 0);
  CHECK(at.stream->closed());
}

TEST_CASE("client stream: TLS settings that cannot be used name their field") {
  TlsOptions tls;
  CHECK(*net::make_client_tls(tls) == nullptr);
  tls.enabled = true;
  tls.ca_file = "/nonexistent/ca.pem";
  CHECK(net::make_client_tls(tls).status().field() == "tls.ca_file");
  tls.ca_file.clear();
  CHECK(net::make_client_tls(tls).ok());
  tls.certificate_file = "/nonexistent/cert.pem";
  tls.key_file = "/nonexistent/key.pem";
  CHECK(net::make_client_tls(tls).status().field() == "tls.certificate_file");
}

}  // namespace
}  // namespace vecserve::test
