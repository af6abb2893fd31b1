// The store on disk: opening, creating, locking and closing, beyond the contract of the
// conformance suite. One thread.
// Always holds: what a test refuses to open, it leaves as it was.
#include "engine/store/rocks_store.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/store/fault_fs.h"
#include "tests/support/store/store_opening.h"

namespace vecserve::engine {
namespace {

namespace fs = std::filesystem;

TEST_CASE("rocks_store: absent, empty and foreign folders", "[rocks_store]") {
  const TempFolder folder;
  StoreOptions options = store_at(folder);
  options.create_if_missing = false;
  CHECK(try_open(options).code() == StatusCode::not_found);
  fs::create_directory(options.path);
  CHECK(try_open(options).code() == StatusCode::not_found);
  options.create_if_missing = true;
  options.read_only = true;
  CHECK(try_open(options).code() == StatusCode::not_found);
  options.read_only = false;
  fs::create_directory(fs::path(options.path) / "lost+found");
  options.path += "/";
  CHECK(try_open(options).ok());

  options.path = folder.path("no/where");
  CHECK(try_open(options).code() == StatusCode::not_found);
  options.path = folder.path("file");
  set_file_bytes(options.path, "x");
  CHECK(try_open(options).code() == StatusCode::invalid_argument);
  CHECK(try_open(options).field() == "path");
  options.path = "";
  CHECK(try_open(options).code() == StatusCode::invalid_argument);
  fs::create_directory(folder.path("foreign"));
  set_file_bytes(folder.path("foreign/notes.txt"), "mine");
  options.path = folder.path("foreign");
  CHECK(try_open(options).code() == StatusCode::data_loss);
  CHECK(file_bytes(folder.path("foreign/notes.txt")) == "mine");
}

TEST_CASE("rocks_store: one may write, or many may read", "[rocks_store]") {
  const TempFolder folder;
  std::unique_ptr<Store> writer;
  REQUIRE(reopen(writer, store_at(folder)).ok());
  StoreOptions reading = store_at(folder);
  reading.read_only = true;
  CHECK(try_open(store_at(folder)).code() == StatusCode::failed_precondition);
  CHECK(try_open(reading).code() == StatusCode::failed_precondition);
  REQUIRE(writer->close().ok());
  std::unique_ptr<Store> first;
  std::unique_ptr<Store> second;
  REQUIRE(reopen(first, reading).ok());
  REQUIRE(reopen(second, reading).ok());
  CHECK(try_open(store_at(folder)).code() == StatusCode::failed_precondition);
  StoreBatch batch;
  batch.sequence = 1;
  CHECK(first->apply(batch, Durability::sync).code() == StatusCode::failed_precondition);
  CHECK(first->verify({}).ok());
  first.reset();
  second.reset();
  CHECK(try_open(store_at(folder)).ok());
}

TEST_CASE("rocks_store: a reader changes no file", "[rocks_store]") {
  const TempFolder folder;
  std::unique_ptr<Store> store;
  REQUIRE(reopen(store, store_at(folder)).ok());
  StoreModel model;
  model.create(0, "a");
  model.put(0, 1);
  REQUIRE(model.apply(*store).ok());
  REQUIRE(store->close().ok());
  const auto contents = [&] {
    std::map<std::string, std::string> files;
    for (const auto& file : files_like(folder.path(), "", "")) files[file] = file_bytes(file);
    return files;
  };
  const auto before = contents();
  StoreOptions reading = store_at(folder);
  reading.read_only = true;
  auto state = reopen(store, reading);
  REQUIRE(state.ok());
  CHECK(difference(model.acked(), *state) == "");
  store.reset();
  CHECK(contents() == before);
}

TEST_CASE("rocks_store: a newer format is refused with both versions in the text",
          "[rocks_store]") {
  const TempFolder folder;
  REQUIRE(try_open(store_at(folder)).ok());
  // A watermark of version 2: commit 5, RocksDB sequence 6, and its right checksum.
  std::string newer = encode_watermark({5, 6, false, Durability::sync});
  newer[8] = 2;
  newer.replace(56, 8, "\x9e\x46\x4a\x0a\xa6\xc7\x8a\x66");
  set_file_bytes(folder.path("db/WATERMARK"), newer);
  const Status status = try_open(store_at(folder));
  CHECK(status.code() == StatusCode::failed_precondition);
  CHECK(status.message().find("written in format 2 by a newer version") != std::string::npos);
  CHECK(status.message().find("up to 1") != std::string::npos);
  CHECK(file_bytes(folder.path("db/WATERMARK")) == newer);
}

TEST_CASE("rocks_store: a creation that a crash cut short is begun again", "[rocks_store]") {
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth);
    const TempFolder folder;
    FaultEnv env(FaultFileSystem::PowerLoss::on);
    StoreOptions options = store_at(folder);
    options.rocksdb_env = env.env.get();
    Fault fault;
    fault.kinds = fault::kWrites | fault::kRemove;
    fault.nth = nth;
    fault.sticky = true;
    env.fs->arm(fault);
    std::unique_ptr<Store> store;
    const Status status = reopen(store, options).status();
    const bool fired = env.fs->failed() > 0;
    env.fs->cut_power();
    store.reset();
    env.fs->lose_power();
    auto again = reopen(store, options);
    INFO(again.status().to_string());
    REQUIRE(again.ok());
    CHECK(again->collections.empty());
    StoreModel model;
    model.create(0, "a");
    REQUIRE(model.apply(*store).ok());
    env.fs->cut_power();
    store.reset();
    env.fs->lose_power();
    CHECK(difference(model.acked(), *reopen(store, options)) == "");
    if (!fired) {
      CHECK(status.ok());
      break;
    }
  }
}

