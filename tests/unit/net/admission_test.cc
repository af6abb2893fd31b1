// Admission as arithmetic: when a work is predicted to be done, which refusals follow, and that the
// budget cannot be overdrawn. Comes before dispatch_test.
// Test thread, and a few threads on one budget. Always holds: exact values, no tolerance.
#include "net/admission.h"

#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

namespace vecserve::net {
namespace {

using std::chrono::microseconds;

constexpr Duration kAnyTime = Duration::max();

Ahead ahead_us(int running, int first_done, int queued, int own, std::uint32_t lanes = 2) {
  Ahead ahead;
  ahead.running = microseconds(running);
  ahead.first_done = microseconds(first_done);
  ahead.queued = microseconds(queued);
  ahead.own = microseconds(own);
  ahead.slow_batch = microseconds(600);
  ahead.lanes = lanes;
  return ahead;
}

TEST_CASE("admission: with one lane everything ahead is done first") {
  CHECK(predicted_finish(ahead_us(0, 0, 0, 100, 1)) == microseconds(100));
  CHECK(predicted_finish(ahead_us(50, 50, 300, 100, 1)) == microseconds(450));
}

TEST_CASE("admission: a long batch on one lane does not count for those that pass beside it") {
  // 100 ms still to run on one of two lanes, the other is free: twice its own time, as both share.
  CHECK(predicted_finish(ahead_us(100'000, 0, 0, 100)) == microseconds(200));
  // The nearest lane frees in 10 us of device time, which is 20 us with two running.
  CHECK(predicted_finish(ahead_us(100'000, 10, 300, 100)) == microseconds(820));
  // Both end soon: in turn is sooner.
  CHECK(predicted_finish(ahead_us(100, 50, 300, 100)) == microseconds(500));
}

TEST_CASE("admission: a work is taken if it is done by its deadline and by the target") {
  const Ahead ahead = ahead_us(100, 50, 300, 100);  // done in 500 us
  CHECK_FALSE(judge(ahead, kAnyTime, microseconds(500)).has_value());
  CHECK_FALSE(judge(ahead, microseconds(500), microseconds(500)).has_value());

  const auto late = judge(ahead, microseconds(499), microseconds(500));
  REQUIRE(late.has_value());
  CHECK(late->reason == RefusalReason::deadline);
  CHECK(late->predicted_wait == microseconds(400));
  CHECK(late->retry_after == microseconds(1));

  const auto full = judge(ahead, kAnyTime, microseconds(450));
  REQUIRE(full.has_value());
  CHECK(full->reason == RefusalReason::queue_time);
  CHECK(full->predicted_wait == microseconds(400));
  CHECK(full->retry_after == microseconds(50));
}

TEST_CASE("admission: a work dearer than a full batch may wait as long as others") {
  const Ahead heavy = ahead_us(100, 50, 300, 10'000);
  CHECK_FALSE(judge(heavy, kAnyTime, microseconds(1'800)).has_value());
  CHECK(judge(heavy, kAnyTime, microseconds(900)).has_value());
}

TEST_CASE("admission: slack counts against the target, not against the deadline") {
  Ahead ahead = ahead_us(100, 50, 300, 100);
  ahead.slack = microseconds(50);
  CHECK_FALSE(judge(ahead, kAnyTime, microseconds(450)).has_value());
  CHECK(judge(ahead, microseconds(499), microseconds(450)).has_value());
}

TEST_CASE("admission: a lower class is taken when its share serves it, if it can wait that long") {
  Ahead ahead = ahead_us(1'000, 500, 100'000, 100);
  ahead.share = 0.1;
  ahead.of_class = microseconds(300);
  CHECK_FALSE(judge(ahead, kAnyTime, microseconds(400)).has_value());
  CHECK(judge(ahead, kAnyTime, microseconds(399)).has_value());
  CHECK_FALSE(judge(ahead, microseconds(5'000), microseconds(400)).has_value());
  CHECK(judge(ahead, microseconds(4'999), microseconds(400))->reason == RefusalReason::deadline);
  ahead.share = 0.0;  // nothing is reserved
  CHECK(judge(ahead, microseconds(5'000), microseconds(400)).has_value());
}

TEST_CASE("budget: neither works nor bytes are overdrawn, and all comes back") {
  const auto budget = std::make_shared<Budget>(2, 100);
  CHECK(budget->take(60));
  CHECK_FALSE(budget->take(41));
  CHECK(budget->works() == 1);
  CHECK(budget->bytes() == 60);
  CHECK(budget->take(40));
  CHECK_FALSE(budget->take(0));
  budget->give(60);
  budget->give(40);
  CHECK(budget->works() == 0);
  CHECK(budget->bytes() == 0);
}

TEST_CASE("budget: a work larger than all bytes is taken when it is the only one") {
  Budget budget(10, 100);
  CHECK(budget.take(1'000));
  CHECK_FALSE(budget.take(1));
  budget.give(1'000);
  CHECK(budget.take(1));
  CHECK_FALSE(budget.take(100));
}

TEST_CASE("budget: many threads leave it as it was") {
  Budget budget(3, 1'000);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&budget, t] {
      for (int i = 0; i < 10'000; ++i) {
        if (budget.take(100 * t)) budget.give(100 * t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(budget.works() == 0);
  CHECK(budget.bytes() == 0);
}

}  // namespace
}  // namespace vecserve::net
