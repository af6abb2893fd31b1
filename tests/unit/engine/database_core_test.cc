// Checks engine/database_core: the catalog, closing, maintenance and what happens when the store
// refuses. Single-threaded but for one closing beside a held write.
// Always holds: nothing runs in the background; maintenance is called by hand.
#include "engine/database_core.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/failing_new.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using Names = std::vector<std::string>;

TEST_CASE("database core: collections are made, found, listed in order and dropped", "[engine]") {
  Engine engine;
  DatabaseCore& database = *engine.database;
  CHECK(database.names().empty());
  engine.create("b");
  engine.create("a");
  engine.create(std::string(64, 'z'));
  CHECK(database.names() == Names{"a", "b", std::string(64, 'z')});
  CHECK(database.create("a", Engine::plane()).status().code() == StatusCode::already_exists);
  CHECK(database.find("a").value()->name == "a");
  CHECK(database.find("c").status().code() == StatusCode::not_found);
  CHECK(database.drop("c").code() == StatusCode::not_found);
  const CorePtr dropped = engine.find("a");
  fill(dropped, 1, 5);
  const auto pinned = dropped->snapshot();
  REQUIRE(database.drop("a").ok());
  CHECK(database.names().size() == 2);
  CHECK(dropped->usable().code() == StatusCode::not_found);
  CHECK(pinned->live_count() == 5);
  CHECK(database.drop("a").code() == StatusCode::not_found);
  const CorePtr again = engine.create("a");
  CHECK(again->id != dropped->id);
  CHECK(again->snapshot()->live_count() == 0);
}

TEST_CASE("database core: names and options are checked first", "[engine]") {
  Engine engine;
  const std::size_t batches = engine.store->applied().size();
  for (const char* name : {"", "a b", "a/b", "\xc3\xa9"}) {
    CHECK(engine.database->create(name, Engine::plane()).status().field() == "name");
  }
  CHECK(engine.database->create(std::string(65, 'a'), Engine::plane()).status().field() == "name");
  CHECK(engine.database->create("a", CollectionOptions()).status().field() == "dim");
  CHECK(engine.store->applied().size() == batches);
}

TEST_CASE("database core: a store that refuses leaves the catalog as it was", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "full"});
  CHECK(engine.database->create("more", Engine::plane()).status().code() ==
        StatusCode::resource_exhausted);
  CHECK(engine.database->names() == Names{"rows"});
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "full"});
  CHECK(engine.database->drop("rows").code() == StatusCode::resource_exhausted);
  CHECK(core->usable().ok());
  CHECK(fetch(core, 1).has_value());
  CHECK(engine.database->stats().degraded.empty());
  CHECK(engine.database->create("more", Engine::plane()).ok());
}

TEST_CASE("database core: memory that runs out while making a collection changes nothing",
          "[engine]") {
  Engine engine;
  int failures = 0;
  for (long n = 0;; ++n) {
    const CollectionOptions options = Engine::plane();
    fail_allocation(n);
    bool made = false;
    try {
      made = engine.database->create("collection", options).ok();
    } catch (const std::bad_alloc&) {
      // The public Database turns this into a Status.
    }
    const bool met = !allocation_failure_pending();
    fail_allocation(-1);
    if (!met) {
      CHECK(made);
      break;
    }
    REQUIRE_FALSE(made);
    ++failures;
    REQUIRE(engine.database->names().empty());
    REQUIRE(engine.contents->collections.empty());
  }
  CHECK(failures > 5);
  CHECK(engine.database->names().size() == 1);
}

TEST_CASE("database core: stats add up over collections", "[engine]") {
  Engine engine;
  fill(engine.create("a"), 1, 3);
  fill(engine.create("b"), 1, 4);
  const DatabaseStats stats = engine.database->stats();
  CHECK(stats.collections == 2);
  CHECK(stats.rows == 7);
  CHECK(stats.sequence == 4);
  CHECK(stats.commits == 2);
  CHECK(stats.commit_writes == 2);
  CHECK(stats.threads == 1);
  CHECK_FALSE(stats.kernels.empty());
  CHECK_FALSE(stats.read_only);
}

TEST_CASE("database core: after close nothing reaches the store", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(engine.database->close().ok());
  const std::size_t batches = engine.store->applied().size();
  CHECK(engine.database->close().ok());
  CHECK(engine.store->closes() == 1);
  CHECK(engine.database->create("x", Engine::plane()).status().code() == StatusCode::unavailable);
  CHECK(engine.database->find("rows").status().code() == StatusCode::unavailable);
  CHECK(engine.database->drop("rows").code() == StatusCode::unavailable);
  CHECK(engine.database->checkpoint("x").status().code() == StatusCode::unavailable);
  CHECK(engine.database->verify().status().code() == StatusCode::unavailable);
  CHECK(engine.database->maintain(true).code() == StatusCode::unavailable);
  CHECK(upsert(core, {{1, {0, 0}}}).status().code() == StatusCode::unavailable);
  CHECK(engine.store->applied().size() == batches);
}

TEST_CASE("database core: close waits for a write that is under way", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  engine.store->hold();
  bool written = false;
  std::thread writer([&] { written = upsert(core, {{1, {0, 0}}}).ok(); });
  engine.store->wait_until_held();
  bool closed = false;
  std::thread closer([&] { closed = engine.database->close().ok(); });
  while (engine.runtime->committer.waiting() == 0) std::this_thread::yield();
  CHECK(engine.store->closes() == 0);
  engine.store->let_go();
  writer.join();
  closer.join();
  CHECK(written);
  CHECK(closed);
  CHECK(engine.store->closes() == 1);
  CHECK(engine.contents->rows[core->id].size() == 1);
}

TEST_CASE("database core: maintenance expires only when told to, and minds every collection",
          "[engine]") {
  Engine engine;
  const CorePtr a = engine.create("a");
  const CorePtr b = engine.create("b");
  for (const CorePtr& core : {a, b}) {
    REQUIRE(upsert(core, {{1, {0, 0}, std::nullopt, 10}, {2, {0, 0}}}).ok());
  }
  engine.clock.advance(std::chrono::milliseconds(10));
  CHECK(engine.database->maintain(false).ok());
  CHECK(a->snapshot()->live_count() == 2);
  // The first collection fails; the second has its turn all the same.
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "full"});
  CHECK(engine.database->maintain(true).code() == StatusCode::resource_exhausted);
  CHECK(a->snapshot()->live_count() == 2);
  CHECK(b->snapshot()->live_count() == 1);
  CHECK(engine.database->maintain(true).ok());
  CHECK(a->snapshot()->live_count() == 1);
}

TEST_CASE("database core: a checkpoint needs a path", "[engine]") {
  Engine engine;
  CHECK(engine.database->checkpoint("").status().field() == "path");
  CHECK(engine.database->checkpoint("there")->path == "there");
}

}  // namespace
