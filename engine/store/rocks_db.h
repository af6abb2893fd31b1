// One open RocksDB with our two families and our settings, closed when it goes. Used by rocks_store
// for its own folder and by checkpoint for copies. Opening and closing belong to one thread; the
// members may be used by any.
// Always holds: settings that could lose or reorder synced writes unseen (recycled logs, compressed
// logs, deferred log flushes, range deletes) stay off; a read-only RocksDb changes no file.
#pragma once

#include <rocksdb/db.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

struct RocksSettings {
  rocksdb::Env* env = nullptr;  // never null
  std::size_t write_buffer_bytes = std::size_t{16} << 20;
  // What was promised for the writes in the logs decides how their end is read: after synced writes
  // only an unfinished last record may be cut off and any other damage refuses to open; after
  // unsynced ones a power loss may have damaged any part of the tail, and the intact part before
  // the damage is kept.
  Durability logs = Durability::sync;
  bool create = false;
  std::vector<std::shared_ptr<rocksdb::EventListener>> listeners;
};

class RocksDb {
 public:
  RocksDb() = default;
  RocksDb(RocksDb&& other) noexcept { *this = std::move(other); }
  RocksDb& operator=(RocksDb&& other) noexcept;
  ~RocksDb();

  [[nodiscard]] static Result<RocksDb> open(const std::string& path, const RocksSettings& settings);
  [[nodiscard]] static Result<RocksDb> open_read_only(const std::string& path,
                                                      const RocksSettings& settings);
  // Closes RocksDB and gives its threads and files back. Idempotent.
  [[nodiscard]] Status close();

  [[nodiscard]] bool is_open() const { return db_ != nullptr; }
  [[nodiscard]] rocksdb::DB& db() const { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* meta() const { return handles_[0]; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* rows() const { return handles_[1]; }
  // Held around each write, so that no client's batch is written by the removal of rows or waits
  // for more than one of its chunks; RocksDB would join the two.
  [[nodiscard]] std::mutex& write_turn() const { return *write_turn_; }

 private:
  std::unique_ptr<std::mutex> write_turn_ = std::make_unique<std::mutex>();
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> handles_;  // meta, rows
};

}  // namespace vecserve::engine
