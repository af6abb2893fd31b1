// Writing: one StoreBatch becomes one RocksDB WriteBatch, with the counters, the remembered
// requests and the state that ties them together. Part of RocksStore; the applying thread only.
// Always holds: what is kept in memory changes only after RocksDB has said ok, and that step cannot
// fail.
#include <algorithm>
#include <utility>

#include "engine/store/rocks_guard.h"
#include "engine/store/rocks_status.h"
#include "engine/store/rocks_store.h"
#include "engine/store/rocks_watch.h"

namespace vecserve::engine {
namespace {

// How far the watermark may lag behind the commits, in time: what could be lost unnoticed if
// somebody cut off the end of the log behind our back.
constexpr std::chrono::seconds kMarkEvery{1};

constexpr std::size_t kBatchKeptBytes = std::size_t{8} << 20;  // kept from one batch to the next

}  // namespace

Status RocksStore::writable() const {
  if (!loaded_) return {StatusCode::failed_precondition, "the store is not loaded yet"};
  if (failed_.load()) {
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    return failure_;
  }
  if (closed_) return {StatusCode::unavailable, "the database is closed"};
  if (options_.read_only) return {StatusCode::failed_precondition, "opened read-only"};
  return {};
}

Status RocksStore::apply(const StoreBatch& batch, Durability durability) {
  return guarded([&]() -> Status {
    if (disk_full_ || (watch_ != nullptr && watch_->disk_was_full())) {
      disk_full_ = true;
      VECSERVE_TRY(open_again());
    }
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    VECSERVE_TRY(writable());
    if (batch.sequence <= state_.sequence) {
      return {StatusCode::internal, "a batch of sequence " + std::to_string(batch.sequence) +
                                        " after " + std::to_string(state_.sequence)};
    }
    if (options_.durability == Durability::sync) durability = Durability::sync;
    VECSERVE_TRY(advance_watermark_when_due(durability));
    StoreState next = state_;
    VECSERVE_TRY(build(batch, next));
    VECSERVE_TRY(write(durability));
    if (durability == Durability::sync) tail_.note(next.sequence);
    adopt(batch, next);
    return {};
  });
}

Status RocksStore::advance_watermark_when_due(Durability next_write) {
  const std::lock_guard<std::mutex> lock(mark_mutex_);
  // The file must allow for a damaged tail before the first write that may leave one.
  const bool weaker = next_write == Durability::process && mark_.durability == Durability::sync;
  const bool behind = mark_.commit_sequence < committed_.load();
  const bool due = clock_.steady_now() - marked_at_ >= kMarkEvery || watch_->take_flush_seen();
  if (!weaker && !(behind && due)) return {};
  return advance_watermark(weaker ? Durability::process : mark_.durability, false);
}

Status RocksStore::build(const StoreBatch& batch, StoreState& next) {
  touched_.clear();
  if (batch_.GetDataSize() > kBatchKeptBytes) {
    batch_ = rocksdb::WriteBatch();
  } else {
    batch_.Clear();
  }
  for (const StoreBatch::PutRow& row : batch.put_rows) {
    const std::string key = row_key(row.collection, row.slot);
    const rocksdb::Slice record(row.record.data(), row.record.size());
    VECSERVE_TRY(from_rocks(batch_.Put(rocks_.rows(), key, record), "gathering rows"));
  }
  for (const StoreBatch::EraseRow& row : batch.erase_rows) {
    const std::string key = row_key(row.collection, row.slot);
    VECSERVE_TRY(from_rocks(batch_.Delete(rocks_.rows(), key), "gathering erased rows"));
  }
  for (const StoredCollection& collection : batch.create_collections) {
    VECSERVE_TRY(add_creation(collection, next));
  }
  for (const StoreBatch::Counters& counters : batch.counters) {
    VECSERVE_TRY(add_counters(counters, next));
  }
  for (const std::uint32_t collection : batch.drop_collections) {
    VECSERVE_TRY(add_drop(collection, next));
  }
  VECSERVE_TRY(add_requests(batch, next));
  next.sequence = batch.sequence;
  const std::string key = meta_key(MetaTag::state);
  encode_state(key, next, value_);
  return put(key);
}

Status RocksStore::put(const std::string& key) {
  return from_rocks(batch_.Put(rocks_.meta(), key, value_), "gathering meta data");
}

// The checksums of a collection as of the batch being built.
Result<RocksStore::Checksums*> RocksStore::touch(std::uint32_t collection) {
  const auto touched = touched_.find(collection);
  if (touched != touched_.end()) return &touched->second;
  const auto known = collections_.find(collection);
  if (known == collections_.end()) {
    return Status::invalid_argument("collection",
                                    "there is no collection " + std::to_string(collection));
  }
  return &touched_.emplace(collection, known->second).first->second;
}

Status RocksStore::add_creation(const StoredCollection& collection, StoreState& next) {
  if (collection.id < next.collections_next || collection.id == UINT32_MAX) {
    return Status::invalid_argument("collection",
                                    "id " + std::to_string(collection.id) + " was used before");
  }
  Checksums checksums;
  std::string key = meta_key(MetaTag::collection, collection.id);
  checksums.options = encode_collection(key, collection, value_);
  VECSERVE_TRY(put(key));
  key = meta_key(MetaTag::counters, collection.id);
  checksums.counters = encode_counters(key, collection.counters, value_);
  VECSERVE_TRY(put(key));
  touched_.emplace(collection.id, checksums);
  next.collections_next = collection.id + 1;
  next.collections += 1;
  next.meta_hash += checksums.options + checksums.counters;
  return {};
}

Status RocksStore::add_counters(const StoreBatch::Counters& counters, StoreState& next) {
  auto checksums = touch(counters.collection);
  if (!checksums.ok()) return checksums.status();
  const std::string key = meta_key(MetaTag::counters, counters.collection);
  next.meta_hash -= (*checksums)->counters;
  (*checksums)->counters = encode_counters(key, counters.counters, value_);
  next.meta_hash += (*checksums)->counters;
  return put(key);
}

Status RocksStore::add_drop(std::uint32_t collection, StoreState& next) {
  auto checksums = touch(collection);
  if (!checksums.ok()) return checksums.status();
  next.meta_hash -= (*checksums)->options + (*checksums)->counters;
  next.collections -= 1;
  for (const MetaTag tag : {MetaTag::collection, MetaTag::counters}) {
    const std::string key = meta_key(tag, collection);
    VECSERVE_TRY(from_rocks(batch_.Delete(rocks_.meta(), key), "gathering a drop"));
  }
  const std::string mark = meta_key(MetaTag::dropping, collection);
  encode_dropping(mark, value_);
  return put(mark);
}

Status RocksStore::add_requests(const StoreBatch& batch, StoreState& next) {
  for (const StoreBatch::Request& request : batch.requests) {
    const RequestEntry entry{next.requests_next++, request.id, request.outcome};
    const std::string key = request_key(entry.ordinal);
    encode_request(key, entry, value_);
    VECSERVE_TRY(put(key));
  }
  return {};
}

Status RocksStore::write(Durability durability) {
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::sync;
  if (!options.sync) unsynced_.store(true);
  rocksdb::Status written;
  try {
    const std::lock_guard<std::mutex> turn(rocks_.write_turn());
    written = rocks_.db().Write(options, &batch_);
  } catch (const std::exception& error) {
    return fail({StatusCode::io_error, std::string("writing: ") + error.what()});
  }
  if (written.ok()) return {};
  Status status = from_rocks(written, "writing");
  // A log that could not be synced may hold the batch or not; only a full disk that stopped the
  // batch before its end leaves no doubt.
  if (status.code() == StatusCode::resource_exhausted && !watch_->log_sync_failed()) {
    disk_full_ = true;
    return status;
  }
  if (status.code() != StatusCode::data_loss) {
    status = {StatusCode::io_error, status.message()};
  }
  return fail(status);
}

void RocksStore::adopt(const StoreBatch& batch, const StoreState& next) {
  state_ = next;
  while (!touched_.empty()) {
    auto node = touched_.extract(touched_.begin());
    const auto known = collections_.find(node.key());
    if (known != collections_.end()) {
      known->second = node.mapped();
    } else {
      collections_.insert(std::move(node));  // moves the node: no allocation
    }
  }
  for (const std::uint32_t collection : batch.drop_collections) {
    collections_.erase(collection);
    remover_->add(collection);
  }
  committed_.store(state_.sequence);
}

}  // namespace vecserve::engine
