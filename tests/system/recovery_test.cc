// What reopening must bring back, case by case: the named regressions of other vector databases,
// one case each. Above everything; test thread only. Always holds: nothing here kills a process
// (crash_loop does); an unclean stop is a copy of the folder taken while the database is open.
#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/coded_row.h"
#include "tests/support/temporary_folder.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
namespace fs = std::filesystem;

Database open_at(const std::string& path, const DatabaseOptions& options = {}) {
  Result<Database> database = Database::open(path, options);
  INFO(database.status().to_string());
  REQUIRE(database.ok());
  return std::move(*database);
}

Collection make_collection(Database& database, const char* name) {
  Result<Collection> made = database.create_collection(name, coded_collection());
  INFO(made.status().to_string());
  REQUIRE(made.ok());
  return *made;
}

void put(Collection& collection, std::uint64_t first, std::uint64_t count, std::uint32_t version) {
  CodedBatch batch;
  for (std::uint64_t id = first; id < first + count; ++id) batch.add(id, version);
  const Result<WriteResult> result = collection.upsert(batch.inputs());
  INFO(result.status().to_string());
  REQUIRE(result.ok());
}

// 0 when the row is not there.
std::uint32_t version_of(const Collection& collection, std::uint64_t id) {
  const Result<Row> row = collection.get(RowId(id));
  if (!row.ok()) {
    REQUIRE(row.status().code() == StatusCode::not_found);
    return 0;
  }
  const auto versions = decode_coded(*row);
  REQUIRE(versions.has_value());
  return versions->vector;
}

// The folder as a kill would leave it now.
std::string crash_image(const TemporaryFolder& folder, const std::string& name) {
  fs::copy(folder.at("db"), folder.at(name), fs::copy_options::recursive);
  return folder.at(name);
}

}  // namespace

TEST_CASE("recovery: an acknowledged write is there after an unclean stop", "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection rows = make_collection(database, "rows");
  put(rows, 0, 100, 1);
  put(rows, 50, 100, 2);
  Database after = open_at(crash_image(folder, "crashed"));
  const Collection back = after.collection("rows").value();
  CHECK(back.count().value() == 150);
  CHECK(version_of(back, 49) == 1);
  CHECK(version_of(back, 50) == 2);
  CHECK(version_of(back, 149) == 2);
  CHECK(version_of(back, 150) == 0);
  CHECK(after.verify().value().rows == 150);
}

TEST_CASE("recovery: an acknowledged erase never comes back", "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection rows = make_collection(database, "rows");
  put(rows, 0, 40, 1);
  REQUIRE(rows.erase(RowId(7)).value().rows == 1);
  REQUIRE(rows.erase_where(".group == 3").value().rows == 3);  // 3, 19 and 35
  for (const bool clean : {false, true}) {
    CAPTURE(clean);
    if (clean) REQUIRE(database.close().ok());
    Database after = open_at(clean ? folder.at("db") : crash_image(folder, "crashed"));
    const Collection back = after.collection("rows").value();
    CHECK(back.count().value() == 36);
    CHECK(version_of(back, 7) == 0);
    CHECK(version_of(back, 19) == 0);
    CHECK(back.count(".group == 3").value() == 0);
    CHECK(version_of(back, 8) == 1);
  }
}

TEST_CASE("recovery: a row erased and written again has its last version", "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection rows = make_collection(database, "rows");
  for (std::uint32_t version = 1; version <= 20; ++version) {
    put(rows, 5, 1, version);
    if (version % 3 == 0) REQUIRE(rows.erase(RowId(5)).ok());
  }
  Database after = open_at(crash_image(folder, "crashed"));
  CHECK(version_of(after.collection("rows").value(), 5) == 20);
  CHECK(after.collection("rows").value().count().value() == 1);
}

