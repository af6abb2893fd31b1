// Checks engine/cursor_state: order, `after`, pages over chunk borders, filters, expiry, and that a
// walk sees the moment it began in. Single-threaded.
// Always holds: the expected order is that of std::sort over RowId.
#include "engine/cursor_state.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <new>
#include <string>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/failing_new.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

std::vector<RowId> walk(CursorState& cursor, std::uint32_t page) {
  std::vector<RowId> ids;
  while (!cursor.done()) {
    const auto rows = cursor.next(page);
    REQUIRE(rows.ok());
    REQUIRE((rows->size() == page || cursor.done()));
    for (const Row& row : *rows) ids.push_back(row.id);
    if (!rows->empty()) CHECK(cursor.position == rows->back().id);
  }
  CHECK(cursor.next(page).value().empty());
  return ids;
}

std::vector<RowId> walk_from(const CorePtr& core, std::optional<RowId> after, std::uint32_t page) {
  ScanOptions options;
  options.after = std::move(after);
  CursorState cursor(core, options, std::nullopt);
  return walk(cursor, page);
}

// Numbers and strings, written in random order over several writes.
std::vector<RowId> fill_mixed(const CorePtr& core, std::size_t count) {
  const std::uint64_t seed = 5;
  Dice dice(seed);
  std::vector<RowId> ids;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t n = dice.next();
    ids.push_back(i % 2 == 0 ? RowId(n % 1'000'000'000) : RowId("k" + std::to_string(n)));
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<RowId> shuffled = ids;
  for (std::size_t i = shuffled.size() - 1; i > 0; --i) {
    std::swap(shuffled[i], shuffled[dice.below(i + 1)]);
  }
  for (std::size_t first = 0; first < shuffled.size(); first += 3'000) {
    std::vector<OwnedRow> rows;
    for (std::size_t i = first; i < std::min(first + 3'000, shuffled.size()); ++i) {
      rows.emplace_back(shuffled[i], std::vector<float>{static_cast<float>(i), 0});
    }
    REQUIRE(upsert(core, rows).ok());
  }
  return ids;
}

TEST_CASE("cursor: numbers by value, then strings byte by byte", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<RowId> expected = {2, 10, 300, RowId(UINT64_MAX), "10", "2", "a", "aa", "b"};
  std::vector<OwnedRow> rows;
  for (const std::size_t i : {4u, 0u, 8u, 2u, 6u, 1u, 7u, 3u, 5u}) {
    rows.emplace_back(expected[i], std::vector<float>{0, 0});
  }
  REQUIRE(upsert(core, rows).ok());
  CHECK(walk_from(core, std::nullopt, 1) == expected);
  CHECK(walk_from(core, std::nullopt, 4) == expected);
  CHECK(walk_from(core, std::nullopt, 100'000) == expected);
}

TEST_CASE("cursor: `after` begins behind an id, whether it exists or not", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{5, {0, 0}}, {7, {0, 0}}, {"m", {0, 0}}, {"z", {0, 0}}}).ok());
  using Ids = std::vector<RowId>;
  CHECK(walk_from(core, RowId(0), 2) == Ids{5, 7, "m", "z"});
  CHECK(walk_from(core, RowId(5), 2) == Ids{7, "m", "z"});
  CHECK(walk_from(core, RowId(6), 2) == Ids{7, "m", "z"});
  CHECK(walk_from(core, RowId(UINT64_MAX), 2) == Ids{"m", "z"});
  CHECK(walk_from(core, RowId("m"), 2) == Ids{"z"});
  CHECK(walk_from(core, RowId("z"), 2).empty());
}

TEST_CASE("cursor: a walk over several chunks gives every row once, in order", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<RowId> ids = fill_mixed(core, 45'000);  // more than 4,096 * (1 + 8)
  REQUIRE(ids.size() > 4'096 * 9);
  for (const std::uint32_t page : {1'000u, 4'096u, 4'097u, 50'000u}) {
    CAPTURE(page);
    CHECK(walk_from(core, std::nullopt, page) == ids);
  }
  const std::vector<RowId> rest(ids.begin() + 4'096, ids.end());
  CHECK(walk_from(core, ids[4'095], 4'096) == rest);
}

TEST_CASE("cursor: exactly one chunk of rows ends without an empty page in between", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 0, 4'096);
  CursorState cursor(core, {}, std::nullopt);
  CHECK(cursor.next(4'096)->size() == 4'096);
  CHECK(cursor.done());
  fill(core, 4'096, 1);
  CursorState more(core, {}, std::nullopt);
  CHECK(more.next(4'096)->size() == 4'096);
  CHECK_FALSE(more.done());
  CHECK(more.next(4'096)->size() == 1);
  CHECK(more.done());
}

TEST_CASE("cursor: an empty collection is done after the first call", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  CursorState cursor(core, {}, std::nullopt);
  CHECK(cursor.next(10)->empty());
  CHECK(cursor.done());
  CHECK(cursor.position == std::nullopt);
}

TEST_CASE("cursor: the page size is checked and a wrong one changes nothing", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  CursorState cursor(core, {}, std::nullopt);
  CHECK(cursor.next(0).status().field() == "limit");
  CHECK(cursor.next(100'001).status().field() == "limit");
  CHECK(cursor.next(100'000)->size() == 3);
}

TEST_CASE("cursor: sees the moment it began in, whatever is written or dropped since", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 0}, R"({"n": 1})", 100}, {2, {2, 0}}, {3, {3, 0}}}).ok());
  CursorState cursor(core, {}, std::nullopt);
  REQUIRE(upsert(core, {{0, {0, 0}}, {2, {9, 9}}}).ok());
  REQUIRE(erase(core, {3}).ok());
  engine.clock.advance(std::chrono::milliseconds(1'000));
  REQUIRE(engine.database->drop("rows").ok());
  REQUIRE(engine.database->close().ok());
  const auto rows = cursor.next(10);
  REQUIRE(rows.ok());
  REQUIRE(rows->size() == 3);
  CHECK((*rows)[0].id == RowId(1));
  CHECK((*rows)[0].ttl_ms == 100);
  CHECK((*rows)[0].payload == R"({"n": 1})");
  CHECK((*rows)[1].vector.to_floats() == std::vector<float>{2, 0});
  CHECK((*rows)[2].id == RowId(3));
}

TEST_CASE("cursor: filter and expiry choose the rows, options what is filled in", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 0}, R"({"n": 1})"},
                        {2, {2, 0}, R"({"n": 2})"},
                        {3, {3, 0}, R"({"n": 1})", 10},
                        {4, {4, 0}, R"({"n": 1})"}})
              .ok());
  engine.clock.advance(std::chrono::milliseconds(10));
  ScanOptions options;
  options.with_vector = false;
  CursorState cursor(core, options, *Filter::parse(".n == 1"));
  const auto rows = cursor.next(10);
  REQUIRE(rows->size() == 2);
  CHECK((*rows)[0].id == RowId(1));
  CHECK((*rows)[1].id == RowId(4));
  CHECK((*rows)[1].vector.dim() == 0);
  CHECK((*rows)[1].payload == R"({"n": 1})");
}

TEST_CASE("cursor: a page that found no memory is handed out by the next call", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<RowId> ids = fill_mixed(core, 9'000);
  for (const long n : {0L, 1L, 5L, 20L, 500L, 2'000L}) {
    CAPTURE(n);
    CursorState cursor(core, {}, std::nullopt);
    std::vector<RowId> found;
    for (const Row& row : cursor.next(4'000).value()) found.push_back(row.id);
    fail_allocation(n);  // somewhere in a page that needs a refill
    bool thrown = false;
    try {
      static_cast<void>(cursor.next(4'000));
    } catch (const std::bad_alloc&) {
      thrown = true;
    }
    fail_allocation(-1);
    REQUIRE(thrown);
    CHECK(cursor.position == found.back());
    const std::vector<RowId> rest = walk(cursor, 4'000);
    found.insert(found.end(), rest.begin(), rest.end());
    CHECK(found == ids);
  }
}

}  // namespace
