// The store on disk. Comes after collection, before RocksDB: turns a StoreBatch into one WriteBatch
// with everything that proves later that nothing is missing, and keeps the watermark.
// apply and load: one thread at a time; the rest may run beside them; close waits for them all.
// Always holds: the first failure that leaves the disk in doubt is kept, and every later write
// returns it; the watermark on disk never names more than what was synced before.
#pragma once

#include <rocksdb/write_batch.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include "engine/store/cache_folder.h"
#include "engine/store/folder.h"
#include "engine/store/open_store.h"
#include "engine/store/recovery.h"
#include "engine/store/row_remover.h"
#include "engine/store/tail_mark.h"

namespace vecserve::engine {

class RocksStore final : public Store {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Store>> open(const StoreOptions& options);
  ~RocksStore() override;

  [[nodiscard]] bool keeps_rows() const override { return true; }
  [[nodiscard]] Result<std::uint64_t> load(const LoadSink& sink, std::uint32_t threads) override;
  [[nodiscard]] std::uint32_t next_collection_id() const override {
    return state_.collections_next;
  }
  [[nodiscard]] Status apply(const StoreBatch& batch, Durability durability) override;
  [[nodiscard]] Status sync() override;
  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string& path) override;
  [[nodiscard]] Result<VerifyReport> verify(const LoadSink& sink) override;
  [[nodiscard]] StoreStats stats() const override;
  [[nodiscard]] Result<std::unique_ptr<CacheWriter>> write_cache(std::uint32_t collection) override;
  [[nodiscard]] Result<std::unique_ptr<CacheReader>> read_cache(std::uint32_t collection) override;
  [[nodiscard]] Status remove_cache(std::uint32_t collection) override;
  [[nodiscard]] Status close() override;

  // Until the rows of all dropped collections are gone, for tests and for measuring.
  [[nodiscard]] Status wait_for_removals();

 private:
  class Watch;
  // What a collection adds to StoreState::meta_hash.
  struct Checksums {
    std::uint64_t options = 0;
    std::uint64_t counters = 0;
  };
  using Collections = std::map<std::uint32_t, Checksums>;

  RocksStore(const StoreOptions& options, FolderLock lock);

  // Part of open.
  Status look();
  // Parts of load.
  Status create();
  Status open_existing(const LoadSink& sink, std::uint32_t threads);
  Status open_for_writing();
  Status check_state();
  Status start_removals();
  // After the disk was full.
  Status open_again();
  [[nodiscard]] Status opened() const;
  [[nodiscard]] RocksSettings settings(Durability logs) const;

  // Parts of apply: the applying thread only.
  [[nodiscard]] Status writable() const;
  Status build(const StoreBatch& batch, StoreState& next);
  Status add_creation(const StoredCollection& collection, StoreState& next);
  Status add_counters(const StoreBatch::Counters& counters, StoreState& next);
  Status add_drop(std::uint32_t collection, StoreState& next);
  Status add_requests(const StoreBatch& batch, StoreState& next);
  Status write(Durability durability);
  void adopt(const StoreBatch& batch, const StoreState& next);
  Status put(const std::string& key);  // value_ under `key`, among the meta data
  [[nodiscard]] Result<Checksums*> touch(std::uint32_t collection);

  // Watermark.
  Status advance_watermark_when_due(Durability next_write);
  Status advance_watermark(Durability durability, bool clean);
  Status sync_and_mark();
  Status sync_log();

  // Keeps the first failure; returns what callers get from now on.
  Status fail(const Status& cause);

  // Constant after open.
  const StoreOptions options_;
  rocksdb::Env* const env_;
  const std::shared_ptr<rocksdb::FileSystem> fs_;
  const SystemClock system_clock_;
  const Clock& clock_;
  const std::shared_ptr<CacheFolder> caches_;
  bool fresh_ = false;  // there is no database yet
  Watermark found_;     // as it was before load
  TailMark tail_;       // the applying thread only

  // Guarded by open_mutex_: held shared by every call, exclusively by load and close.
  mutable std::shared_mutex open_mutex_;
  FolderLock lock_;
  std::shared_ptr<Watch> watch_;
  RocksDb rocks_;
  std::unique_ptr<RowRemover> remover_;
  bool loaded_ = false;
  bool closed_ = false;

  // The applying thread only (and verify, while nothing is applied).
  StoreState state_;
  Collections collections_;
  Collections touched_;  // of the batch being built
  rocksdb::WriteBatch batch_;
  std::string value_;
  bool disk_full_ = false;

  std::atomic<bool> unsynced_{false};        // the log has writes that no sync has covered
  std::atomic<std::uint64_t> committed_{0};  // state_.sequence, for other threads

  std::mutex mark_mutex_;
  // Guarded by mark_mutex_.
  Watermark mark_;
  std::chrono::steady_clock::time_point marked_at_{};

  std::atomic<bool> failed_{false};
  mutable std::mutex failure_mutex_;
  Status failure_;  // guarded by failure_mutex_
};

}  // namespace vecserve::engine
