// Addresses as text, and the rules between the settings of a server; above all, when listening to
// others is refused. Pure, one thread. Always holds: each refusal names the option that is to be
// mended.
#include "net/server_options.h"

#include <catch2/catch.hpp>

namespace vecserve::net {
namespace {

TEST_CASE("server_options: addresses are parsed", "[server_options]") {
  CHECK(Endpoint::parse("127.0.0.1:7411")->port == 7411);
  CHECK(Endpoint::parse("example.org:0")->host == "example.org");
  CHECK(Endpoint::parse(":80")->host == "127.0.0.1");
  CHECK(Endpoint::parse("[::1]:5")->host == "::1");
  CHECK(Endpoint::parse("[::1]:5")->to_string() == "[::1]:5");
  CHECK(Endpoint::parse("unix:/run/v.sock")->unix_path == "/run/v.sock");
  CHECK(Endpoint::parse("unix:/run/v.sock")->to_string() == "unix:/run/v.sock");
  for (const char* bad : {"", "7411", "host", "host:", "host:x", "host:65536", "host:-1", "host:1x",
                          "::1:5", "unix:"}) {
    CAPTURE(bad);
    CHECK(Endpoint::parse(bad).status().field() == "listen");
  }
  CHECK_FALSE(Endpoint::parse("unix:" + std::string(108, 'p')).ok());
}

TEST_CASE("server_options: what counts as loopback", "[server_options]") {
  for (const char* safe : {"127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1", "unix:/x"}) {
    CAPTURE(safe);
    CHECK(Endpoint::parse(safe)->is_loopback());
  }
  for (const char* open :
       {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "127.evil.org:1", "example.org:1"}) {
    CAPTURE(open);
    CHECK_FALSE(Endpoint::parse(open)->is_loopback());
  }
}

TEST_CASE("server_options: an open address needs tokens and TLS, or insecure", "[server_options]") {
  ServerOptions options;
  CHECK(options.validate().ok());
  options.listen = {"127.0.0.1:1", "0.0.0.0:1"};
  CHECK(options.validate().field() == "listen");
  options.token_file = "tokens";
  CHECK(options.validate().field() == "listen");
  options.tls_certificate_file = "c";
  options.tls_key_file = "k";
  CHECK(options.validate().ok());
  options.token_file.clear();
  CHECK(options.validate().field() == "listen");
  options.insecure = true;
  CHECK(options.validate().ok());
}

TEST_CASE("server_options: settings out of range are named", "[server_options]") {
  const auto field = [](auto&& change) {
    ServerOptions options;
    change(options);
    return options.validate().field();
  };
  using std::chrono::milliseconds;
  CHECK(field([](auto& o) { o.listen.clear(); }) == "listen");
  CHECK(field([](auto& o) { o.tls_key_file = "k"; }) == "tls_key_file");
  CHECK(field([](auto& o) { o.tls_client_ca_file = "a"; }) == "tls_client_ca_file");
  CHECK(field([](auto& o) { o.io_threads = 0; }) == "io_threads");
  CHECK(field([](auto& o) { o.io_threads = 65; }) == "io_threads");
  CHECK(field([](auto& o) { o.connections_max = 0; }) == "connections_max");
  CHECK(field([](auto& o) { o.connections_strange_max = 0; }) == "connections_strange_max");
  CHECK(field([](auto& o) { o.frame_bytes_max = 100; }) == "frame_bytes_max");
  CHECK(field([](auto& o) { o.frame_bytes_max = limits::frame_bytes_ceiling + 1; }) ==
        "frame_bytes_max");
  CHECK(field([](auto& o) { o.connection_requests_max = 0; }) == "connection_requests_max");
  CHECK(field([](auto& o) { o.connection_bytes_max = 1; }) == "connection_bytes_max");
  CHECK(field([](auto& o) { o.outbox_bytes_max = 1; }) == "outbox_bytes_max");
  CHECK(field([](auto& o) { o.total_bytes_max = 1; }) == "total_bytes_max");
  CHECK(field([](auto& o) { o.hello_timeout = milliseconds(0); }) == "hello_timeout");
  CHECK(field([](auto& o) { o.frame_timeout = milliseconds(-1); }) == "frame_timeout");
  CHECK(field([](auto& o) { o.write_timeout = std::chrono::hours(25); }) == "write_timeout");
  CHECK(field([](auto& o) { o.idle_timeout = milliseconds(-1); }) == "idle_timeout");
  CHECK(field([](auto& o) { o.idle_timeout = milliseconds(0); }).empty());
}

}  // namespace
}  // namespace vecserve::net
