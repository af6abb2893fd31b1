// Damage to the files of a database: each is found and refused before anything is opened for
// writing, so that putting the right bytes back makes everything right again. One thread.
// Always holds: a refused database has the same files with the same bytes as before.
#include "engine/store/recovery.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <functional>

#include "engine/store/record.h"
#include "tests/support/store/fault_fs.h"
#include "tests/support/store/store_opening.h"

namespace vecserve::engine {
namespace {

namespace fs = std::filesystem;

// A database killed after some synced batches: its last writes are in the log alone, the earlier
// ones in table files. No clean watermark covers the end.
class Killed {
 public:
  explicit Killed(bool flushed = true) {
    FaultEnv env;
    StoreOptions options = store_at(folder_, "live");
    options.rocksdb_env = env.env.get();
    options.clock = &clock_;
    options.write_buffer_bytes = std::size_t{64} << 10;
    std::unique_ptr<Store> store;
    REQUIRE(reopen(store, options).ok());
    model_.create(0, "a");
    model_.create(1, "b");
    // Few enough that nothing is at work in the background when the power goes.
    const int batches = flushed ? 12 : 6;
    for (int batch = 0; batch < batches; ++batch) write(*store, batch);
    if (flushed) {
      REQUIRE(store->checkpoint(folder_.path("copy")).ok());  // writes the memtables out
      for (int batch = 0; batch < 2; ++batch) write(*store, batches + batch);
    }
    env.fs->cut_power();  // nothing changes from here on: the files are as a kill leaves them
    fs::copy(options.path, path());
  }

  [[nodiscard]] std::string path() const { return folder_.path("db"); }
  [[nodiscard]] StoreOptions options() const { return store_at(folder_); }
  [[nodiscard]] const ModelState& acked() const { return model_.acked(); }
  [[nodiscard]] fs::path last_log() const { return files_like(path(), "", ".log").back(); }

  void check_whole() const {
    std::unique_ptr<Store> store;
    auto state = reopen(store, options());
    INFO(state.status().to_string());
    REQUIRE(state.ok());
    CHECK(difference(acked(), *state) == "");
  }

  // Changes a file, wants data_loss from a reader and a writer, puts it back.
  void check_refused(const fs::path& file, const std::function<void(std::string&)>& damage) const {
    CAPTURE(file.filename().string());
    const std::string bytes = file_bytes(file);
    std::string damaged = bytes;
    damage(damaged);
    REQUIRE(damaged != bytes);
    set_file_bytes(file, damaged);
    const std::size_t files = files_like(path(), "", ".sst").size();
    for (const bool read_only : {true, false}) {
      StoreOptions how = options();
      how.read_only = read_only;
      const Status status = try_open(how);
      INFO(status.to_string());
      CHECK(status.code() == StatusCode::data_loss);
    }
    CHECK(files_like(path(), "", ".sst").size() == files);
    CHECK(file_bytes(file) == damaged);
    set_file_bytes(file, bytes);
  }

