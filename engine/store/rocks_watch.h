// What RocksDB tells us while it works: that a log could not be written or synced, and that a
// memtable was written out. Called on RocksDB's threads and on writers'; read by rocks_store.
// Always holds: what failed once stays so; each opening of RocksDB has a watch of its own.
#pragma once

#include <rocksdb/listener.h>

#include <atomic>

#include "engine/store/rocks_store.h"

namespace vecserve::engine {

class RocksStore::Watch final : public rocksdb::EventListener {
 public:
  [[nodiscard]] bool log_sync_failed() const { return log_sync_failed_.load(); }
  // A log that once failed must not be touched again: a build of RocksDB with assertions, as
  // distributions ship it, ends the process otherwise.
  [[nodiscard]] bool log_failed() const { return log_failed_.load(); }
  // While a memtable was written out or files were merged. No write gets through after that.
  [[nodiscard]] bool disk_was_full() const { return disk_was_full_.load(); }
  // Since the last call.
  [[nodiscard]] bool take_flush_seen() { return flush_seen_.exchange(false); }

  void OnFlushCompleted(rocksdb::DB* /*db*/, const rocksdb::FlushJobInfo& /*info*/) override {
    flush_seen_.store(true);
  }
  void OnBackgroundError(rocksdb::BackgroundErrorReason /*reason*/,
                         rocksdb::Status* error) override {
    if (error->IsNoSpace()) disk_was_full_.store(true);
  }
  // Writes come back by opening anew: RocksDB's own way writes the rest of a refused batch first.
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason /*reason*/, rocksdb::Status /*error*/,
                            bool* auto_recovery) override {
    *auto_recovery = false;
  }
  bool ShouldBeNotifiedOnFileIO() override { return true; }
  void OnIOError(const rocksdb::IOErrorInfo& info) override {
    using Type = rocksdb::FileOperationType;
    const bool sync = info.operation == Type::kSync || info.operation == Type::kFsync ||
                      info.operation == Type::kRangeSync;
    if (!info.file_path.ends_with(".log")) return;
    log_failed_.store(true);
    if (sync) log_sync_failed_.store(true);
  }

 private:
  std::atomic<bool> disk_was_full_{false};
  std::atomic<bool> log_failed_{false};
  std::atomic<bool> log_sync_failed_{false};
  std::atomic<bool> flush_seen_{false};
};

}  // namespace vecserve::engine