TEST_CASE("rocks_store: stats count files and bytes", "[rocks_store]") {
  const TempFolder folder;
  std::unique_ptr<Store> store;
  REQUIRE(reopen(store, store_at(folder)).ok());
  StoreModel model;
  model.create(0, "a");
  for (int id = 0; id < 100; ++id) model.put(0, id, std::string(1'000, 'x'));
  REQUIRE(model.apply(*store).ok());
  const StoreStats stats = store->stats();
  CHECK(stats.disk_bytes > 100'000);
  CHECK(stats.files > 5);
  CHECK(stats.memory_bytes > 100'000);
}

TEST_CASE("rocks_store: the rows of a dropped collection go, also when a crash came between",
          "[rocks_store]") {
  const TempFolder folder;
  StoreOptions options = store_at(folder);
  std::unique_ptr<Store> store;
  REQUIRE(reopen(store, options).ok());
  StoreModel model;
  model.create(0, "gone");
  model.create(1, "kept");
  for (int id = 0; id < 10'000; ++id) model.put(0, id);
  model.put(1, 1);
  REQUIRE(model.apply(*store).ok());
  model.drop(0);
  REQUIRE(model.apply(*store).ok());
  for (int round = 0; round < 3; ++round) {
    CAPTURE(round);
    REQUIRE(static_cast<RocksStore&>(*store).wait_for_removals().ok());
    auto state = reopen(store, options);
    REQUIRE(state.ok());
    CHECK(difference(model.acked(), *state) == "");
  }
  store.reset();
  RocksSettings settings;
  settings.env = rocksdb::Env::Default();
  auto rocks = RocksDb::open_read_only(options.path, settings);
  REQUIRE(rocks.ok());
  const std::unique_ptr<rocksdb::Iterator> it(rocks->db().NewIterator({}, rocks->rows()));
  it->SeekToFirst();
  REQUIRE(it->Valid());
  CHECK(it->key().ToString().substr(0, 4) == std::string("\0\0\0\1", 4));
}

}  // namespace
}  // namespace vecserve::engine