TEST_CASE("recovery: an update of the payload alone keeps the vector", "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection rows = make_collection(database, "rows");
  put(rows, 5, 1, 1);
  CodedBatch batch;
  batch.add_payload_only(5, 9);
  REQUIRE(rows.update(batch.inputs()).ok());
  Database after = open_at(crash_image(folder, "crashed"));
  const Row row = after.collection("rows").value().get(RowId(5)).value();
  const auto versions = decode_coded(row);
  REQUIRE(versions.has_value());
  CHECK(versions->vector == 1);
  CHECK(versions->payload == 9);
}

TEST_CASE("recovery: a dropped collection stays dropped, and its name can be used again",
          "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection first = make_collection(database, "rows");
  put(first, 0, 30, 1);
  REQUIRE(database.drop_collection("rows").ok());
  CHECK(first.count().status().code() == StatusCode::not_found);
  {
    Database after = open_at(crash_image(folder, "dropped"));
    CHECK(after.list_collections().empty());
  }
  Collection second = make_collection(database, "rows");
  put(second, 100, 2, 4);
  Database after = open_at(crash_image(folder, "again"));
  const Collection back = after.collection("rows").value();
  CHECK(back.count().value() == 2);
  CHECK(version_of(back, 0) == 0);
  CHECK(version_of(back, 101) == 4);
}

TEST_CASE("recovery: a request id is remembered over a restart", "[recovery]") {
  const TemporaryFolder folder;
  WriteOptions options;
  options.request_id = {77, 1};
  CodedBatch batch;
  batch.add(1, 1);
  std::uint64_t sequence = 0;
  {
    Database database = open_at(folder.at("db"));
    Collection rows = make_collection(database, "rows");
    const WriteResult first = rows.upsert(batch.inputs(), options).value();
    CHECK_FALSE(first.replayed);
    sequence = first.sequence;
    REQUIRE(rows.erase(RowId(1)).ok());
  }
  Database database = open_at(folder.at("db"));
  Collection rows = database.collection("rows").value();
  const WriteResult again = rows.upsert(batch.inputs(), options).value();
  CHECK(again.replayed);
  CHECK(again.rows == 1);
  CHECK(again.sequence == sequence);
  CHECK(rows.count().value() == 0);  // a late copy of a write does not bring an erased row back
}

TEST_CASE("recovery: sequence numbers go on rising after a restart", "[recovery]") {
  const TemporaryFolder folder;
  std::uint64_t last = 0;
  for (int round = 0; round < 3; ++round) {
    Database database = open_at(folder.at("db"));
    Collection rows =
        round == 0 ? make_collection(database, "rows") : database.collection("rows").value();
    CodedBatch batch;
    batch.add(static_cast<std::uint64_t>(round), 1);
    const WriteResult result = rows.upsert(batch.inputs()).value();
    CHECK(result.sequence > last);
    last = result.sequence;
    CHECK(database.stats().sequence == last);
  }
}

TEST_CASE("recovery: a checkpoint is complete, stays as it was, and can be restored",
          "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  Collection rows = make_collection(database, "rows");
  put(rows, 0, 60, 1);
  const CheckpointInfo info = database.checkpoint(folder.at("copy")).value();
  CHECK(info.rows == 60);
  CHECK(info.collections == 1);
  CHECK(info.sequence == database.stats().sequence);
  CHECK(info.bytes > 60 * kCodedDim * sizeof(float));
  put(rows, 0, 60, 2);

  CHECK(database.checkpoint(folder.at("copy")).status().code() == StatusCode::already_exists);
  REQUIRE(Database::restore(folder.at("copy"), folder.at("restored")).ok());
  CHECK(Database::restore(folder.at("copy"), folder.at("restored")).code() ==
        StatusCode::already_exists);
  CHECK(Database::restore(folder.at("nothing"), folder.at("x")).code() == StatusCode::not_found);
  CHECK_FALSE(fs::exists(folder.at("x")));
  Database restored = open_at(folder.at("restored"));
  CHECK(version_of(restored.collection("rows").value(), 59) == 1);
  put(*std::make_unique<Collection>(restored.collection("rows").value()), 0, 1, 8);

  Database copy = std::move(Database::open_read_only(folder.at("copy")).value());
  CHECK(version_of(copy.collection("rows").value(), 0) == 1);
}

