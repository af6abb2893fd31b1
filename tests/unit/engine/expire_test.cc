// Checks engine/expire: what has expired is removed for good, in writes of bounded size, and what
// was replaced or lives on is left alone. Single-threaded, with a clock that stands still.
// Always holds: the clock moves only by advance().
#include "engine/expire.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <vector>

#include "engine/base/limits.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using std::chrono::milliseconds;

TEST_CASE("expire: removes exactly the rows whose time has passed", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {0, 0}, std::nullopt, 10},
                        {2, {0, 0}, std::nullopt, 11},
                        {3, {0, 0}},
                        {"x", {0, 0}, std::nullopt, 10}})
              .ok());
  CHECK(expire_rows(core).value() == 0);
  engine.clock.advance(milliseconds(10));
  CHECK(expire_rows(core).value() == 2);
  CHECK(core->snapshot()->live_count() == 2);
  CHECK(core->counters.live_rows == 2);
  CHECK(slot_of(core, 1) == std::nullopt);
  CHECK(slot_of(core, "x") == std::nullopt);
  CHECK(slot_of(core, 2) == 1);
  CHECK(core->tallies.rows_expired == 2);
  CHECK(expire_rows(core).value() == 0);
  engine.clock.advance(milliseconds(1));
  CHECK(expire_rows(core).value() == 1);
  CHECK(engine.database->verify().ok());
  REQUIRE(engine.reopen().ok());
  CHECK(engine.find("rows")->snapshot()->live_count() == 1);
}

TEST_CASE("expire: a row that was replaced since it expired stays", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 1}, std::nullopt, 10}, {2, {2, 2}, std::nullopt, 10}}).ok());
  engine.clock.advance(milliseconds(10));
  REQUIRE(insert(core, {{1, {5, 5}}}).ok());
  CHECK(expire_rows(core).value() == 1);
  CHECK(fetch(core, 1)->vector.to_floats() == std::vector<float>{5, 5});
}

TEST_CASE("expire: many rows go in several writes, each of bounded size", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::uint64_t count = 2ull * limits::block_rows_max + 100;
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < count; ++id) {
    rows.emplace_back(id, std::vector<float>{0, 0}, std::nullopt, id % 4 == 0 ? 0u : 10u);
  }
  REQUIRE(upsert(core, rows).ok());
  const std::size_t before = engine.store->applied().size();
  engine.clock.advance(milliseconds(10));
  CHECK(expire_rows(core).value() == count - (count + 3) / 4);
  const auto applied = engine.store->applied();
  CHECK(applied.size() == before + 2);  // the third block's few rows go with the second's
  for (std::size_t i = before; i < applied.size(); ++i) {
    CHECK(applied[i].erased_slots.size() <= limits::block_rows_max);
  }
  CHECK(core->snapshot()->live_count() == (count + 3) / 4);
}

TEST_CASE("expire: what was removed before a failure is counted, the rest goes later", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::uint64_t count = limits::block_rows_max + 10ull;
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < count; ++id) {
    rows.emplace_back(id, std::vector<float>{0, 0}, std::nullopt, 10);
  }
  REQUIRE(upsert(core, rows).ok());
  engine.clock.advance(milliseconds(10));
  engine.store->fail_apply(1, {StatusCode::resource_exhausted, "full"});
  CHECK(expire_rows(core).status().code() == StatusCode::resource_exhausted);
  CHECK(core->tallies.rows_expired == limits::block_rows_max);
  CHECK(expire_rows(core).value() == 10);
  CHECK(core->tallies.rows_expired == count);
}

TEST_CASE("expire: nothing is removed from a collection that was dropped", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {0, 0}, std::nullopt, 10}}).ok());
  engine.clock.advance(milliseconds(10));
  REQUIRE(engine.database->drop("rows").ok());
  CHECK(expire_rows(core).status().code() == StatusCode::not_found);
}

}  // namespace
