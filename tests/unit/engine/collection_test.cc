// Checks the public Collection and Cursor: empty handles, forwarding, what outlives what, stats.
// What the calls do in detail is checked beside the engine's parts. Single-threaded, in memory.
// Always holds: time stands still unless a case moves it.
#include "vecserve/collection.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/database_testing.h"
#include "tests/support/store/engine_fixture.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using vecserve::test::Engine;
using vecserve::test::inputs_of;
using vecserve::test::OwnedRow;

class Open {
 public:
  Open() {
    DatabaseOptions options = Engine::quiet();
    options.in_memory = true;
    database.emplace(std::move(engine::open_for_testing("", options, {nullptr, &clock}).value()));
    rows = database->create_collection("rows", Engine::plane()).value();
  }
  std::uint64_t put(const std::vector<OwnedRow>& all) {
    return rows.upsert(inputs_of(all)).value().rows;
  }

  engine::ManualClock clock;
  std::optional<Database> database;
  Collection rows;
};

TEST_CASE("collection: every call on an empty handle is failed_precondition", "[engine]") {
  Collection none;
  const auto code = StatusCode::failed_precondition;
  const std::vector<float> x = {0, 0};
  const RowInput row{1, x, std::nullopt, std::nullopt};
  CHECK(none.name().empty());
  CHECK(none.options() == CollectionOptions());
  CHECK(none.upsert(row).status().code() == code);
  CHECK(none.insert(std::span(&row, 1)).status().code() == code);
  CHECK(none.update(std::span(&row, 1)).status().code() == code);
  CHECK(none.erase(RowId(1)).status().code() == code);
  CHECK(none.erase_where(".n").status().code() == code);
  SearchResult result;
  const std::vector<Query> queries = {Query(x)};
  CHECK(none.search(queries, {}, result).code() == code);
  CHECK(none.search(queries).status().code() == code);
  CHECK(none.search(Query(x)).status().code() == code);
  CHECK(none.range_search(queries, {}).status().code() == code);
  CHECK(none.get(1).status().code() == code);
  CHECK(none.multi_get({}).status().code() == code);
  CHECK(none.exists(1).status().code() == code);
  CHECK(none.scan().status().code() == code);
  CHECK(none.count().status().code() == code);
  CHECK(none.stats().status().code() == code);
}

TEST_CASE("collection: the calls reach the rows", "[engine]") {
  Open open;
  CHECK(open.rows.name() == "rows");
  CHECK(open.rows.options() == Engine::plane());
  CHECK(open.put({{1, {1, 0}, R"({"n": 1})"}, {2, {2, 0}}, {"x", {3, 0}}}) == 3);
  CHECK(open.rows.get(1)->payload == R"({"n": 1})");
  CHECK(open.rows.get(9).status().to_string() == "not_found: there is no row 9");
  CHECK(open.rows.exists("x").value());
  CHECK_FALSE(open.rows.exists("y").value());
  CHECK(open.rows.multi_get(std::vector<RowId>{2, 9})->size() == 2);
  CHECK(open.rows.count().value() == 3);
  CHECK(open.rows.count(".n == 1").value() == 1);
  const std::vector<float> origin = {0, 0};
  CHECK(open.rows.search(Query(origin))->at(0).id == RowId(1));
  const std::vector<Query> queries = {Query(origin)};
  CHECK(open.rows.search(queries)->of(0).size() == 3);
  RangeSearchOptions range;
  range.radius = 4.0;
  CHECK(open.rows.range_search(queries, range)->of(0).size() == 2);
  CHECK(open.rows.erase(RowId("x"))->rows == 1);
  CHECK(open.rows.erase_where(".n == 1")->rows == 1);
  const std::vector<OwnedRow> two = {{2, {5, 5}}};
  CHECK(open.rows.insert(inputs_of(two)).status().code() == StatusCode::already_exists);
  CHECK(open.rows.update(inputs_of(two))->rows == 1);
  CHECK(open.rows.get(2)->vector.to_floats() == std::vector<float>{5, 5});
}

