// The slow log: it keeps the slowest of each minute, forgets minutes, and is bounded.
// Comes before stats_test. Test thread, and several threads at once in the last case. Always holds:
// time is what the test says it is.
#include "net/slow_log.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace vecserve::net {
namespace {

constexpr std::uint64_t kMinute = 60'000;
constexpr std::uint64_t kStart = 1'000 * kMinute;

void add(SlowLog& log, std::uint64_t total_ns, std::uint64_t unix_ms) {
  ServedStages served;
  served.total_ns = total_ns;
  ReplyRecord record;
  record.verb = Verb::search;
  record.collection = "books";
  record.served = &served;
  log.add(record, unix_ms);
}

TEST_CASE("slow log: the slowest come first, and of a minute only so many are kept") {
  SlowLog log;
  for (std::uint64_t i = 0; i < 1'000; ++i) add(log, (i * 7'919) % 1'000, kStart);
  const std::vector<SlowRequest> slowest = log.slowest(kStart);
  REQUIRE(slowest.size() == limits::slow_kept);
  for (std::size_t i = 0; i < slowest.size(); ++i) {
    CHECK(slowest[i].served.total_ns == 999 - i);
    CHECK(slowest[i].collection == "books");
  }
}

TEST_CASE("slow log: minutes are forgotten one by one") {
  SlowLog log;
  for (std::uint64_t minute = 0; minute < 10; ++minute) {
    add(log, 1'000 + minute, kStart + minute * kMinute);
  }
  CHECK(log.slowest(kStart + 9 * kMinute).size() == limits::slow_minutes);
  CHECK(log.slowest(kStart + 9 * kMinute).front().served.total_ns == 1'009);
  CHECK(log.slowest(kStart + 12 * kMinute).size() == limits::slow_minutes - 3);
  CHECK(log.slowest(kStart + 60 * kMinute).empty());
  // A new minute keeps what is faster than all before.
  add(log, 1, kStart + 20 * kMinute);
  CHECK(log.slowest(kStart + 20 * kMinute).size() == 1);
}

TEST_CASE("slow log: many threads keep the slowest of all") {
  SlowLog log;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&log, t] {
      for (std::uint64_t i = 0; i < 2'000; ++i) add(log, i * 4 + t, kStart);
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::vector<SlowRequest> slowest = log.slowest(kStart);
  REQUIRE(slowest.size() == limits::slow_kept);
  for (std::size_t i = 0; i < slowest.size(); ++i) CHECK(slowest[i].served.total_ns == 7'999 - i);
}

}  // namespace
}  // namespace vecserve::net
