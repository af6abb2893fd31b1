// Our settings of RocksDB, and opening and closing it; see rocks_db.h. One thread opens and closes.
// Always holds: memory is bounded by (memtables of rows + those of meta + block cache + open
// files).
#include "engine/store/rocks_db.h"

#include <rocksdb/cache.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <utility>

#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

constexpr char kRowsFamily[] = "rows";
constexpr int kRowsMemtables = 3;  // one being filled, one being written out, one of slack
constexpr std::size_t kMetaMemtableBytes = std::size_t{2} << 20;
constexpr std::size_t kBlockCacheBytes = std::size_t{8} << 20;  // indexes; rows are read once only
constexpr std::size_t kRowsBlockBytes = std::size_t{64} << 10;  // rows are only read in sequence
constexpr int kOpenFilesMax = 512;

// Readers write nothing, so they have no log either.
class SilentLogger final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

rocksdb::DBOptions db_options(const RocksSettings& settings) {
  rocksdb::DBOptions options;
  options.env = settings.env;
  options.create_if_missing = settings.create;
  options.create_missing_column_families = settings.create;
  options.listeners = settings.listeners;
  options.wal_recovery_mode = settings.logs == Durability::sync
                                  ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                                  : rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  options.paranoid_checks = true;
  options.recycle_log_file_num = 0;
  options.wal_compression = rocksdb::kNoCompression;
  options.manual_wal_flush = false;
  // Its check of synced logs gives false alarms in 7.8 when a live log was synced by hand.
  options.track_and_verify_wals_in_manifest = false;
  // The meta family fills slowly; without this bound it would keep every old log alive.
  options.max_total_wal_size = settings.write_buffer_bytes * 2;
  options.max_open_files = kOpenFilesMax;
  options.max_background_jobs = 2;
  options.max_file_opening_threads = 4;
  options.skip_stats_update_on_db_open = true;
  options.bytes_per_sync = std::uint64_t{1} << 20;  // no burst of write-back when a file is done
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.info_log_level = rocksdb::InfoLogLevel::WARN_LEVEL;
  options.keep_log_file_num = 2;
  options.max_log_file_size = std::size_t{1} << 20;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  rocksdb::ColumnFamilyOptions options;
  options.compression = rocksdb::kNoCompression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = kMetaMemtableBytes;
  options.max_write_buffer_number = 2;
  return options;
}

rocksdb::ColumnFamilyOptions rows_options(const std::shared_ptr<rocksdb::Cache>& cache,
                                          std::size_t write_buffer_bytes) {
  rocksdb::ColumnFamilyOptions options = family_options(cache);
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  table.block_size = kRowsBlockBytes;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.write_buffer_size = write_buffer_bytes;
  options.max_write_buffer_number = kRowsMemtables;
  // Slots rise, so each row goes right behind the one before it: a hint per collection finds the
  // place without a search.
  options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(4));
  options.level_compaction_dynamic_level_bytes = true;  // at most about a tenth of dead rows
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> families(const RocksSettings& settings) {
  const auto cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  return {{rocksdb::kDefaultColumnFamilyName, family_options(cache)},
          {kRowsFamily, rows_options(cache, settings.write_buffer_bytes)}};
}

}  // namespace

RocksDb& RocksDb::operator=(RocksDb&& other) noexcept {
  if (this != &other) {
    static_cast<void>(close());
    db_ = std::move(other.db_);
    handles_ = std::exchange(other.handles_, {});
  }
  return *this;
}

RocksDb::~RocksDb() {
  static_cast<void>(close());
}

Result<RocksDb> RocksDb::open(const std::string& path, const RocksSettings& settings) {
  RocksDb opened;
  rocksdb::DB* db = nullptr;
  const auto status =
      rocksdb::DB::Open(db_options(settings), path, families(settings), &opened.handles_, &db);
  opened.db_.reset(db);
  if (!status.ok()) return from_rocks_reading(status, "opening " + path);
  return opened;
}

Result<RocksDb> RocksDb::open_read_only(const std::string& path, const RocksSettings& settings) {
  RocksDb opened;
  rocksdb::DB* db = nullptr;
  rocksdb::DBOptions options = db_options(settings);
  options.info_log = std::make_shared<SilentLogger>();
  options.listeners.clear();
  const auto status =
      rocksdb::DB::OpenForReadOnly(options, path, families(settings), &opened.handles_, &db);
  opened.db_.reset(db);
  if (!status.ok()) return from_rocks_reading(status, "reading " + path);
  return opened;
}

Status RocksDb::close() {
  if (db_ == nullptr) return {};
  rocksdb::Status status;
  for (rocksdb::ColumnFamilyHandle* handle : handles_) {
    const auto released = db_->DestroyColumnFamilyHandle(handle);
    if (!released.ok()) status = released;
  }
  handles_.clear();
  const auto closed = db_->Close();
  if (!closed.ok() && !closed.IsNotSupported()) status = closed;
  db_.reset();
  return from_rocks(status, "closing RocksDB");
}

}  // namespace vecserve::engine
