// Checks engine/commit_group: groups given by hand, so that what shares a commit is certain, and
// groups that form behind a held apply. A failed commit must leave everything as it was.
// The test thread plays the leader, but for the last case, which makes writers of its own.
#include "engine/commit_group.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "engine/write.h"
#include "tests/support/failing_new.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using Kind = WriteOp::Kind;
using Slots = std::vector<std::uint64_t>;

void commit(Engine& engine, std::vector<WriteOp*> group) {
  commit_group(*engine.runtime, group);
}

TEST_CASE("commit group: the ops of a group share one batch and have their own sequence",
          "[engine]") {
  Engine engine;
  const CorePtr one = engine.create("one");
  const CorePtr two = engine.create("two");
  const std::size_t before = engine.store->applied().size();
  const std::vector<OwnedRow> a = {{1, {1, 1}}, {2, {2, 2}}};
  const std::vector<OwnedRow> b = {{"x", {3, 3}}};
  auto first = make_op(one, Kind::upsert, a);
  auto second = make_op(two, Kind::insert, b);
  auto third = make_erase(one, {1, 77});
  commit(engine, {first.get(), second.get(), third.get()});
  CHECK(first->status.ok());
  CHECK(first->result.rows == 2);
  CHECK(first->result.sequence == 3);  // two collections were made before
  CHECK(second->result.sequence == 4);
  CHECK(third->result.rows == 1);
  CHECK(third->result.sequence == 5);
  const auto applied = engine.store->applied();
  REQUIRE(applied.size() == before + 1);
  CHECK(applied.back().sequence == 5);
  CHECK(applied.back().put_slots == Slots{0, 1, 0});
  CHECK(applied.back().erased_slots == Slots{0});
  CHECK(applied.back().counters.size() == 2);
  CHECK(engine.runtime->sequence == 5);
  CHECK(engine.runtime->commits == 1);
  CHECK(engine.runtime->commit_writes == 3);
  CHECK(one->snapshot()->sequence() == 5);
  CHECK_FALSE(fetch(one, 1).has_value());
  CHECK(fetch(two, "x")->vector.to_floats() == std::vector<float>{3, 3});
}

TEST_CASE("commit group: a write that cannot be applied leaves the others alone", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);
  const std::vector<OwnedRow> exists = {{2, {0, 0}}, {1, {0, 0}}};
  const std::vector<OwnedRow> missing = {{9, {0, 0}}};
  const std::vector<OwnedRow> good = {{3, {3, 3}}};
  auto inserts = make_op(core, Kind::insert, exists);
  auto updates = make_op(core, Kind::update, missing);
  auto upserts = make_op(core, Kind::upsert, good);
  commit(engine, {inserts.get(), updates.get(), upserts.get()});
  CHECK(inserts->status.code() == StatusCode::already_exists);
  CHECK(inserts->status.field() == "id");
  CHECK(updates->status.code() == StatusCode::not_found);
  CHECK(upserts->status.ok());
  CHECK_FALSE(fetch(core, 2).has_value());
  CHECK(fetch(core, 3).has_value());
  CHECK(core->counters.live_rows == 2);
  CHECK(engine.store->applied().back().put_slots == Slots{1});
}

TEST_CASE("commit group: an id written twice in one group ends as the last write left it",
          "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);  // slot 0
  const std::vector<OwnedRow> a = {{1, {10, 0}}};
  const std::vector<OwnedRow> b = {{1, {20, 0}}};
  const std::vector<OwnedRow> n = {{2, {30, 0}}};
  const std::vector<OwnedRow> m = {{2, {40, 0}}};
  auto first = make_op(core, Kind::upsert, a);
  auto second = make_op(core, Kind::update, b);
  auto third = make_op(core, Kind::insert, n);
  auto fourth = make_erase(core, {2});
  auto fifth = make_op(core, Kind::insert, m);
  commit(engine, {first.get(), second.get(), third.get(), fourth.get(), fifth.get()});
  for (WriteOp* op : {first.get(), second.get(), third.get(), fourth.get(), fifth.get()}) {
    CHECK(op->status.ok());
    CHECK(op->result.rows == 1);
  }
  CHECK(fetch(core, 1)->vector.to_floats() == std::vector<float>{20, 0});
  CHECK(fetch(core, 2)->vector.to_floats() == std::vector<float>{40, 0});
  CHECK(slot_of(core, 1) == 2);
  CHECK(slot_of(core, 2) == 4);
  CHECK(core->snapshot()->live_count() == 2);
  CHECK(core->counters.live_rows == 2);
  const auto applied = engine.store->applied().back();
  CHECK(applied.put_slots == Slots{1, 2, 3, 4});
  CHECK(applied.erased_slots == Slots{0, 1, 3});
  // What is stored is what is served, hash and all.
  CHECK(engine.database->verify().ok());
  REQUIRE(engine.reopen().ok());
  CHECK(fetch(engine.find("rows"), 2)->vector.to_floats() == std::vector<float>{40, 0});
}

