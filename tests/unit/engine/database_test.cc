// Checks the public Database: opening in memory and on disk, read-only, moves, closing twice.
// Durability under faults is the business of the system tests. Single-threaded.
// Always holds: what is on disk lies in a folder that goes with its case.
#include "vecserve/database.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/database_testing.h"
#include "tests/support/store/engine_fixture.h"
#include "tests/support/temporary_folder.h"

namespace {

using namespace vecserve;
using vecserve::test::Engine;
using vecserve::test::inputs_of;
using vecserve::test::OwnedRow;
using vecserve::test::TemporaryFolder;

DatabaseOptions in_memory() {
  DatabaseOptions options = Engine::quiet();
  options.in_memory = true;
  return options;
}

// A database on disk with two rows, closed again.
void make_database(const std::string& path) {
  Database database = std::move(Database::open(path, Engine::quiet()).value());
  Collection rows = database.create_collection("rows", Engine::plane()).value();
  const std::vector<OwnedRow> two = {{1, {1, 0}, R"({"n": 1})"}, {"x", {2, 0}}};
  REQUIRE(rows.upsert(inputs_of(two), {std::nullopt, {5, 6}}).ok());
  REQUIRE(database.close().ok());
}

TEST_CASE("database: options are checked before anything is opened", "[engine]") {
  const TemporaryFolder folder;
  const std::string path = folder.at("db");
  DatabaseOptions options;
  options.threads = 257;
  CHECK(Database::open(path, options).status().field() == "threads");
  options = DatabaseOptions();
  options.kernels = "no such table";
  CHECK(Database::open(path, options).status().field() == "kernels");
  CHECK(Database::open("", DatabaseOptions()).status().field() == "path");
  CHECK(Database::open_read_only("", in_memory()).status().field() == "in_memory");
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("database: in memory nothing touches the disk and nothing stays", "[engine]") {
  const TemporaryFolder folder;
  const std::string path = folder.at("db");
  {
    Database database = std::move(Database::open(path, in_memory()).value());
    REQUIRE(database.create_collection("rows", Engine::plane()).ok());
    const DatabaseStats stats = database.stats();
    CHECK(stats.path.empty());
    CHECK(stats.collections == 1);
    CHECK(stats.disk_bytes == 0);
    CHECK(database.verify().ok());
    CHECK(database.checkpoint(folder.at("copy")).status().code() ==
          StatusCode::failed_precondition);
  }
  CHECK_FALSE(std::filesystem::exists(path));
  Database again = std::move(Database::open(path, in_memory()).value());
  CHECK(again.list_collections().empty());
}

TEST_CASE("database: what was acknowledged is there after a restart, requests too", "[engine]") {
  const TemporaryFolder folder;
  const std::string path = folder.at("db");
  make_database(path);
  Database database = std::move(Database::open(path, Engine::quiet()).value());
  CHECK(database.list_collections() == std::vector<std::string>{"rows"});
  Collection rows = database.collection("rows").value();
  CHECK(rows.options() == Engine::plane());
  CHECK(rows.get(1)->payload == R"({"n": 1})");
  CHECK(rows.get("x")->vector.to_floats() == std::vector<float>{2, 0});
  CHECK(rows.stats()->slots == 2);
  const std::vector<OwnedRow> other = {{9, {9, 9}}};
  const auto replayed = rows.upsert(inputs_of(other), {std::nullopt, {5, 6}});
  CHECK(replayed->replayed);
  CHECK(replayed->rows == 2);
  CHECK_FALSE(rows.exists(9).value());
  CHECK(database.verify()->rows == 2);
  CHECK(database.stats().sequence == 2);
  CHECK(database.stats().disk_bytes > 0);
}

TEST_CASE("database: opened read-only it serves and refuses every write", "[engine]") {
  const TemporaryFolder folder;
  const std::string path = folder.at("db");
  CHECK(Database::open_read_only(path, Engine::quiet()).status().code() == StatusCode::not_found);
  make_database(path);
  Database database = std::move(Database::open_read_only(path, Engine::quiet()).value());
  Collection rows = database.collection("rows").value();
  CHECK(rows.count().value() == 2);
  CHECK(rows.search(Query(std::vector<float>{0, 0})).ok());
  const auto code = StatusCode::failed_precondition;
  const std::vector<OwnedRow> row = {{3, {0, 0}}};
  CHECK(rows.upsert(inputs_of(row)).status().code() == code);
  CHECK(rows.erase(RowId(1)).status().code() == code);
  CHECK(rows.erase_where(".n == 1").status().code() == code);
  CHECK(database.create_collection("more", Engine::plane()).status().code() == code);
  CHECK(database.drop_collection("rows").code() == code);
  CHECK(engine::run_maintenance(database).code() == code);
  CHECK(database.stats().read_only);
  CHECK(database.verify().ok());
  CHECK(database.close().ok());
}

TEST_CASE("database: none is made where none is wanted", "[engine]") {
  const TemporaryFolder folder;
  DatabaseOptions options = Engine::quiet();
  options.create_if_missing = false;
  CHECK(Database::open(folder.at("db"), options).status().code() == StatusCode::not_found);
  CHECK_FALSE(std::filesystem::exists(folder.at("db")));
}

TEST_CASE("database: closing twice is ok, and calls after it are unavailable", "[engine]") {
  Database database = std::move(Database::open("", in_memory()).value());
  Collection rows = database.create_collection("rows", Engine::plane()).value();
  CHECK(database.close().ok());
  CHECK(database.close().ok());
  const auto code = StatusCode::unavailable;
  CHECK(database.collection("rows").status().code() == code);
  CHECK(database.create_collection("x", Engine::plane()).status().code() == code);
  CHECK(database.drop_collection("rows").code() == code);
  CHECK(database.checkpoint("x").status().code() == code);
  CHECK(database.verify().status().code() == code);
  CHECK(rows.count().status().code() == code);
  CHECK(database.stats().collections == 1);
}

TEST_CASE("database: one that was moved from answers failed_precondition", "[engine]") {
  Database first = std::move(Database::open("", in_memory()).value());
  REQUIRE(first.create_collection("rows", Engine::plane()).ok());
  Database second = std::move(first);
  const auto code = StatusCode::failed_precondition;
  // NOLINTBEGIN: using what was moved from is the question.
  CHECK(first.collection("rows").status().code() == code);
  CHECK(first.create_collection("x", Engine::plane()).status().code() == code);
  CHECK(first.drop_collection("rows").code() == code);
  CHECK(first.checkpoint("x").status().code() == code);
  CHECK(first.verify().status().code() == code);
  CHECK(first.close().code() == code);
  CHECK(first.list_collections().empty());
  CHECK(first.stats().collections == 0);
  CHECK(engine::run_maintenance(first).code() == code);
  // NOLINTEND
  CHECK(second.collection("rows").ok());
}

TEST_CASE("database: assigning over an open one closes it", "[engine]") {
  Database first = std::move(Database::open("", in_memory()).value());
  Collection rows = first.create_collection("rows", Engine::plane()).value();
  first = std::move(Database::open("", in_memory()).value());
  CHECK(rows.count().status().code() == StatusCode::unavailable);
  CHECK(first.list_collections().empty());
}

TEST_CASE("database: a checkpoint is a database of its own", "[engine]") {
  const TemporaryFolder folder;
  make_database(folder.at("db"));
  Database database = std::move(Database::open(folder.at("db"), Engine::quiet()).value());
  const auto info = database.checkpoint(folder.at("copy"));
  REQUIRE(info.ok());
  CHECK(info->rows == 2);
  CHECK(info->sequence == 2);
  CHECK(info->collections == 1);
  REQUIRE(database.drop_collection("rows").ok());
  REQUIRE(Database::restore(folder.at("copy"), folder.at("back")).ok());
  Database back = std::move(Database::open(folder.at("back"), Engine::quiet()).value());
  CHECK(back.collection("rows")->count().value() == 2);
  CHECK(Database::restore(folder.at("nothing"), folder.at("there")).code() ==
        StatusCode::not_found);
}

}  // namespace
