// The background removal of dropped collections; see row_remover.h. One thread of its own.
// Always holds: memory is bounded by one chunk of keys; every write is synced, so that the promise
// for the logs of a synced database stays true.
#include "engine/store/row_remover.h"

#include <exception>
#include <memory>

#include "engine/store/meta.h"
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

constexpr std::size_t kChunkRows = 4'096;  // keys of 12 bytes: a write of about 64 KiB

std::string end_of(std::uint32_t collection) {
  return collection == UINT32_MAX ? std::string() : row_key(collection + 1, 0).substr(0, 4);
}

}  // namespace

void RowRemover::add(std::uint32_t collection) noexcept {
  try {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopped_) return;
    waiting_.push_back(collection);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  } catch (const std::exception&) {
    // The mark on disk stays, and the next open finds it.
  }
  changed_.notify_all();
}

void RowRemover::stop() {
  stopping_.store(true);
  std::thread thread;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

Status RowRemover::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock,
                [this] { return stopped_ || !failure_.ok() || (waiting_.empty() && !busy_); });
  return failure_;
}

void RowRemover::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stopped_ || !waiting_.empty(); });
    if (stopped_) return;
    const std::uint32_t collection = waiting_.front();
    waiting_.pop_front();
    busy_ = true;
    lock.unlock();
    Status status;
    try {
      status = remove(collection);
    } catch (const std::exception& error) {
      status = {StatusCode::internal, error.what()};
    }
    lock.lock();
    busy_ = false;
    if (failure_.ok()) failure_ = std::move(status);
    changed_.notify_all();
  }
}

Status RowRemover::remove(std::uint32_t collection) {
  std::string from = row_key(collection, 0).substr(0, 4);
  const std::string first = from;
  while (!from.empty()) {
    if (stopping_.load()) return {};
    VECSERVE_TRY(remove_chunk(collection, from));
  }
  rocksdb::WriteOptions synced;
  synced.sync = true;
  const std::string mark = meta_key(MetaTag::dropping, collection);
  {
    const std::lock_guard<std::mutex> turn(rocks_.write_turn());
    VECSERVE_TRY(
        from_rocks(rocks_.db().Delete(synced, rocks_.meta(), mark), "removing a collection"));
  }

  // Give the disk space back now rather than whenever compaction next comes by.
  const std::string last = end_of(collection);
  const rocksdb::Slice begin(first);
  const rocksdb::Slice end(last);
  rocksdb::CompactRangeOptions compact;
  compact.exclusive_manual_compaction = false;
  compact.canceled = &stopping_;
  const auto compacted =
      rocks_.db().CompactRange(compact, rocks_.rows(), &begin, last.empty() ? nullptr : &end);
  if (stopping_.load() || compacted.IsIncomplete() || compacted.IsManualCompactionPaused())
    return {};
  return from_rocks(compacted, "compacting after a removed collection");
}

Status RowRemover::remove_chunk(std::uint32_t collection, std::string& from) {
  const std::string to = end_of(collection);
  const rocksdb::Slice from_slice(from);
  const rocksdb::Slice to_slice(to);
  rocksdb::ReadOptions options;
  options.fill_cache = false;
  options.iterate_lower_bound = &from_slice;  // also spares it the tombstones of earlier chunks
  if (!to.empty()) options.iterate_upper_bound = &to_slice;
  rocksdb::WriteBatch batch;
  std::string next;
  {
    const std::unique_ptr<rocksdb::Iterator> it(rocks_.db().NewIterator(options, rocks_.rows()));
    it->SeekToFirst();
    for (; it->Valid() && batch.Count() < static_cast<int>(kChunkRows); it->Next()) {
      VECSERVE_TRY(from_rocks(batch.Delete(rocks_.rows(), it->key()), "removing rows"));
    }
    VECSERVE_TRY(from_rocks(it->status(), "reading rows to remove"));
    if (it->Valid()) next = it->key().ToString();
  }
  if (batch.Count() > 0) {
    rocksdb::WriteOptions synced;
    synced.sync = true;
    const std::lock_guard<std::mutex> turn(rocks_.write_turn());
    VECSERVE_TRY(from_rocks(rocks_.db().Write(synced, &batch), "removing rows"));
  }
  from = next;
  return {};
}

}  // namespace vecserve::engine
