// What a server counts: times by kind and stage, outcomes, expiry, and a history of points.
// Comes after slow_log_test. Test thread only; the clock stands still unless moved. Always holds:
// figures are compared with what was recorded.
#include "net/stats.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "tests/support/watched_server.h"

namespace vecserve::net {
namespace {

TEST_CASE("stats: a reply counts once, in its kind and its stages") {
  test::WatchedServer server;
  for (std::uint64_t us = 1; us <= 100; ++us) server.reply(Verb::search, us * 10);
  server.reply(Verb::upsert, 5'000);
  engine::Histogram times;
  server.stats.read(Op::search, Stage::total, times);
  CHECK(times.total() == 100);
  CHECK(times.value_at(0.5) == Approx(500'000).epsilon(0.01));
  server.stats.read(Op::search, Stage::scan, times);
  CHECK(times.value_at(1.0) == Approx(500'000).epsilon(0.01));
  server.stats.read(Op::write, Stage::total, times);
  CHECK(times.total() == 1);
  server.stats.read(Op::write, Stage::scan, times);
  CHECK(times.total() == 0);
  server.stats.read_batch_sizes(times);
  CHECK(times.total() == 100);
  CHECK(times.value_at(0.5) == 4);
  CHECK(server.stats.certified() == 100);
  CHECK(server.stats.outcomes(Op::search, StatusCode::ok) == 100);
}

TEST_CASE("stats: a refusal counts as an outcome and does not make times look good") {
  test::WatchedServer server;
  server.reply(Verb::search, 1'000);
  for (int i = 0; i < 50; ++i) server.reply(Verb::search, 1, StatusCode::resource_exhausted);
  server.reply(Verb::search, 9'000, StatusCode::deadline_exceeded);
  engine::Histogram times;
  server.stats.read(Op::search, Stage::total, times);
  CHECK(times.total() == 1);
  CHECK(server.stats.outcomes(Op::search, StatusCode::resource_exhausted) == 50);
  CHECK(server.stats.expired(false) == 1);
  CHECK(server.stats.expired(true) == 0);
  REQUIRE_FALSE(server.stats.slowest().empty());
  CHECK(server.stats.slowest().front().code == StatusCode::deadline_exceeded);
}

TEST_CASE("stats: a point of the history holds what came since the one before") {
  test::WatchedServer server;
  for (int i = 0; i < 10; ++i) server.reply(Verb::search, 200);
  server.clock.advance(std::chrono::milliseconds(500));
  server.stats.tick();
  server.reply(Verb::search, 900);
  server.reply(Verb::erase, 300);
  server.clock.advance(std::chrono::seconds(1));
  server.stats.tick();
  const std::vector<HistoryPoint> points = server.stats.history();
  REQUIRE(points.size() == 2);
  CHECK(points[0].seconds == Approx(0.5));
  CHECK(points[0].searches == 10);
  CHECK(points[0].search_p50_ns == Approx(200'000).epsilon(0.01));
  CHECK(points[1].searches == 1);
  CHECK(points[1].search_p999_ns == Approx(900'000).epsilon(0.01));
  CHECK(points[1].writes == 1);
  CHECK(points[1].unix_ms == points[0].unix_ms + 1'000);
}

TEST_CASE("stats: the history is a ring, oldest first") {
  test::WatchedServer server;
  for (std::size_t i = 0; i < limits::history_points + 50; ++i) {
    server.clock.advance(std::chrono::seconds(1));
    server.stats.tick();
  }
  const std::vector<HistoryPoint> points = server.stats.history();
  REQUIRE(points.size() == limits::history_points);
  for (std::size_t i = 1; i < points.size(); ++i) {
    CHECK(points[i].unix_ms == points[i - 1].unix_ms + 1'000);
  }
}

TEST_CASE("stats: every verb has a kind, every kind and stage a name") {
  CHECK(op_of(Verb::range_search) == Op::search);
  CHECK(op_of(Verb::erase_where) == Op::write);
  CHECK(op_of(Verb::scan) == Op::read);
  CHECK(op_of(Verb::checkpoint) == Op::other);
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kOps; ++i) names.insert(to_string(static_cast<Op>(i)));
  for (std::size_t i = 0; i < kStages; ++i) names.insert(to_string(static_cast<Stage>(i)));
  CHECK(names.size() == kOps + kStages);
}

}  // namespace
}  // namespace vecserve::net
