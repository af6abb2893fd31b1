// How a client holds back: the share that it refuses itself, its retries, its waiting between
// attempts to connect. Tests net/client_throttle.cc. One thread; time is passed in.
// Always holds: seeds are printed.
#include "net/client_throttle.h"

#include <catch2/catch.hpp>

namespace vecserve::net {
namespace {

using namespace std::chrono_literals;

Throttle::TimePoint at(std::chrono::seconds second) {
  return Throttle::TimePoint(1'000'000s + second);
}

void end(Throttle& throttle, std::chrono::seconds second, int accepted, int refused) {
  for (int i = 0; i < accepted; ++i) throttle.on_end(at(second), true);
  for (int i = 0; i < refused; ++i) throttle.on_end(at(second), false);
}

TEST_CASE("throttle: nothing is held back while the server takes at least half") {
  Throttle throttle;
  CHECK(throttle.share(at(0s)) == 0.0);
  end(throttle, 0s, 50, 50);
  CHECK(throttle.share(at(0s)) == 0.0);
  end(throttle, 0s, 0, 1);
  CHECK(throttle.share(at(0s)) > 0.0);
}

TEST_CASE("throttle: a handful of refusals says nothing") {
  Throttle throttle;
  end(throttle, 0s, 0, 19);
  CHECK(throttle.share(at(0s)) == 0.0);
  end(throttle, 0s, 0, 1);
  CHECK(throttle.share(at(0s)) == Approx(20.0 / 21.0).margin(0.01));
}

TEST_CASE("throttle: the share follows requests and accepts, and has an upper bound") {
  Throttle throttle;
  end(throttle, 0s, 10, 90);
  CHECK(throttle.share(at(0s)) == Approx(80.0 / 101.0));
  end(throttle, 1s, 0, 100'000);
  CHECK(throttle.share(at(1s)) == kThrottleShareMax);
}

TEST_CASE("throttle: two minutes later everything is forgotten") {
  Throttle throttle;
  end(throttle, 0s, 0, 100);
  CHECK(throttle.share(at(114s)) > 0.9);
  CHECK(throttle.share(at(120s)) == 0.0);
  end(throttle, 120s, 20, 20);  // the same place in the ring
  CHECK(throttle.share(at(120s)) == 0.0);
}

TEST_CASE("retry budget: ten at once, then one for ten calls") {
  RetryBudget budget;
  for (int i = 0; i < 10; ++i) CHECK(budget.take());
  CHECK_FALSE(budget.take());
  for (int i = 0; i < 9; ++i) budget.on_call();
  CHECK_FALSE(budget.take());
  budget.on_call();
  CHECK(budget.take());
  CHECK_FALSE(budget.take());
  for (int i = 0; i < 1'000; ++i) budget.on_call();
  int taken = 0;
  while (budget.take()) ++taken;
  CHECK(taken == 10);
}

TEST_CASE("backoff: spans double up to the bound, each wait within half and all of its span") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  Backoff backoff(20ms, 100ms, seed);
  for (const auto span : {20ms, 40ms, 80ms, 100ms, 100ms}) {
    const auto wait = backoff.next();
    CHECK(wait >= span / 2);
    CHECK(wait <= span);
  }
  backoff.reset();
  CHECK(backoff.next() <= 20ms);
}

TEST_CASE("backoff: two clients do not come back together") {
  Backoff one(20ms, 5s, 1);
  Backoff other(20ms, 5s, 2);
  int same = 0;
  for (int i = 0; i < 20; ++i) same += one.next() == other.next() ? 1 : 0;
  CHECK(same < 3);
}

}  // namespace
}  // namespace vecserve::net