 private:
  void write(Store& store, int batch) {
    for (int i = 0; i < 10; ++i) model_.put(0, batch * 10 + i, std::string(900, 'p'));
    model_.put(1, batch % 5);
    model_.request({1, static_cast<std::uint64_t>(batch)});
    clock_.advance(std::chrono::milliseconds(batch == 3 ? 2'000 : 0));
    REQUIRE(model_.apply(store).ok());
  }

  TempFolder folder_;
  ManualClock clock_;
  StoreModel model_;
};

void flip(std::string& bytes, std::size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
}

TEST_CASE("recovery: a killed database comes back whole", "[recovery]") {
  for (const bool flushed : {false, true}) {
    const Killed killed(flushed);
    CHECK(files_like(killed.path(), "", ".sst").empty() == !flushed);
    killed.check_whole();
    killed.check_whole();
  }
}

TEST_CASE("recovery: a flipped byte in the middle of the log is refused", "[recovery]") {
  const Killed killed(false);
  const fs::path log = killed.last_log();
  const std::size_t size = file_bytes(log).size();
  for (std::size_t part = 1; part < 8; ++part) {
    killed.check_refused(log, [&](std::string& bytes) { flip(bytes, size * part / 8); });
  }
  killed.check_whole();
}

TEST_CASE("recovery: a log cut off below the watermark, emptied or deleted is refused",
          "[recovery]") {
  const Killed killed(false);
  const fs::path log = killed.last_log();
  killed.check_refused(log, [](std::string& bytes) { bytes.clear(); });
  killed.check_refused(log, [](std::string& bytes) { bytes.resize(bytes.size() / 4); });
  const std::string bytes = file_bytes(log);
  fs::remove(log);
  CHECK(try_open(killed.options()).code() == StatusCode::data_loss);
  set_file_bytes(log, bytes);
  killed.check_whole();
}

TEST_CASE("recovery: an unfinished last record is what a crash leaves, and is cut off",
          "[recovery]") {
  const Killed killed(false);
  const fs::path log = killed.last_log();
  std::string bytes = file_bytes(log);
  // Behind the acknowledged writes: the first half of one that was never acknowledged.
  const std::string record = bytes.substr(bytes.size() - 3'000);
  bytes += std::string("\x11\x22\x33\x44\x00\x40\x01", 7) + record;
  set_file_bytes(log, bytes);
  killed.check_whole();
}

TEST_CASE("recovery: a cut off or emptied manifest is refused", "[recovery]") {
  const Killed killed;
  REQUIRE(files_like(killed.path(), "", ".sst").size() > 2);
  const fs::path manifest = files_like(killed.path(), "MANIFEST-", "").back();
  const std::size_t size = file_bytes(manifest).size();
  for (std::size_t cut = 1; cut < 12; ++cut) {
    killed.check_refused(manifest, [&](std::string& bytes) { bytes.resize(size * cut / 12); });
  }
  killed.check_refused(manifest, [](std::string& bytes) { bytes.clear(); });
  killed.check_refused(manifest, [&](std::string& bytes) { flip(bytes, size / 2); });
  killed.check_whole();
}

TEST_CASE("recovery: a table file that is flipped, cut off or gone is refused", "[recovery]") {
  const Killed killed;
  for (const fs::path& table : files_like(killed.path(), "", ".sst")) {
    const std::size_t size = file_bytes(table).size();
    killed.check_refused(table, [&](std::string& bytes) { flip(bytes, size / 3); });
    killed.check_refused(table, [&](std::string& bytes) { bytes.resize(size - 1); });
    killed.check_refused(table, [](std::string& bytes) { bytes.clear(); });
    const std::string bytes = file_bytes(table);
    fs::remove(table);
    CHECK(try_open(killed.options()).code() == StatusCode::data_loss);
    set_file_bytes(table, bytes);
  }
  killed.check_whole();
}

TEST_CASE("recovery: damaged or missing small files are refused or do no harm", "[recovery]") {
  const Killed killed;
  for (const char* name : {"CURRENT", "WATERMARK"}) {
    const fs::path file = fs::path(killed.path()) / name;
    killed.check_refused(file, [](std::string& bytes) { bytes.clear(); });
    killed.check_refused(file, [](std::string& bytes) { flip(bytes, bytes.size() / 2); });
    const std::string bytes = file_bytes(file);
    fs::remove(file);
    CHECK(try_open(killed.options()).code() == StatusCode::data_loss);
    set_file_bytes(file, bytes);
  }
  for (const char* name : {"IDENTITY", "LOCK", "LOG"}) {
    fs::remove(fs::path(killed.path()) / name);
    killed.check_whole();
  }
  for (const char* name : {"notes.txt", "WATERMARK.tmp", "999999.dbtmp", "core.17"}) {
    set_file_bytes(fs::path(killed.path()) / name, "stray");
    killed.check_whole();
  }
}

TEST_CASE("recovery: a disk that cannot be read is an I/O error, not lost data", "[recovery]") {
  const Killed killed;
  std::uint64_t failures = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth);
    FaultEnv env;
    StoreOptions options = killed.options();
    options.rocksdb_env = env.env.get();
    options.read_only = true;
    Fault fault;
    fault.kinds = fault::kRead;
    fault.nth = nth;
    fault.name_contains = ".sst";
    env.fs->arm(fault);
    const Status status = try_open(options);
    if (env.fs->failed() == 0) {
      CHECK(status.ok());
      break;
    }
    INFO(status.to_string());
    // RocksDB tries again here and there; where it cannot, the code must say what to do.
    CHECK((status.ok() || status.code() == StatusCode::io_error));
    if (!status.ok()) ++failures;
  }
  CHECK(failures > 3);
}

// Writes behind the store's back, as a defect of RocksDB or a tool would.
void tamper(const std::string& path, const std::function<void(const RocksDb&)>& change) {
  RocksSettings settings;
  settings.env = rocksdb::Env::Default();
  auto rocks = RocksDb::open(path, settings);
  REQUIRE(rocks.ok());
  change(*rocks);
  REQUIRE(rocks->close().ok());
}

TEST_CASE("recovery: single keys that are missing, changed or too many are found", "[recovery]") {
  struct Case {
    std::string what;
    std::function<void(const RocksDb&)> change;
  };
  const auto erase_row = [](std::uint32_t collection, std::uint64_t slot) {
    return [=](const RocksDb& rocks) {
      REQUIRE(rocks.db().Delete({}, rocks.rows(), row_key(collection, slot)).ok());
    };
  };
  const auto copy_row = [](const std::string& from, const std::string& to) {
    return [=](const RocksDb& rocks) {
      std::string value;
      REQUIRE(rocks.db().Get({}, rocks.rows(), from, &value).ok());
      REQUIRE(rocks.db().Put({}, rocks.rows(), to, value).ok());
    };
  };
  const auto erase_meta = [](const std::string& key) {
    return [=](const RocksDb& rocks) { REQUIRE(rocks.db().Delete({}, rocks.meta(), key).ok()); };
  };
  const std::vector<Case> cases = {
      {"a lost row", erase_row(0, 3)},
      {"a row that came back", copy_row(row_key(1, 5), row_key(1, 0))},
      {"a row beyond the last slot", copy_row(row_key(0, 0), row_key(0, 1'000))},
      {"a row of no collection", copy_row(row_key(0, 0), row_key(2, 0))},
      {"a row below all collections' ends", copy_row(row_key(0, 0), row_key(UINT32_MAX, 0))},
      {"a long key", copy_row(row_key(0, 0), row_key(0, 0) + "x")},
      {"a short key", copy_row(row_key(0, 0), row_key(0, 0).substr(0, 7))},
      {"a lost collection", erase_meta(meta_key(MetaTag::collection, 1))},
      {"lost counters", erase_meta(meta_key(MetaTag::counters, 1))},
      {"a lost state", erase_meta(meta_key(MetaTag::state))},
      {"a lost format", erase_meta(meta_key(MetaTag::format))},
      {"a lost request", erase_meta(request_key(2))},
      {"an unknown key",
       [](const RocksDb& rocks) { REQUIRE(rocks.db().Put({}, rocks.meta(), "zzzzz", "").ok()); }},
  };
  for (const Case& one : cases) {
    INFO(one.what);
    const Killed killed(false);
    tamper(killed.path(), one.change);
    const Status status = try_open(killed.options());
    INFO(status.to_string());
    CHECK(status.code() == StatusCode::data_loss);
  }
}

TEST_CASE("recovery: a commit missing from the middle shows in another collection's commit",
          "[recovery]") {
  // Both collections agree with their own counters; only the state knows that one of them is old.
  const Killed killed(false);
  tamper(killed.path(), [](const RocksDb& rocks) {
    const std::string key = meta_key(MetaTag::counters, 1);
    std::string value;
    REQUIRE(rocks.db().Get({}, rocks.meta(), key, &value).ok());
    auto counters = decode_counters(key, value);
    REQUIRE(counters.ok());
    REQUIRE(counters->next_slot == 6);
    // As before the last batch, which put slot 5 and erased slot 0 (both rows of id 0).
    std::string record;
    REQUIRE(rocks.db().Get({}, rocks.rows(), row_key(1, 5), &record).ok());
    REQUIRE(rocks.db().Put({}, rocks.rows(), row_key(1, 0), record).ok());
    REQUIRE(rocks.db().Delete({}, rocks.rows(), row_key(1, 5)).ok());
    counters->next_slot = 5;
    counters->live_hash -= row_hash(1, 5, IdView(0)) - row_hash(1, 0, IdView(0));
    encode_counters(key, *counters, value);
    REQUIRE(rocks.db().Put({}, rocks.meta(), key, value).ok());
  });
  const Status status = try_open(killed.options());
  INFO(status.to_string());
  CHECK(status.code() == StatusCode::data_loss);
  CHECK(status.message().find("commits are missing") != std::string::npos);
}

TEST_CASE("recovery: the watermark is a lower bound, and exact after a clean end", "[recovery]") {
  RecoveredStore found;
  found.state.sequence = 10;
  found.rocksdb_sequence = 50;
  CHECK(check_watermark({10, 50, false, Durability::sync}, found).ok());
  CHECK(check_watermark({9, 49, false, Durability::sync}, found).ok());
  CHECK(check_watermark({10, 50, true, Durability::sync}, found).ok());
  CHECK(check_watermark({11, 50, false, Durability::sync}, found).code() == StatusCode::data_loss);
  CHECK(check_watermark({10, 51, false, Durability::sync}, found).code() == StatusCode::data_loss);
  CHECK(check_watermark({9, 50, true, Durability::sync}, found).code() == StatusCode::data_loss);
  CHECK(check_watermark({10, 49, true, Durability::sync}, found).code() == StatusCode::data_loss);
}

}  // namespace
}  // namespace vecserve::engine
