// What RocksDB tells us while it works: that a log could not be synced, and that a memtable was
// written out. Called on RocksDB's threads and on writers'; read by rocks_store.
// Always holds: log_sync_failed() never goes back to false.
#pragma once

#include <rocksdb/listener.h>

#include <atomic>

#include "engine/store/rocks_store.h"

namespace vecserve::engine {

class RocksStore::Watch final : public rocksdb::EventListener {
 public:
  [[nodiscard]] bool log_sync_failed() const { return log_sync_failed_.load(); }
  // Since the last call.
  [[nodiscard]] bool take_flush_seen() { return flush_seen_.exchange(false); }

  void OnFlushCompleted(rocksdb::DB* /*db*/, const rocksdb::FlushJobInfo& /*info*/) override {
    flush_seen_.store(true);
  }
  bool ShouldBeNotifiedOnFileIO() override { return true; }
  void OnIOError(const rocksdb::IOErrorInfo& info) override {
    using Type = rocksdb::FileOperationType;
    const bool sync = info.operation == Type::kSync || info.operation == Type::kFsync ||
                      info.operation == Type::kRangeSync;
    if (sync && info.file_path.ends_with(".log")) log_sync_failed_.store(true);
  }

 private:
  std::atomic<bool> log_sync_failed_{false};
  std::atomic<bool> flush_seen_{false};
};

}  // namespace vecserve::engine
