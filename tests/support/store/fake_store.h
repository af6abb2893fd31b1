// A store that a test can look into and make fail: keeps rows in a map, refuses the n-th apply with
// any status, holds an apply until it is let go, and hands back every batch it took. Used by the
// engine's unit tests where RocksDB would hide what happens. Any thread may call the test's side.
// Always holds: an apply that fails has changed nothing; contents outlive the store, so that a
// second one opened over them is a restart.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "engine/store/store.h"

namespace vecserve::test {

// The caches that are "on disk": what a writer has finished. Any thread.
struct FakeCaches {
  std::mutex mutex;
  // Guarded by mutex.
  std::map<std::uint32_t, std::string> bytes;
  int finished = 0;
  int refuse_after = -1;  // appends that still work; below zero: all
};

// What is "on disk".
struct FakeContents {
  std::shared_ptr<FakeCaches> caches = std::make_shared<FakeCaches>();
  std::map<std::uint32_t, engine::StoredCollection> collections;
  std::map<std::uint32_t, std::map<std::uint64_t, std::string>> rows;  // by slot: the record
  std::deque<std::pair<RequestId, engine::RequestOutcome>> requests;   // oldest first
  std::uint32_t next_collection = 0;
  std::uint64_t sequence = 0;
};

// One batch as it came to apply(), in memory of its own.
struct AppliedBatch {
  std::uint64_t sequence = 0;
  Durability durability = Durability::sync;
  std::vector<std::uint64_t> put_slots;
  std::vector<std::uint64_t> erased_slots;
  std::vector<engine::CollectionCounters> counters;
  std::vector<RequestId> requests;
};

class FakeStore final : public engine::Store {
 public:
  explicit FakeStore(std::shared_ptr<FakeContents> contents, std::uint32_t parts = 1);

  // -- The test's side --------------------------------------------------------------------------

  // Of the applies from now on, number `nth` (0: the next) fails.
  void fail_apply(int nth, Status why);
  // From now on an apply waits inside the store until let_go().
  void hold();
  void wait_until_held();  // returns when an apply is waiting
  void let_go();
  [[nodiscard]] std::vector<AppliedBatch> applied() const;  // those that succeeded
  [[nodiscard]] int closes() const { return closes_; }

  // -- engine::Store ----------------------------------------------------------------------------

  [[nodiscard]] bool keeps_rows() const override { return true; }
  [[nodiscard]] Result<std::uint64_t> load(const engine::LoadSink& sink,
                                           std::uint32_t threads) override;
  [[nodiscard]] std::uint32_t next_collection_id() const override;
  [[nodiscard]] Status apply(const engine::StoreBatch& batch, Durability durability) override;
  [[nodiscard]] Status sync() override { return {}; }
  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string& path) override;
  [[nodiscard]] Result<VerifyReport> verify(const engine::LoadSink& sink) override;
  [[nodiscard]] engine::StoreStats stats() const override { return {}; }
  [[nodiscard]] Result<std::unique_ptr<engine::CacheWriter>> write_cache(
      std::uint32_t collection) override;
  [[nodiscard]] Result<std::unique_ptr<engine::CacheReader>> read_cache(
      std::uint32_t collection) override;
  [[nodiscard]] Status remove_cache(std::uint32_t collection) override;
  [[nodiscard]] Status close() override;

 private:
  [[nodiscard]] Status take(const engine::StoreBatch& batch, Durability durability);
  [[nodiscard]] Status deliver(const engine::LoadSink& sink, std::uint64_t& rows) const;
  [[nodiscard]] Status deliver_rows(const engine::LoadSink& sink,
                                    const engine::StoredCollection& collection,
                                    std::uint64_t& rows) const;

  const std::shared_ptr<FakeContents> contents_;
  const std::shared_ptr<FakeCaches> caches_ = contents_->caches;  // contents_ changes with writes
  const std::uint32_t parts_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::vector<AppliedBatch> applied_;
  Status failure_;
  int applies_until_failure_ = -1;
  bool holding_ = false;
  bool held_ = false;
  int closes_ = 0;
};

}  // namespace vecserve::test
