// Checks engine/read: rows by id and counting, and that all rows of one call are from one moment
// while a writer publishes. Threads wait for each other by joining.
// Always holds: no assertion runs on a thread of a case, only counters.
#include "engine/read.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/limits.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

std::vector<std::optional<Row>> read(const CorePtr& core, const std::vector<RowId>& ids,
                                     GetOptions with = {}) {
  auto rows = read_rows(*core, ids, &with);
  REQUIRE(rows.ok());
  return std::move(*rows);
}

TEST_CASE("read: one entry per id in the order asked, also for ids asked twice", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 2}, R"({"n": 1})", 100}, {"one", {3, 4}}}).ok());
  const auto rows = read(core, {"one", 5, 1, "1", "one"});
  REQUIRE(rows.size() == 5);
  CHECK(rows[0]->id == RowId("one"));
  CHECK(rows[0]->vector.to_floats() == std::vector<float>{3, 4});
  CHECK(rows[0]->payload.empty());
  CHECK_FALSE(rows[0]->ttl_ms.has_value());
  CHECK_FALSE(rows[1].has_value());
  CHECK(rows[2]->payload == R"({"n": 1})");
  CHECK(rows[2]->ttl_ms == 100);
  CHECK_FALSE(rows[3].has_value());
  CHECK(rows[4]->id == RowId("one"));
  CHECK(read(core, {}).empty());
}

TEST_CASE("read: only what was asked for is filled in", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 2}, R"({"n": 1})"}}).ok());
  const auto bare = read(core, {1}, {false, false});
  CHECK(bare[0]->id == RowId(1));
  CHECK(bare[0]->payload.empty());
  CHECK(bare[0]->vector.dim() == 0);
  CHECK(read(core, {1}, {true, false})[0]->payload == R"({"n": 1})");
  CHECK(read(core, {1}, {false, true})[0]->vector.dim() == 2);
  const RowId id = 1;
  const auto only_there = read_rows(*core, std::span(&id, 1), nullptr);
  CHECK(only_there->front().has_value());
}

TEST_CASE("read: a row that expired is not there, and the time left counts down", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 2}, std::nullopt, 100}}).ok());
  engine.clock.advance(std::chrono::milliseconds(60));
  CHECK(read(core, {1})[0]->ttl_ms == 40);
  CHECK(count_rows(*core, "").value() == 1);
  engine.clock.advance(std::chrono::milliseconds(39));
  CHECK(read(core, {1})[0]->ttl_ms == 1);
  engine.clock.advance(std::chrono::milliseconds(1));
  CHECK_FALSE(read(core, {1})[0].has_value());
  CHECK(count_rows(*core, "").value() == 0);
  CHECK(core->snapshot()->live_count() == 1);  // still to be removed
}

TEST_CASE("read: bad ids and too many of them are refused", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const GetOptions with;
  CHECK(read_rows(*core, std::vector<RowId>{1, ""}, &with).status().field() == "id");
  CHECK(read_rows(*core, std::vector<RowId>{std::string(256, 'x')}, &with).status().field() ==
        "id");
  const std::vector<RowId> many(limits::batch_rows_max + 1);
  CHECK(read_rows(*core, many, &with).status().field() == "ids");
}

TEST_CASE("read: counting with and without a filter", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  CHECK(count_rows(*core, "").value() == 0);
  CHECK(count_rows(*core, ".n == 1").value() == 0);
  REQUIRE(
      upsert(core, {{1, {0, 0}, R"({"n": 1})"}, {2, {0, 0}, R"({"n": 1, "more": 1})"}, {3, {0, 0}}})
          .ok());
  CHECK(count_rows(*core, "").value() == 3);
  CHECK(count_rows(*core, ".n == 1").value() == 2);
  CHECK(count_rows(*core, ".more == 1").value() == 1);
  CHECK(count_rows(*core, ".more ==").status().field() == "filter");
  CHECK(count_rows(*core, " ").status().field() == "filter");
  CHECK(count_rows(*core, std::string((std::size_t{1} << 20) + 1, '1')).status().field() ==
        "filter");
}

TEST_CASE("read: closed and dropped collections answer with their code", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(engine.database->drop("rows").ok());
  const GetOptions with;
  const std::vector<RowId> ids = {1};
  CHECK(read_rows(*core, ids, &with).status().code() == StatusCode::not_found);
  CHECK(count_rows(*core, "").status().code() == StatusCode::not_found);
  REQUIRE(engine.database->close().ok());
  CHECK(read_rows(*core, ids, &with).status().code() == StatusCode::unavailable);
}

// Every write sets all rows to one version, so that two versions in one answer, or a hole, prove a
// mix of two moments.
TEST_CASE("read: all rows of one call are from one moment", "[engine]") {
  constexpr std::uint64_t kIds = 20;
  const float last = 300;
  Engine engine;
  const CorePtr core = engine.create("rows");
  const auto write = [&](float version) {
    std::vector<OwnedRow> rows;
    for (std::uint64_t i = 0; i < kIds; ++i) {
      rows.emplace_back(i % 2 == 0 ? RowId(i) : RowId("s" + std::to_string(i)),
                        std::vector<float>{version, 0});
    }
    return upsert(core, rows).ok();
  };
  std::vector<RowId> ids;
  for (std::uint64_t i = 0; i < kIds; ++i) {
    ids.push_back(i % 2 == 0 ? RowId(i) : RowId("s" + std::to_string(i)));
  }
  REQUIRE(write(0));
  std::atomic<bool> done{false};
  std::atomic<int> mixed{0};
  std::atomic<int> backwards{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      float newest = 0;
      while (!done) {
        const GetOptions with;
        const auto rows = read_rows(*core, ids, &with);
        if (!rows.ok() || !rows->front().has_value()) {
          ++mixed;
          continue;
        }
        const float version = rows->front()->vector.to_floats()[0];
        for (const auto& row : *rows) {
          if (!row.has_value() || row->vector.to_floats()[0] != version) ++mixed;
        }
        if (version < newest) ++backwards;
        newest = version;
      }
    });
  }
  bool written = true;
  for (float version = 1; version <= last; ++version) written = written && write(version);
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(written);
  CHECK(mixed == 0);
  CHECK(backwards == 0);
}

}  // namespace