TEST_CASE("commit group: a request id is applied once, also within one group", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<OwnedRow> a = {{1, {1, 0}}, {2, {2, 0}}};
  const std::vector<OwnedRow> b = {{1, {9, 9}}};
  auto first = make_op(core, Kind::upsert, a, {7, 1});
  auto again = make_op(core, Kind::upsert, b, {7, 1});
  auto other = make_op(core, Kind::upsert, b, {7, 2});
  commit(engine, {first.get(), again.get()});
  CHECK_FALSE(first->result.replayed);
  CHECK(again->result.replayed);
  CHECK(again->result.rows == 2);
  CHECK(again->result.sequence == first->result.sequence);
  CHECK(fetch(core, 1)->vector.to_floats() == std::vector<float>{1, 0});
  CHECK(engine.store->applied().back().requests.size() == 1);
  const std::size_t batches = engine.store->applied().size();
  auto later = make_op(core, Kind::upsert, b, {7, 1});
  commit(engine, {later.get()});
  CHECK(later->result.replayed);
  CHECK(later->result.rows == 2);
  CHECK(engine.store->applied().size() == batches);
  commit(engine, {other.get()});
  CHECK_FALSE(other->result.replayed);
  CHECK(fetch(core, 1)->vector.to_floats() == std::vector<float>{9, 9});
}

TEST_CASE("commit group: a repeated request shares the fate of the group it repeats", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<OwnedRow> a = {{1, {1, 0}}};
  auto first = make_op(core, Kind::upsert, a, {7, 1});
  auto again = make_op(core, Kind::upsert, a, {7, 1});
  const std::string before = picture(core);
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "disk full"});
  commit(engine, {first.get(), again.get()});
  CHECK(first->status.code() == StatusCode::resource_exhausted);
  CHECK(again->status.code() == StatusCode::resource_exhausted);
  CHECK(picture(core) == before);
  // Sent once more it is a new request, not a memory of one that was never applied.
  auto retry = make_op(core, Kind::upsert, a, {7, 1});
  commit(engine, {retry.get()});
  CHECK(retry->status.ok());
  CHECK_FALSE(retry->result.replayed);
  CHECK(fetch(core, 1).has_value());
}

TEST_CASE("commit group: a full disk changes nothing and the next write succeeds", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 10);
  const std::string before = picture(core);
  const std::vector<OwnedRow> rows = {
      {1, {9, 9}, R"({"n": 5})", 1'000}, {11, {9, 9}}, {"new", {1, 2}, R"({"s": "t"})"}};
  auto put = make_op(core, Kind::upsert, rows, {1, 1});
  auto gone = make_erase(core, {2, 3});
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "disk full"});
  commit(engine, {put.get(), gone.get()});
  CHECK(put->status.to_string() == "resource_exhausted: disk full");
  CHECK(gone->status.to_string() == "resource_exhausted: disk full");
  CHECK(picture(core) == before);
  CHECK(engine.database->stats().degraded.empty());
  CHECK(engine.runtime->commits == 1);
  auto retry = make_op(core, Kind::upsert, rows, {1, 1});
  auto erased = make_erase(core, {2, 3});
  commit(engine, {retry.get(), erased.get()});
  CHECK(retry->status.ok());
  CHECK(erased->result.rows == 2);
  CHECK(fetch(core, "new")->payload == R"({"s": "t"})");
  CHECK(slot_of(core, 11) == 11);  // the slots of the failed attempt were given out again
  CHECK(engine.database->verify().ok());
}

TEST_CASE("commit group: after a failed disk every write is refused and reads go on", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  const std::string before = picture(core);
  engine.store->fail_apply(0, {StatusCode::io_error, "fsync failed"});
  const auto failed = upsert(core, {{4, {4, 0}}}, {std::nullopt, {3, 3}});
  CHECK(failed.status().to_string() == "io_error: fsync failed");
  CHECK(picture(core) == before);
  // The fake would take this one; the engine must not ask.
  CHECK(upsert(core, {{5, {5, 0}}}).status().code() == StatusCode::io_error);
  CHECK(erase(core, {1}).status().code() == StatusCode::io_error);
  CHECK(engine.database->create("more", Engine::plane()).status().code() == StatusCode::io_error);
  CHECK(engine.database->drop("rows").code() == StatusCode::io_error);
  CHECK(picture(core) == before);
  const DatabaseStats stats = engine.database->stats();
  CHECK(stats.degraded == "fsync failed");
  CHECK(stats.read_only);
  CHECK(fetch(core, 3).has_value());
  REQUIRE(engine.reopen().ok());
  CHECK(upsert(engine.find("rows"), {{5, {5, 0}}}).ok());
}

