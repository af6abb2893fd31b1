// TLS of the server: what it is made from, what it refuses. The handshakes are real, over loopback.
// Certificates are made on the spot. Always holds: whatever fails, fails closed: nothing but the
// end of the connection, and the server goes on.
#include "net/server_tls.h"

#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tls_peer.h"

namespace vecserve::net {
namespace {

using test::TlsPeer;

class TlsServer {
 public:
  explicit TlsServer(bool with_client_ca = false) {
    const auto files = test::make_certificate(folder.path(), "server");
    options.tls_certificate_file = files.certificate;
    options.tls_key_file = files.key;
    if (with_client_ca) {
      client = test::make_certificate(folder.path(), "client");
      options.tls_client_ca_file = client.certificate;
    }
    served.emplace(options);
  }
  // Whether a hello is answered.
  bool answers(const test::TlsWishes& wishes = {}) {
    test::WireClient wire(served->address);
    auto peer = TlsPeer::shake_hands(wire.fd(), wishes);
    if (!peer) return false;
    static_cast<void>(
        peer->send(test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest())));
    return !peer->receive().empty();
  }

  test::TemporaryFolder folder;
  ServerOptions options;
  test::CertificateFiles client;
  std::optional<test::ServedDatabase> served;
};

TEST_CASE("server_tls: a hello over TLS is answered, over plain bytes it is not", "[server_tls]") {
  TlsServer server;
  CHECK(server.answers());
  test::TlsWishes trusting;
  trusting.ca_file = server.options.tls_certificate_file;
  CHECK(server.answers(trusting));
  test::WireClient plain(server.served->address);
  plain.send(test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest()));
  CHECK(plain.closed_within(std::chrono::seconds(10)));
  CHECK(server.answers());
}

TEST_CASE("server_tls: N8 versions before 1.2 and renegotiation are refused", "[server_tls]") {
  TlsServer server;
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    test::TlsWishes wishes;
    wishes.version_max = version;
    CHECK_FALSE(server.answers(wishes));
  }
  test::TlsWishes wishes;
  wishes.version_max = TLS1_2_VERSION;
  CHECK(server.answers(wishes));
  test::WireClient wire(server.served->address);
  auto peer = TlsPeer::shake_hands(wire.fd(), wishes);
  REQUIRE(peer.has_value());
  CHECK(peer->version() == "TLSv1.2");
  CHECK_FALSE(peer->renegotiate());
}

TEST_CASE("server_tls: N8 clients without the asked certificate are refused", "[server_tls]") {
  TlsServer server(true);
  CHECK_FALSE(server.answers());
  test::TlsWishes known;
  known.certificate = server.client.certificate;
  known.key = server.client.key;
  CHECK(server.answers(known));
  const auto stranger = test::make_certificate(server.folder.path(), "stranger");
  test::TlsWishes unknown;
  unknown.certificate = stranger.certificate;
  unknown.key = stranger.key;
  CHECK_FALSE(server.answers(unknown));
}

TEST_CASE("server_tls: N8 a handshake that is cut anywhere leaves nothing behind", "[server_tls]") {
  TlsServer server;
  // The first record of a handshake, or what looks like one.
  std::string record("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  record += std::string(506, 'r');
  for (std::size_t size = 0; size < record.size(); size += 7) {
    test::WireClient wire(server.served->address);
    wire.send(std::string_view(record).substr(0, size));
    if (size % 2 == 0) wire.reset();
  }
  CHECK(server.answers());
}

TEST_CASE("server_tls: files that are missing or do not fit are named", "[server_tls]") {
  const test::TemporaryFolder folder;
  const auto one = test::make_certificate(folder.path(), "one");
  const auto two = test::make_certificate(folder.path(), "two");
  ServerOptions options;
  CHECK(make_tls_context(options).value() == nullptr);
  options.tls_certificate_file = one.certificate;
  options.tls_key_file = one.key;
  CHECK(make_tls_context(options).value() != nullptr);
  options.tls_key_file = two.key;
  CHECK(make_tls_context(options).status().field() == "tls_key_file");
  options.tls_key_file = folder.at("none");
  CHECK(make_tls_context(options).status().field() == "tls_key_file");
  options.tls_certificate_file = folder.at("none");
  CHECK(make_tls_context(options).status().field() == "tls_certificate_file");
  options.tls_certificate_file = one.certificate;
  options.tls_key_file = one.key;
  options.tls_client_ca_file = folder.at("none");
  CHECK(make_tls_context(options).status().field() == "tls_client_ca_file");
}

TEST_CASE("server_tls: a new certificate is taken up by a reload", "[server_tls]") {
  TlsServer server;
  const auto next = test::make_certificate(server.folder.path(), "server");  // the same files
  test::TlsWishes trusting;
  trusting.ca_file = next.certificate;
  CHECK_FALSE(server.answers(trusting));
  REQUIRE(server.served->server->reload().ok());
  CHECK(server.answers(trusting));
  std::ofstream(server.options.tls_key_file) << "broken";
  CHECK(server.served->server->reload().field() == "tls_key_file");
  CHECK(server.answers(trusting));
}

}  // namespace
}  // namespace vecserve::net
