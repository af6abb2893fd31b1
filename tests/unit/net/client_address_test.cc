// Addresses as users type them: what is taken, what is refused, and what counts as local.
// Tests net/client_address.cc. Pure; one thread.
// Always holds: nothing is resolved.
#include "net/client_address.h"

#include <catch2/catch.hpp>

#include "vecserve/client.h"

namespace vecserve::net {
namespace {

TEST_CASE("client address: host and port, IPv6 in brackets, a Unix socket") {
  const auto plain = parse_client_address("db.example:7000");
  REQUIRE(plain.ok());
  CHECK(plain->host == "db.example");
  CHECK(plain->port == 7000);
  const auto bare = parse_client_address("db.example");
  REQUIRE(bare.ok());
  CHECK(bare->port == kDefaultPort);
  const auto six = parse_client_address("[fe80::1]:65535");
  REQUIRE(six.ok());
  CHECK(six->host == "fe80::1");
  CHECK(six->port == 65535);
  const auto six_bare = parse_client_address("[::1]");
  REQUIRE(six_bare.ok());
  CHECK(six_bare->port == kDefaultPort);
  const auto unix_socket = parse_client_address("unix:/run/vecserve.sock");
  REQUIRE(unix_socket.ok());
  CHECK(unix_socket->path == "/run/vecserve.sock");
  CHECK(unix_socket->host.empty());
}

TEST_CASE("client address: what is no address is refused and names the field") {
  for (const std::string text :
       {"", ":7000", "host:", "host:0", "host:65536", "host:-1", "host:7000x", "[::1", "[]:1",
        "[::1]x", "::1:7000", "unix:", "host: 7000"}) {
    CAPTURE(text);
    const auto parsed = parse_client_address(text);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.status().code() == StatusCode::invalid_argument);
    CHECK(parsed.status().field() == "address");
  }
  CHECK_FALSE(parse_client_address("unix:" + std::string(108, 'a')).ok());
  CHECK(parse_client_address("unix:" + std::string(107, 'a')).ok());
  CHECK_FALSE(parse_client_address(std::string(254, 'a')).ok());
}

TEST_CASE("client address: local is what stays on this machine") {
  for (const std::string text :
       {"127.0.0.1:1", "127.1.2.3:1", "localhost:1", "[::1]:1", "unix:/s"}) {
    CAPTURE(text);
    CHECK(parse_client_address(text)->is_local());
  }
  for (const std::string text : {"10.0.0.1:1", "example.com:1", "[::2]:1", "128.0.0.1:1"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_client_address(text)->is_local());
  }
}

}  // namespace
}  // namespace vecserve::net
