// Checks engine/write: the writing calls from the outside of the engine, one thread.
// Comes above commit_group_test, which checks what a group does with each op.
// Always holds: the store is the fake, so that batches can be counted.
#include "engine/write.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/store/record.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

TEST_CASE("write: an empty batch is ok and reaches no store", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);
  const std::size_t batches = engine.store->applied().size();
  for (const auto kind : {WriteOp::Kind::upsert, WriteOp::Kind::insert, WriteOp::Kind::update}) {
    const auto written = write_rows(core, kind, {}, {});
    REQUIRE(written.ok());
    CHECK(written->rows == 0);
    CHECK(written->sequence == engine.runtime->sequence);
    CHECK(written->durability == Durability::sync);
  }
  CHECK(erase(core, {}).value().rows == 0);
  CHECK(engine.store->applied().size() == batches);
}

TEST_CASE("write: an empty batch with a request id is remembered", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const WriteOptions options{std::nullopt, {4, 4}};
  const auto first = upsert(core, {}, options);
  REQUIRE(first.ok());
  CHECK_FALSE(first->replayed);
  const auto again = upsert(core, {{1, {1, 1}}}, options);
  REQUIRE(again.ok());
  CHECK(again->replayed);
  CHECK(again->rows == 0);
  CHECK(again->sequence == first->sequence);
}

TEST_CASE("write: request ids are remembered across a restart", "[engine]") {
  Engine engine;
  const WriteOptions options{std::nullopt, {7, 9}};
  const auto first = upsert(engine.create("rows"), {{1, {1, 0}}, {2, {2, 0}}}, options);
  REQUIRE(first.ok());
  REQUIRE(engine.reopen().ok());
  const CorePtr core = engine.find("rows");
  const auto again = upsert(core, {{3, {3, 0}}}, options);
  REQUIRE(again.ok());
  CHECK(again->replayed);
  CHECK(again->rows == 2);
  CHECK(again->sequence == first->sequence);
  CHECK_FALSE(fetch(core, 3).has_value());
  const auto fresh = upsert(core, {{3, {3, 0}}}, {std::nullopt, {7, 10}});
  CHECK(fresh->sequence == first->sequence + 1);
}

TEST_CASE("write: a write that was refused is not remembered", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);
  const WriteOptions options{std::nullopt, {7, 9}};
  CHECK(insert(core, {{1, {0, 0}}}, options).status().code() == StatusCode::already_exists);
  const auto later = insert(core, {{2, {0, 0}}}, options);
  REQUIRE(later.ok());
  CHECK_FALSE(later->replayed);
}

TEST_CASE("write: sequences rise by one with every write of the database", "[engine]") {
  Engine engine;
  const CorePtr one = engine.create("one");
  const CorePtr two = engine.create("two");
  const std::uint64_t start = engine.runtime->sequence;
  CHECK(upsert(one, {{1, {0, 0}}})->sequence == start + 1);
  CHECK(upsert(two, {{1, {0, 0}}})->sequence == start + 2);
  CHECK(erase(one, {5})->sequence == start + 3);
  CHECK(one->snapshot()->sequence() == start + 1);
}

TEST_CASE("write: erase_where erases what matches and what is visible", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {0, 0}, R"({"n": 1, "x": true})"},
                        {2, {0, 0}, R"({"n": 2})"},
                        {"a", {0, 0}, R"({"n": 3})"},
                        {"b", {0, 0}, R"({"n": 4})", 10}})
              .ok());
  engine.clock.advance(std::chrono::milliseconds(10));
  CHECK(erase_matching(core, ".n >= 2", {})->rows == 2);  // "b" was not there any more
  CHECK(fetch(core, 1).has_value());
  CHECK_FALSE(fetch(core, 2).has_value());
  CHECK_FALSE(fetch(core, "a").has_value());
  CHECK(erase_matching(core, ".n >= 2", {})->rows == 0);
  CHECK(erase_matching(core, ".x", {})->rows == 1);
}

TEST_CASE("write: erase_where wants a filter that is one", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  const std::string before = picture(core);
  for (const std::string& filter : {std::string(), std::string("  "), std::string(".n >="),
                                    std::string((std::size_t{1} << 20) + 1, '1')}) {
    const auto refused = erase_matching(core, filter, {});
    CHECK(refused.status().code() == StatusCode::invalid_argument);
    CHECK(refused.status().field() == "filter");
  }
  CHECK(picture(core) == before);
}

TEST_CASE("write: erase_where with a request id is applied once", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {0, 0}, R"({"n": 1})"}}).ok());
  const WriteOptions options{std::nullopt, {1, 1}};
  CHECK(erase_matching(core, ".n == 1", options)->rows == 1);
  REQUIRE(upsert(core, {{1, {0, 0}, R"({"n": 1})"}}).ok());
  const auto again = erase_matching(core, ".n == 1", options);
  CHECK(again->replayed);
  CHECK(again->rows == 1);
  CHECK(fetch(core, 1).has_value());
}

TEST_CASE("write: erase_slots spares a row that was replaced after it was chosen", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 2);
  std::vector<SlotToErase> slots;
  for (std::uint64_t id = 1; id <= 2; ++id) {
    const IdView view(id);
    slots.push_back({view, hash_id(view), slot_of(core, id).value()});
  }
  REQUIRE(upsert(core, {{1, {9, 9}}}).ok());
  const auto erased = erase_slots(core, slots, {});
  REQUIRE(erased.ok());
  CHECK(erased->rows == 1);
  CHECK(fetch(core, 1)->vector.to_floats() == std::vector<float>{9, 9});
  CHECK_FALSE(fetch(core, 2).has_value());
}

TEST_CASE("write: a closed database and a dropped collection refuse, each with its code",
          "[engine]") {
  Engine engine;
  const CorePtr dropped = engine.create("dropped");
  const CorePtr core = engine.create("rows");
  REQUIRE(engine.database->drop("dropped").ok());
  CHECK(upsert(dropped, {{1, {0, 0}}}).status().code() == StatusCode::not_found);
  CHECK(erase(dropped, {1}).status().code() == StatusCode::not_found);
  CHECK(erase_matching(dropped, ".n == 1", {}).status().code() == StatusCode::not_found);
  REQUIRE(engine.database->close().ok());
  CHECK(upsert(core, {{1, {0, 0}}}).status().code() == StatusCode::unavailable);
  CHECK(upsert(dropped, {{1, {0, 0}}}).status().code() == StatusCode::unavailable);
}

TEST_CASE("write: a database that is read-only refuses before it prepares", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  engine.runtime->read_only = true;
  CHECK(upsert(core, {{1, {0, 0}}}).status().code() == StatusCode::failed_precondition);
  CHECK(update(core, {{1, {0, 0, 0}}}).status().code() == StatusCode::failed_precondition);
  CHECK(erase(core, {1}).status().code() == StatusCode::failed_precondition);
  CHECK(upsert(core, {{1, {0, 0}}}, {static_cast<Durability>(9), {}}).status().field() ==
        "durability");
}

}  // namespace