TEST_CASE("commit group: memory that runs out anywhere leaves everything as it was", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 100);
  const std::vector<OwnedRow> rows = {{1, {9, 9}, R"({"n": 1, "s": "a long enough text"})", 5'000},
                                      {"an id that is longer than a short string", {1, 2}}};
  const std::vector<OwnedRow> part = {{2, {7, 7}}};
  const std::string before = picture(core);
  int failures = 0;
  for (long n = 0;; ++n) {
    auto put = make_op(core, Kind::upsert, rows, {1, 1});
    auto change = make_op(core, Kind::update, part);
    auto gone = make_erase(core, {3});
    WriteOp* const group[] = {put.get(), change.get(), gone.get()};
    fail_allocation(n);
    commit_group(*engine.runtime, group);
    const bool met = !allocation_failure_pending();
    fail_allocation(-1);
    if (!met) {
      CHECK(put->status.ok());
      CHECK(gone->result.rows == 1);
      break;
    }
    // The failure may have come when the outcome no longer depended on it.
    if (put->status.ok()) {
      FAIL("a commit that met a failure was reported as done");
    }
    ++failures;
    CAPTURE(n);
    REQUIRE(put->status.code() == StatusCode::resource_exhausted);
    REQUIRE(change->status.code() == StatusCode::resource_exhausted);
    REQUIRE(gone->status.code() == StatusCode::resource_exhausted);
    REQUIRE(picture(core) == before);
  }
  CHECK(failures > 20);
  CHECK(engine.database->verify().ok());
  CHECK(engine.database->stats().degraded.empty());
}

TEST_CASE("commit group: one op that asks for more durability makes the group sync", "[engine]") {
  DatabaseOptions options = Engine::quiet();
  options.durability = Durability::process;
  Engine engine(options);
  const CorePtr core = engine.create("rows");
  const std::vector<OwnedRow> a = {{1, {1, 0}}};
  const std::vector<OwnedRow> b = {{2, {1, 0}}};
  auto weak = make_op(core, Kind::upsert, a);
  commit(engine, {weak.get()});
  CHECK(weak->result.durability == Durability::process);
  CHECK(engine.store->applied().back().durability == Durability::process);
  auto strong = make_op(core, Kind::upsert, b);
  strong->options.durability = Durability::sync;
  commit(engine, {weak.get(), strong.get()});
  CHECK(weak->result.durability == Durability::sync);
  CHECK(strong->result.durability == Durability::sync);
  CHECK(engine.store->applied().back().durability == Durability::sync);
}

TEST_CASE("commit group: a write cannot ask for less than the database's durability", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const auto written = upsert(core, {{1, {1, 0}}}, {Durability::process, {}});
  REQUIRE(written.ok());
  CHECK(written->durability == Durability::sync);
  CHECK(engine.store->applied().back().durability == Durability::sync);
}

TEST_CASE("commit group: writers that wait behind a held apply are committed as one group",
          "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::size_t before = engine.store->applied().size();
  engine.store->hold();
  std::vector<Result<WriteResult>> results(
      3, Result<WriteResult>(StatusCode::internal, "not answered"));
  const auto write = [&](std::size_t i) {
    results[i] = upsert(core, {{static_cast<std::uint64_t>(i), {1, 0}}});
  };
  std::thread leader([&] { write(0); });
  engine.store->wait_until_held();
  std::thread second([&] { write(1); });
  std::thread third([&] { write(2); });
  while (engine.runtime->committer.waiting() < 2) std::this_thread::yield();
  // Durable, then visible, then answered: nothing of the held write shows yet.
  CHECK_FALSE(fetch(core, 0).has_value());
  CHECK(core->snapshot()->live_count() == 0);
  engine.store->let_go();
  leader.join();
  second.join();
  third.join();
  const auto applied = engine.store->applied();
  REQUIRE(applied.size() == before + 2);
  CHECK(applied[before].put_slots == Slots{0});
  CHECK(applied[before + 1].put_slots == Slots{1, 2});
  for (const auto& result : results) {
    REQUIRE(result.ok());
    CHECK(result->rows == 1);
  }
  CHECK(engine.runtime->commits == 2);
  CHECK(engine.runtime->commit_writes == 3);
  CHECK(core->snapshot()->live_count() == 3);
}

}  // namespace
