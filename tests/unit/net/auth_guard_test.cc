// The guard against guessing: when an address has to wait, how long, and that the table is bounded.
// Time is passed in; one thread. Always holds: an address that never failed never waits, whatever
// others do.
#include "net/auth_guard.h"

#include <catch2/catch.hpp>

#include "net/limits.h"

namespace vecserve::net {
namespace {

using std::chrono::milliseconds;

const AuthGuard::TimePoint kStart{std::chrono::hours(1)};

TEST_CASE("auth_guard: the first failures cost nothing, then waits double up to a bound",
          "[auth_guard]") {
  AuthGuard guard;
  for (std::uint32_t i = 0; i + 1 < limits::auth_failures_free; ++i) {
    guard.failed("a", kStart);
    CHECK(guard.wait_of("a", kStart) == milliseconds(0));
  }
  guard.failed("a", kStart);
  CHECK(guard.wait_of("a", kStart) == milliseconds(100));
  guard.failed("a", kStart);
  CHECK(guard.wait_of("a", kStart) == milliseconds(200));
  for (int i = 0; i < 100; ++i) guard.failed("a", kStart);
  CHECK(guard.wait_of("a", kStart) == limits::auth_delay_max);
  CHECK(guard.wait_of("a", kStart + limits::auth_delay_max) == milliseconds(0));
  CHECK(guard.wait_of("b", kStart) == milliseconds(0));
}

TEST_CASE("auth_guard: success clears an address", "[auth_guard]") {
  AuthGuard guard;
  for (int i = 0; i < 20; ++i) guard.failed("a", kStart);
  CHECK(guard.wait_of("a", kStart) > milliseconds(0));
  guard.succeeded("a");
  CHECK(guard.wait_of("a", kStart) == milliseconds(0));
  CHECK(guard.size() == 0);
}

TEST_CASE("auth_guard: the table is bounded, and the oldest failure makes room", "[auth_guard]") {
  AuthGuard guard;
  for (std::uint32_t i = 0; i < limits::auth_addresses_max; ++i) {
    guard.failed(std::to_string(i), kStart + milliseconds(i));
  }
  for (std::uint32_t i = 0; i < limits::auth_failures_free; ++i) {
    guard.failed("1", kStart + milliseconds(1));
  }
  CHECK(guard.size() == limits::auth_addresses_max);
  guard.failed("new", kStart + std::chrono::hours(1));
  CHECK(guard.size() == limits::auth_addresses_max);
  CHECK(guard.wait_of("1", kStart) > milliseconds(0));  // "0" went
}

}  // namespace
}  // namespace vecserve::net