TEST_CASE("collection: stats tell what there is and what was done", "[engine]") {
  Open open;
  open.put({{1, {1, 0}, R"({"n": 1})"}, {2, {2, 0}}, {3, {3, 0}, std::nullopt, 10}});
  open.put({{1, {9, 0}}});
  REQUIRE(open.rows.erase(RowId(2)).ok());
  const std::vector<float> x = {0, 0};
  REQUIRE(open.rows.search(Query(x)).ok());
  CollectionStats stats = open.rows.stats().value();
  CHECK(stats.name == "rows");
  CHECK(stats.options == Engine::plane());
  CHECK(stats.rows == 2);
  CHECK(stats.rows_dead == 2);
  CHECK(stats.blocks == 1);
  CHECK(stats.slots == 4);
  CHECK(stats.vector_bytes == 4'096);
  CHECK(stats.payload_bytes > 0);
  CHECK(stats.index_bytes > 0);
  CHECK(stats.writes == 4);
  CHECK(stats.erases == 1);
  CHECK(stats.searches == 1);
  CHECK(stats.rows_expired == 0);
  CHECK(stats.backend.rfind("cpu/", 0) == 0);
  open.clock.advance(std::chrono::milliseconds(10));
  REQUIRE(engine::run_maintenance(*open.database).ok());
  stats = open.rows.stats().value();
  CHECK(stats.rows == 1);
  CHECK(stats.rows_expired == 1);
}

TEST_CASE("collection: copies of a handle are the same collection", "[engine]") {
  Open open;
  const Collection copy = open.rows;
  open.put({{1, {1, 0}}});
  CHECK(copy.exists(1).value());
  CHECK(open.database->collection("rows")->exists(1).value());
}

TEST_CASE("collection: a handle of a dropped collection says so, also when the name is taken again",
          "[engine]") {
  Open open;
  open.put({{1, {1, 0}}});
  REQUIRE(open.database->drop_collection("rows").ok());
  CHECK(open.rows.get(1).status().code() == StatusCode::not_found);
  CHECK(open.rows.get(1).status().message() == "collection \"rows\" was dropped");
  const Collection again = open.database->create_collection("rows", Engine::plane()).value();
  CHECK(open.rows.count().status().code() == StatusCode::not_found);
  CHECK(again.count().value() == 0);
}

TEST_CASE("collection: a handle and a cursor outlive the database", "[engine]") {
  Open open;
  open.put({{1, {1, 0}}, {2, {2, 0}}, {3, {3, 0}}});
  Cursor cursor = std::move(open.rows.scan().value());
  CHECK(cursor.next(1)->size() == 1);
  open.database.reset();
  const std::vector<float> x = {0, 0};
  CHECK(open.rows.search(Query(x)).status().code() == StatusCode::unavailable);
  CHECK(open.rows.get(1).status().code() == StatusCode::unavailable);
  CHECK(open.rows.erase(RowId(1)).status().code() == StatusCode::unavailable);
  CHECK(open.rows.stats().status().code() == StatusCode::unavailable);
  CHECK(open.rows.name() == "rows");
  open.rows = Collection();
  const auto rest = cursor.next(10);
  REQUIRE(rest.ok());
  REQUIRE(rest->size() == 2);
  CHECK((*rest)[1].vector.to_floats() == std::vector<float>{3, 0});
  CHECK(cursor.done());
  CHECK(cursor.position() == RowId(3));
}

TEST_CASE("collection: a scan goes on in another one, behind its position", "[engine]") {
  Open open;
  open.put({{1, {1, 0}}, {2, {2, 0}}, {3, {3, 0}}});
  Cursor first = std::move(open.rows.scan().value());
  CHECK(first.next(2)->size() == 2);
  ScanOptions options;
  options.after = first.position();
  Cursor second = std::move(open.rows.scan(options).value());
  CHECK(second.position() == RowId(2));
  const auto rest = second.next(10);
  REQUIRE(rest->size() == 1);
  CHECK(rest->front().id == RowId(3));
  options.after = RowId("");
  CHECK(open.rows.scan(options).status().field() == "after");
  options = {};
  options.filter = "(";
  CHECK(open.rows.scan(options).status().field() == "filter");
}

TEST_CASE("collection: a cursor that was moved from is done and empty", "[engine]") {
  Open open;
  open.put({{1, {1, 0}}});
  Cursor cursor = std::move(open.rows.scan().value());
  Cursor taken = std::move(cursor);
  CHECK(taken.next(5)->size() == 1);
  CHECK(cursor.done());                      // NOLINT: that is the question
  CHECK(cursor.position() == std::nullopt);  // NOLINT
  CHECK(cursor.next(5).status().code() == StatusCode::failed_precondition);  // NOLINT
}

}  // namespace