TEST_CASE("recovery: read-only changes nothing on disk and refuses every write", "[recovery]") {
  const TemporaryFolder folder;
  {
    Database database = open_at(folder.at("db"));
    Collection rows = make_collection(database, "rows");
    put(rows, 0, 10, 1);
    crash_image(folder, "crashed");
  }
  const auto listing = [&] {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder.at("crashed"))) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with("LOG") || name == "LOCK") continue;  // RocksDB's own diary
      names.push_back(name + " " + std::to_string(entry.is_directory() ? 0 : entry.file_size()));
    }
    std::sort(names.begin(), names.end());
    return names;
  };
  const std::vector<std::string> before = listing();
  {
    Result<Database> opened = Database::open_read_only(folder.at("crashed"));
    INFO(opened.status().to_string());
    REQUIRE(opened.ok());
    CHECK(opened->stats().read_only);
    Collection rows = opened->collection("rows").value();
    CHECK(rows.count().value() == 10);
    CodedBatch batch;
    batch.add(99, 1);
    const auto refused = StatusCode::failed_precondition;
    CHECK(rows.upsert(batch.inputs()).status().code() == refused);
    CHECK(rows.erase(RowId(1)).status().code() == refused);
    CHECK(rows.erase_where(".group == 1").status().code() == refused);
    CHECK(opened->create_collection("new", coded_collection()).status().code() == refused);
    CHECK(opened->drop_collection("rows").code() == refused);
    CHECK(rows.count().value() == 10);
  }
  CHECK(listing() == before);
}

TEST_CASE("recovery: a folder is open for writing once", "[recovery]") {
  const TemporaryFolder folder;
  Database database = open_at(folder.at("db"));
  CHECK(Database::open(folder.at("db")).status().code() == StatusCode::failed_precondition);
  REQUIRE(database.close().ok());
  REQUIRE(database.close().ok());
  open_at(folder.at("db"));
}

TEST_CASE("recovery: opening what is not there, or is not a database, is a typed error",
          "[recovery]") {
  const TemporaryFolder folder;
  DatabaseOptions options;
  options.create_if_missing = false;
  CHECK(Database::open(folder.at("none"), options).status().code() == StatusCode::not_found);
  CHECK_FALSE(fs::exists(folder.at("none")));
  CHECK(Database::open_read_only(folder.at("none")).status().code() == StatusCode::not_found);
  CHECK_FALSE(fs::exists(folder.at("none")));
  std::ofstream(folder.at("file")) << "not a folder";
  CHECK_FALSE(Database::open(folder.at("file")).ok());
  CHECK_FALSE(Database::open("").ok());
}

TEST_CASE("recovery: calls after close return unavailable, and handles outlive the database",
          "[recovery]") {
  const TemporaryFolder folder;
  std::optional<Database> database = open_at(folder.at("db"));
  Collection rows = make_collection(*database, "rows");
  put(rows, 0, 20, 1);
  Cursor cursor = std::move(rows.scan().value());
  REQUIRE(cursor.next(5).value().size() == 5);
  REQUIRE(database->close().ok());
  const std::vector<float> query = coded_vector(1, 1);
  CHECK(rows.search(Query(query)).status().code() == StatusCode::unavailable);
  CHECK(rows.get(RowId(1)).status().code() == StatusCode::unavailable);
  CHECK(rows.erase(RowId(1)).status().code() == StatusCode::unavailable);
  CHECK(database->create_collection("x", coded_collection()).status().code() ==
        StatusCode::unavailable);
  database.reset();
  CHECK(rows.count().status().code() == StatusCode::unavailable);
  CHECK(cursor.next(100).value().size() == 15);
}
