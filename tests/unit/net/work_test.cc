// Works, tickets and refusals as values: that a ticket gives back once, wherever it was moved, and
// that a refusal becomes the status whose code tells the client what to do.
// Test thread only. Always holds: every reason and class has a name.
#include "net/work.h"

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "net/admission.h"

namespace vecserve::net {
namespace {

TEST_CASE("ticket: what it holds comes back once, wherever it went") {
  const auto budget = std::make_shared<Budget>(10, 1'000);
  REQUIRE(budget->take(10));
  REQUIRE(budget->take(20));
  {
    Ticket first(budget, 10);
    Ticket second(std::move(first));
    CHECK_FALSE(first.held());  // NOLINT(bugprone-use-after-move): that is the point
    CHECK(second.held());
    Ticket third(budget, 20);
    third = std::move(second);
    CHECK(budget->works() == 1);
    CHECK(budget->bytes() == 10);
    third.release();
    third.release();
    CHECK(budget->works() == 0);
  }
  CHECK(budget->works() == 0);
  CHECK(budget->bytes() == 0);
}

TEST_CASE("refusal: each reason has a name and a status that says what to do") {
  std::set<std::string> names;
  for (std::uint8_t reason = 1; reason <= 6; ++reason) {
    const Refusal refusal{static_cast<RefusalReason>(reason), Duration(5), Duration(7)};
    names.emplace(to_string(refusal.reason));
    const Status status = to_status(refusal);
    CHECK_FALSE(status.ok());
    CHECK_FALSE(status.message().empty());
    const StatusCode expected =
        refusal.reason == RefusalReason::deadline   ? StatusCode::deadline_exceeded
        : refusal.reason == RefusalReason::draining ? StatusCode::unavailable
                                                    : StatusCode::resource_exhausted;
    CHECK(status.code() == expected);
  }
  CHECK(names.size() == 6);
  CHECK(names.count("unknown") == 0);
}

}  // namespace
}  // namespace vecserve::net
