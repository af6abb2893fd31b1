// See fake_store.h.
// Any thread. Always holds: contents_ changes only at the end of an apply that succeeds.
// Comes below the engine of a unit test, in the place of RocksDB.
#include "tests/support/store/fake_store.h"

#include <new>

#include "engine/base/limits.h"
#include "engine/store/record.h"

namespace vecserve::test {

using namespace engine;

FakeStore::FakeStore(std::shared_ptr<FakeContents> contents, std::uint32_t parts)
    : contents_(std::move(contents)), parts_(parts) {}

void FakeStore::fail_apply(int nth, Status why) {
  const std::lock_guard lock(mutex_);
  applies_until_failure_ = nth;
  failure_ = std::move(why);
}

void FakeStore::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
}

void FakeStore::wait_until_held() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return held_; });
}

void FakeStore::let_go() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  changed_.notify_all();
}

std::vector<AppliedBatch> FakeStore::applied() const {
  const std::lock_guard lock(mutex_);
  return applied_;
}

std::uint32_t FakeStore::next_collection_id() const {
  const std::lock_guard lock(mutex_);
  return contents_->next_collection;
}

Status FakeStore::deliver_rows(const LoadSink& sink, const StoredCollection& collection,
                               std::uint64_t& rows) const {
  const auto& stored = contents_->rows[collection.id];
  const std::size_t per_part = (stored.size() + parts_ - 1) / parts_;
  std::size_t index = 0;
  for (const auto& [slot, record] : stored) {
    const auto row =
        decode_record(record, vector_bytes(collection.options.type, collection.options.dim));
    VECSERVE_TRY(row.status());
    const auto part = static_cast<std::uint32_t>(index++ / per_part);
    VECSERVE_TRY(sink.row(collection.id, part, slot, *row));
    ++rows;
  }
  return {};
}

Status FakeStore::deliver(const LoadSink& sink, std::uint64_t& rows) const {
  for (const auto& [id, collection] : contents_->collections) {
    VECSERVE_TRY(sink.collection(collection, parts_));
  }
  for (const auto& [id, collection] : contents_->collections) {
    VECSERVE_TRY(deliver_rows(sink, collection, rows));
  }
  for (const auto& [id, outcome] : contents_->requests) {
    VECSERVE_TRY(sink.request(id, outcome));
  }
  return {};
}

Result<std::uint64_t> FakeStore::load(const LoadSink& sink, std::uint32_t /*threads*/) {
  std::uint64_t rows = 0;
  VECSERVE_TRY(deliver(sink, rows));
  return contents_->sequence;
}

Status FakeStore::apply(const StoreBatch& batch, Durability durability) {
  std::unique_lock lock(mutex_);
  if (holding_) {
    held_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !holding_; });
    held_ = false;
  }
  if (applies_until_failure_ >= 0 && applies_until_failure_-- == 0) {
    return failure_;
  }
  if (batch.sequence <= contents_->sequence) {
    return {StatusCode::internal, "the sequence does not rise"};
  }
  try {
    return take(batch, durability);
  } catch (const std::bad_alloc&) {
    return {StatusCode::resource_exhausted, "out of memory in the fake"};
  }
}

Status FakeStore::take(const StoreBatch& batch, Durability durability) {
  AppliedBatch copy{batch.sequence, durability, {}, {}, {}, {}};
  FakeContents next = *contents_;
  for (const auto& put : batch.put_rows) {
    copy.put_slots.push_back(put.slot);
    next.rows[put.collection][put.slot] = std::string(put.record);
  }
  for (const auto& erase : batch.erase_rows) {
    copy.erased_slots.push_back(erase.slot);
    if (next.rows[erase.collection].erase(erase.slot) == 0) {
      return {StatusCode::internal, "a row that is not there was erased"};
    }
  }
  for (const auto& created : batch.create_collections) {
    next.collections[created.id] = created;
    next.next_collection = created.id + 1;
  }
  for (const auto& counters : batch.counters) {
    copy.counters.push_back(counters.counters);
    next.collections.at(counters.collection).counters = counters.counters;
  }
  for (const std::uint32_t dropped : batch.drop_collections) {
    next.collections.erase(dropped);
    next.rows.erase(dropped);
  }
  for (const auto& request : batch.requests) {
    copy.requests.push_back(request.id);
    next.requests.emplace_back(request.id, request.outcome);
    if (next.requests.size() > limits::request_ids_max) {
      next.requests.pop_front();
    }
  }
  next.sequence = batch.sequence;
  applied_.push_back(std::move(copy));
  *contents_ = std::move(next);  // moves of maps and a deque: cannot fail
  return {};
}

Result<CheckpointInfo> FakeStore::checkpoint(const std::string& path) {
  CheckpointInfo info;
  info.path = path;
  info.sequence = contents_->sequence;
  return info;
}

Result<VerifyReport> FakeStore::verify(const LoadSink& sink) {
  VerifyReport report;
  report.collections = contents_->collections.size();
  VECSERVE_TRY(deliver(sink, report.rows));
  return report;
}

Result<std::unique_ptr<CacheWriter>> FakeStore::write_cache(std::uint32_t collection) {
  const auto caches = caches_;
  const auto written = std::make_shared<std::string>();
  CacheSink sink;
  sink.append = [caches, written](std::string_view bytes) -> Status {
    const std::lock_guard lock(caches->mutex);
    if (caches->refuse_after == 0) return {StatusCode::resource_exhausted, "the disk is full"};
    caches->refuse_after -= caches->refuse_after > 0 ? 1 : 0;
    written->append(bytes);
    return {};
  };
  sink.finish = [caches, written, collection]() -> Status {
    const std::lock_guard lock(caches->mutex);
    caches->bytes[collection] = *written;
    ++caches->finished;
    return {};
  };
  return std::make_unique<CacheWriter>(std::move(sink), collection);
}

Result<std::unique_ptr<CacheReader>> FakeStore::read_cache(std::uint32_t collection) {
  const std::lock_guard lock(caches_->mutex);
  const auto found = caches_->bytes.find(collection);
  if (found == caches_->bytes.end()) return Status(StatusCode::not_found, "no cache");
  return std::make_unique<CacheReader>(
      [bytes = found->second,
       at = std::size_t{0}](std::span<char> to) mutable -> Result<std::size_t> {
        const std::size_t count = bytes.copy(to.data(), to.size(), at);
        at += count;
        return count;
      },
      collection);
}

Status FakeStore::remove_cache(std::uint32_t collection) {
  const std::lock_guard lock(caches_->mutex);
  caches_->bytes.erase(collection);
  return {};
}

Status FakeStore::close() {
  const std::lock_guard lock(mutex_);
  ++closes_;
  return {};
}

}  // namespace vecserve::test
