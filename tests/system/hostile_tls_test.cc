// Attacks on TLS (N8): old versions, renegotiation, certificates that are wrong or missing, streams
// that end without a farewell, plain bytes in the middle. Real handshakes. Always holds: TLS fails
// closed, nothing is applied, and the next client is served.
#include <openssl/ssl.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "tests/support/served_database.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tls_peer.h"

namespace vecserve::net {
namespace {

using test::TlsPeer;

class Shielded {
 public:
  Shielded() {
    const auto files = test::make_certificate(folder_.path(), "server");
    ServerOptions options;
    options.tls_certificate_file = files.certificate;
    options.tls_key_file = files.key;
    options.hello_timeout = std::chrono::milliseconds(1'000);
    served.emplace(options);
    served->fill(5);
  }
  ~Shielded() {
    CHECK(enters());
    CHECK(served->database->collection("rows")->count().value() == 5);
  }
  bool enters(const test::TlsWishes& wishes = {}) {
    test::WireClient wire(served->address);
    auto peer = TlsPeer::shake_hands(wire.fd(), wishes);
    return peer && peer->send(hello()) && !peer->receive().empty();
  }
  static std::string hello() {
    return test::frame_bytes({.verb = Verb::hello, .id = 1}, HelloRequest());
  }
  static std::string erase() {
    return test::frame_bytes({.verb = Verb::erase_where, .id = 2},
                             EraseWhereRequest{"rows", ".n >= 0", {}});
  }
  std::optional<test::ServedDatabase> served;

 private:
  test::TemporaryFolder folder_;
};

TEST_CASE("hostile N8: no version before TLS 1.2", "[hostile]") {
  Shielded shielded;
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    test::TlsWishes wishes;
    wishes.version_max = version;
    CHECK_FALSE(shielded.enters(wishes));
  }
}

TEST_CASE("hostile N8: no renegotiation", "[hostile]") {
  Shielded shielded;
  test::TlsWishes wishes;
  wishes.version_max = TLS1_2_VERSION;
  test::WireClient wire(shielded.served->address);
  auto peer = TlsPeer::shake_hands(wire.fd(), wishes);
  REQUIRE(peer.has_value());
  CHECK_FALSE(peer->renegotiate());
}

TEST_CASE("hostile N8: a stream that is cut inside a record applies nothing", "[hostile]") {
  Shielded shielded;
  for (int round = 0; round < 10; ++round) {
    test::WireClient wire(shielded.served->address);
    auto peer = TlsPeer::shake_hands(wire.fd());
    REQUIRE(peer.has_value());
    REQUIRE(peer->send(Shielded::hello()));
    // All but the end of a request, then a reset without the farewell of TLS.
    const std::string request = Shielded::erase();
    REQUIRE(peer->send(std::string_view(request).substr(0, request.size() - 1)));
    wire.reset();
  }
}

TEST_CASE("hostile N8: plain bytes inside a TLS stream end it", "[hostile]") {
  Shielded shielded;
  test::WireClient wire(shielded.served->address);
  auto peer = TlsPeer::shake_hands(wire.fd());
  REQUIRE(peer.has_value());
  REQUIRE(peer->send(Shielded::hello()));
  REQUIRE_FALSE(peer->receive().empty());
  wire.send(Shielded::erase());
  CHECK(wire.closed_within(std::chrono::seconds(20)));
}

TEST_CASE("hostile N8: a handshake that never ends is cut off", "[hostile]") {
  Shielded shielded;
  test::WireClient silent(shielded.served->address);
  test::WireClient dripping(shielded.served->address);
  dripping.send(std::string("\x16\x03\x01\x02", 4));
  CHECK(silent.closed_within(std::chrono::seconds(20)));
  CHECK(dripping.closed_within(std::chrono::seconds(20)));
}

TEST_CASE("hostile N8: a client that trusts nobody here does not go on", "[hostile]") {
  Shielded shielded;
  const test::TemporaryFolder elsewhere;
  test::TlsWishes wishes;
  wishes.ca_file = test::make_certificate(elsewhere.path(), "other").certificate;
  CHECK_FALSE(shielded.enters(wishes));
}

}  // namespace
}  // namespace vecserve::net
