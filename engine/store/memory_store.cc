// The store of a database without files: it keeps counts, and the rows nowhere but in the row sets.
// Takes the place of rocks_store when nothing is to be kept. One thread applies; others may ask.
// Always holds: the same batches are refused as on disk, so that code tested here holds there.
#include <map>
#include <mutex>

#include "engine/store/open_store.h"
#include "engine/store/rocks_guard.h"

namespace vecserve::engine {
namespace {

class MemoryStore final : public Store {
 public:
  [[nodiscard]] bool keeps_rows() const override { return false; }

  [[nodiscard]] Result<std::uint64_t> load(const LoadSink& /*sink*/,
                                           std::uint32_t /*threads*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (loaded_) return Status(StatusCode::failed_precondition, "load() was called before");
    loaded_ = true;
    return sequence_;
  }

  [[nodiscard]] std::uint32_t next_collection_id() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return next_collection_;
  }

  [[nodiscard]] Status apply(const StoreBatch& batch, Durability /*durability*/) override {
    return guarded([&]() -> Status {
      const std::lock_guard<std::mutex> lock(mutex_);
      VECSERVE_TRY(usable());
      if (batch.sequence <= sequence_) {
        return {StatusCode::internal, "a batch of sequence " + std::to_string(batch.sequence) +
                                          " after " + std::to_string(sequence_)};
      }
      std::map<std::uint32_t, std::uint64_t> rows = rows_;
      std::uint32_t next = next_collection_;
      VECSERVE_TRY(change(batch, rows, next));
      rows_.swap(rows);
      next_collection_ = next;
      sequence_ = batch.sequence;
      return {};
    });
  }

  [[nodiscard]] Status sync() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return usable();
  }

  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string& /*path*/) override {
    return Status(StatusCode::failed_precondition, "a database in memory has no files to copy");
  }

  [[nodiscard]] Result<VerifyReport> verify(const LoadSink& /*sink*/) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    Status status = usable();
    if (!status.ok()) return status;
    VerifyReport report;
    report.collections = rows_.size();
    for (const auto& [id, rows] : rows_) report.rows += rows;
    return report;
  }

  [[nodiscard]] StoreStats stats() const override { return {}; }

  [[nodiscard]] Status close() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    return {};
  }

 private:
  Status usable() const {
    if (!loaded_) return {StatusCode::failed_precondition, "the store is not loaded yet"};
    if (closed_) return {StatusCode::unavailable, "the database is closed"};
    return {};
  }

  static Status unknown(std::uint32_t collection) {
    return Status::invalid_argument("collection",
                                    "there is no collection " + std::to_string(collection));
  }

  static Status change(const StoreBatch& batch, std::map<std::uint32_t, std::uint64_t>& rows,
                       std::uint32_t& next) {
    for (const StoredCollection& collection : batch.create_collections) {
      if (collection.id < next || collection.id == UINT32_MAX) {
        return Status::invalid_argument("collection",
                                        "id " + std::to_string(collection.id) + " was used before");
      }
      rows[collection.id] = collection.counters.live_rows;
      next = collection.id + 1;
    }
    for (const StoreBatch::Counters& counters : batch.counters) {
      const auto found = rows.find(counters.collection);
      if (found == rows.end()) return unknown(counters.collection);
      found->second = counters.counters.live_rows;
    }
    for (const std::uint32_t collection : batch.drop_collections) {
      if (rows.erase(collection) == 0) return unknown(collection);
    }
    return {};
  }

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::map<std::uint32_t, std::uint64_t> rows_;  // collection -> live rows
  std::uint32_t next_collection_ = 0;
  std::uint64_t sequence_ = 0;
  bool loaded_ = false;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<Store> make_memory_store() {
  return std::make_unique<MemoryStore>();
}

}  // namespace vecserve::engine
