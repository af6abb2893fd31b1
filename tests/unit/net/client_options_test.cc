// Settings of a client at and beyond their bounds; above all, that a token does not travel in clear
// unnoticed. Tests net/client_options.cc. Pure; one thread.
// Always holds: the defaults are valid.
#include <catch2/catch.hpp>
#include <functional>

#include "vecserve/client.h"

namespace vecserve {
namespace {

std::string field_of(const std::function<void(ClientOptions&)>& change) {
  ClientOptions options;
  change(options);
  const Status status = options.validate();
  if (!status.ok()) CHECK(status.code() == StatusCode::invalid_argument);
  return status.field();
}

TEST_CASE("client options: the defaults are valid") {
  CHECK(ClientOptions{}.validate().ok());
}

TEST_CASE("client options: a value out of its bounds is refused by name") {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  CHECK(field_of([](auto& o) { o.address = "nowhere:0"; }) == "address");
  CHECK(field_of([](auto& o) { o.timeout = std::chrono::microseconds(0); }) == "timeout");
  CHECK(field_of([](auto& o) { o.timeout = hours(1); }).empty());
  CHECK(field_of([](auto& o) { o.timeout = hours(2); }) == "timeout");
  CHECK(field_of([](auto& o) { o.connect_timeout = milliseconds(0); }) == "connect_timeout");
  CHECK(field_of([](auto& o) { o.backoff_min = milliseconds(0); }) == "backoff_min");
  CHECK(field_of([](auto& o) { o.backoff_max = milliseconds(19); }) == "backoff_min");
  CHECK(field_of([](auto& o) { o.connections = 0; }) == "connections");
  CHECK(field_of([](auto& o) { o.connections = 1'024; }).empty());
  CHECK(field_of([](auto& o) { o.connections = 1'025; }) == "connections");
  CHECK(field_of([](auto& o) { o.calls_max = 0; }) == "calls_max");
  CHECK(field_of([](auto& o) { o.attempts_max = 0; }) == "attempts_max");
  CHECK(field_of([](auto& o) { o.attempts_max = 11; }) == "attempts_max");
  CHECK(field_of([](auto& o) { o.tls.certificate_file = "c.pem"; }) == "tls.key_file");
}

TEST_CASE("client options: a token does not leave the machine in clear unless that was said") {
  CHECK(field_of([](auto& o) { o.token = "secret"; }).empty());
  CHECK(field_of([](auto& o) { o.token = std::string(1'025, 't'); }) == "token");
  const auto far = [](ClientOptions& o) {
    o.token = "secret";
    o.address = "db.example:7411";
  };
  CHECK(field_of(far) == "token");
  CHECK(field_of([&](auto& o) {
          far(o);
          o.tls.enabled = true;
        }).empty());
  CHECK(field_of([&](auto& o) {
          far(o);
          o.token_in_clear = true;
        }).empty());
}

}  // namespace
}  // namespace vecserve
