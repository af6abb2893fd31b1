// Opening and closing RocksDB with our settings, and that reading writes nothing. Below recovery
// and rocks_store. One thread.
// Always holds: a setting that could lose synced writes fails here when it is switched on.
#include "engine/store/rocks_db.h"

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

RocksSettings settings(bool create) {
  RocksSettings settings;
  settings.env = rocksdb::Env::Default();
  settings.create = create;
  return settings;
}

TEST_CASE("rocks_db: settings that could lose synced writes are off", "[rocks_db]") {
  const TempFolder folder;
  for (const Durability logs : {Durability::sync, Durability::process}) {
    RocksSettings wanted = settings(true);
    wanted.logs = logs;
    auto rocks = RocksDb::open(folder.path(), wanted);
    REQUIRE(rocks.ok());
    const rocksdb::DBOptions options = rocks->db().GetDBOptions();
    CHECK(options.recycle_log_file_num == 0);
    CHECK(options.wal_compression == rocksdb::kNoCompression);
    CHECK_FALSE(options.manual_wal_flush);
    CHECK(options.paranoid_checks);
    CHECK(options.wal_recovery_mode ==
          (logs == Durability::sync ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                                    : rocksdb::WALRecoveryMode::kPointInTimeRecovery));
    CHECK(rocks->rows()->GetName() == "rows");
    CHECK(rocks->close().ok());
    CHECK(rocks->close().ok());
    CHECK_FALSE(rocks->is_open());
  }
}

TEST_CASE("rocks_db: nothing is created unasked, and that is data loss", "[rocks_db]") {
  const TempFolder folder;
  CHECK(RocksDb::open(folder.path(), settings(false)).status().code() == StatusCode::data_loss);
  CHECK(RocksDb::open_read_only(folder.path(), settings(false)).status().code() ==
        StatusCode::data_loss);
}

TEST_CASE("rocks_db: reading changes no file", "[rocks_db]") {
  const TempFolder folder;
  {
    auto rocks = RocksDb::open(folder.path(), settings(true));
    REQUIRE(rocks.ok());
    REQUIRE(rocks->db().Put({}, rocks->rows(), "k", "v").ok());
  }
  std::map<std::string, std::string> before;
  std::map<std::string, std::string> after;
  for (const auto& file : files_like(folder.path(), "", "")) before[file] = file_bytes(file);
  {
    auto rocks = RocksDb::open_read_only(folder.path(), settings(false));
    REQUIRE(rocks.ok());
    std::string value;
    CHECK(rocks->db().Get({}, rocks->rows(), "k", &value).ok());
    CHECK(value == "v");
    CHECK_FALSE(rocks->db().Put({}, rocks->rows(), "k", "w").ok());
  }
  for (const auto& file : files_like(folder.path(), "", "")) after[file] = file_bytes(file);
  CHECK(before == after);
}

}  // namespace
}  // namespace vecserve::engine
