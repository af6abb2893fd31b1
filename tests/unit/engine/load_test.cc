// Checks engine/load: what a store delivers is served again, over any number of parts, and an id
// that is stored twice is found out. Single-threaded; the sink is called by hand or by the fake.
// Always holds: what is compared with was written through the engine before.
#include "engine/load.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/store/record.h"
#include "engine/write.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

TEST_CASE("load: rows, payloads, times, counters and requests come back, in one part or many",
          "[engine]") {
  Engine engine;
  const CorePtr first = engine.create("rows");
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < 500; ++id) {
    rows.emplace_back(id % 3 == 0 ? RowId("s" + std::to_string(id)) : RowId(id),
                      std::vector<float>{static_cast<float>(id), 1},
                      R"({"n": )" + std::to_string(id % 5) + R"(, "s": "t"})",
                      id % 10 == 0 ? 1'000u : 0u);
  }
  REQUIRE(upsert(first, rows, {std::nullopt, {3, 4}}).ok());
  REQUIRE(erase(first, {1, 2, "s9"}).ok());
  REQUIRE(upsert(first, {{4, {-4, -4}}}).ok());
  const CorePtr other = engine.create("empty");
  const CollectionCounters counters = first->counters;
  const std::uint64_t sequence = engine.runtime->sequence;
  for (const std::uint32_t parts : {1u, 2u, 7u}) {
    CAPTURE(parts);
    REQUIRE(engine.reopen(parts).ok());
    const CorePtr core = engine.find("rows");
    CHECK(core->counters == counters);
    CHECK(core->slots == counters.next_slot);
    CHECK(core->options == first->options);
    CHECK(core->snapshot()->live_count() == 497);
    CHECK(core->snapshot()->row_count() == 497);
    CHECK(core->snapshot()->sequence() == sequence);
    CHECK(engine.runtime->sequence == sequence);
    CHECK(engine.runtime->requests.find({3, 4})->rows == 500);
    CHECK(engine.find("empty")->snapshot()->live_count() == 0);
    for (std::uint64_t id = 5; id < 500; ++id) {
      const RowId row_id = id % 3 == 0 ? RowId("s" + std::to_string(id)) : RowId(id);
      if (row_id == RowId("s9")) continue;
      const auto row = fetch(core, row_id);
      REQUIRE(row.has_value());
      REQUIRE(row->vector.to_floats()[0] == static_cast<float>(id));
      REQUIRE(row->payload == *rows[id].payload);
      REQUIRE(row->ttl_ms.has_value() == (id % 10 == 0));
      REQUIRE(slot_of(core, row_id) == id);
    }
    CHECK(fetch(core, 4)->vector.to_floats()[0] == -4.0f);
    CHECK_FALSE(fetch(core, 1).has_value());
    CHECK_FALSE(fetch(core, "s9").has_value());
    CHECK(engine.database->verify().ok());
    // Filters on declared fields work on what was loaded.
    CHECK(erase_matching(core, ".n == 9", {})->rows == 0);
  }
  const CorePtr core = engine.find("rows");
  REQUIRE(upsert(core, {{1'000, {0, 0}}}).ok());
  CHECK(slot_of(core, 1'000) == counters.next_slot);
}

TEST_CASE("load: a dropped collection does not come back, its name may", "[engine]") {
  Engine engine;
  fill(engine.create("rows"), 1, 5);
  REQUIRE(engine.database->drop("rows").ok());
  REQUIRE(engine.reopen().ok());
  CHECK(engine.database->names().empty());
  const CorePtr again = engine.create("rows");
  CHECK(again->snapshot()->live_count() == 0);
  CHECK(again->id == 1);
}

// Feeds a loader by hand.
class HandLoad {
 public:
  HandLoad() : loader(engine.runtime), sink(loader.sink()) {
    StoredCollection stored;
    stored.id = 5;
    stored.name = "rows";
    stored.options = Engine::plane();
    stored.counters.next_slot = 100;
    REQUIRE(sink.collection(stored, 2).ok());
  }
  Status row(std::uint32_t part, std::uint64_t slot, const RowId& id, const std::string& payload) {
    const float vector[2] = {1, 2};
    return sink.row(5, part, slot, {IdView(id), 0, payload, std::as_bytes(std::span(vector))});
  }

  Engine engine;
  Loader loader;
  LoadSink sink;
};

TEST_CASE("load: an id that is stored twice is data_loss, in one part or across", "[engine]") {
  for (const RowId& id : {RowId(7), RowId("seven")}) {
    for (const std::uint32_t part : {0u, 1u}) {
      CAPTURE(id.to_string(), part);
      HandLoad load;
      REQUIRE(load.row(0, 1, id, "").ok());
      REQUIRE(load.row(0, 2, 8, "").ok());
      REQUIRE(load.row(part, 50, id, "").ok());
      const auto catalog = load.loader.finish(9);
      CHECK(catalog.status().code() == StatusCode::data_loss);
      CHECK(catalog.status().message().find(id.to_string()) != std::string::npos);
    }
  }
  HandLoad load;
  REQUIRE(load.row(0, 1, 7, "").ok());
  REQUIRE(load.row(1, 50, "7", "").ok());
  const auto catalog = load.loader.finish(9);
  REQUIRE(catalog.ok());
  CHECK(catalog->at("rows")->snapshot()->live_count() == 2);
  CHECK(load.engine.runtime->sequence == 9);
}

TEST_CASE("load: a payload that no longer fits its fields is data_loss", "[engine]") {
  HandLoad load;
  CHECK(load.row(0, 1, 7, R"({"n": 1})").ok());
  const Status bad = load.row(0, 2, 8, R"({"n": "text"})");
  CHECK(bad.code() == StatusCode::data_loss);
  CHECK(bad.message().find("slot 2") != std::string::npos);
}

}  // namespace
