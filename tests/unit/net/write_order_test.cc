// Which writes of a connection wait for which: by rows, by all rows, and under a random order of
// ending, against the obvious model. Comes before conversation_start_test, which runs real writes.
// Test thread only. Always holds: a failure prints the seed that plays it again.
#include "net/write_order.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <vector>

#include "tests/support/dice.h"

namespace vecserve::net {
namespace {

using Ready = std::vector<std::uint64_t>;

Ready leave(WriteOrder& order, std::uint64_t number) {
  Ready ready;
  order.leave(number, ready);
  std::sort(ready.begin(), ready.end());
  return ready;
}

TEST_CASE("write order: writes to different rows do not wait for each other") {
  WriteOrder order;
  CHECK(order.enter(1, {10, 11}));
  CHECK(order.enter(2, {12}));
  CHECK(leave(order, 2).empty());
  CHECK(leave(order, 1).empty());
  CHECK(order.size() == 0);
}

TEST_CASE("write order: writes to one row begin one after the other, as they came") {
  WriteOrder order;
  CHECK(order.enter(1, {10, 11}));
  CHECK_FALSE(order.enter(2, {11, 10}));
  CHECK_FALSE(order.enter(3, {10}));
  CHECK_FALSE(order.enter(4, {11}));
  CHECK(leave(order, 1) == Ready{2});
  CHECK(leave(order, 2) == Ready{3, 4});
  CHECK(leave(order, 3).empty());
  CHECK(leave(order, 4).empty());
  CHECK(order.enter(5, {10}));
}

TEST_CASE("write order: a write that names no rows keeps its place among all") {
  WriteOrder order;
  CHECK(order.enter(1, {10}));
  CHECK(order.enter(2, {11}));
  CHECK_FALSE(order.enter(3, {}));
  CHECK_FALSE(order.enter(4, {12}));
  CHECK_FALSE(order.enter(5, {}));
  CHECK(leave(order, 2).empty());
  CHECK(leave(order, 1) == Ready{3});
  CHECK(leave(order, 3) == Ready{4});
  CHECK(leave(order, 4) == Ready{5});
  CHECK(order.enter(6, {10}) == false);
  CHECK(leave(order, 5) == Ready{6});
}

TEST_CASE("write order: the same row of two collections is two rows") {
  CHECK(WriteOrder::key_of("a", RowId(1)) != WriteOrder::key_of("b", RowId(1)));
  CHECK(WriteOrder::key_of("a", RowId(1)) != WriteOrder::key_of("a", RowId(2)));
  CHECK(WriteOrder::key_of("a", RowId("x")) == WriteOrder::key_of("a", RowId("x")));
}

TEST_CASE("write order: under random ends nothing overtakes on a row, and nothing is left") {
  const std::uint64_t seed = GENERATE(range(std::uint64_t{1}, std::uint64_t{20}));
  CAPTURE(seed);
  test::Dice dice(seed);
  WriteOrder order;
  std::map<std::uint64_t, std::set<WriteOrder::Key>> unfinished;  // empty: all rows
  std::set<std::uint64_t> running;
  const auto may_run = [&](std::uint64_t number) {
    const auto& own = unfinished.at(number);
    for (const auto& entry : unfinished) {
      const std::set<WriteOrder::Key>& keys = entry.second;
      if (entry.first == number) break;
      const bool share = own.empty() || keys.empty() ||
                         std::any_of(own.begin(), own.end(),
                                     [&](WriteOrder::Key key) { return keys.count(key) != 0; });
      if (share) return false;
    }
    return true;
  };
  std::uint64_t next = 0;
  while (next < 300 || !unfinished.empty()) {
    if (next < 300 && (running.empty() || dice.below(2) == 0)) {
      std::vector<WriteOrder::Key> keys;
      if (dice.below(20) != 0) {
        for (std::uint64_t i = 0; i <= dice.below(4); ++i) keys.push_back(dice.below(12));
      }
      unfinished[next] = {keys.begin(), keys.end()};
      const bool free = order.enter(next, keys);
      REQUIRE(free == may_run(next));
      if (free) running.insert(next);
      ++next;
      continue;
    }
    REQUIRE_FALSE(running.empty());
    const auto at = std::next(running.begin(), static_cast<long>(dice.below(running.size())));
    const std::uint64_t done = *at;
    running.erase(at);
    unfinished.erase(done);
    for (const std::uint64_t ready : leave(order, done)) {
      REQUIRE(may_run(ready));
      running.insert(ready);
    }
    for (const auto& [number, keys] : unfinished) {
      REQUIRE((running.count(number) != 0) == may_run(number));
    }
  }
  CHECK(order.size() == 0);
}

}  // namespace
}  // namespace vecserve::net
