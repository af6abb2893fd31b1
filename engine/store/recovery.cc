// Reading and verifying a database; see recovery.h. The rows of a collection are read in parts,
// each by one thread with its own iterator; the meta family first, by the caller. Always holds: an
// iterator's end is believed only after its status was found ok.
#include "engine/store/recovery.h"

#include <rocksdb/perf_level.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <optional>
#include <thread>
#include <utility>

#include "engine/base/limits.h"
#include "engine/store/record.h"
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

// Of 64 KiB to 4 MiB the cheapest: it stays in the second-level cache, out of which blocks are
// copied.
constexpr std::size_t kReadaheadBytes = std::size_t{512} << 10;
// Below this many rows a further thread costs more than it saves.
constexpr std::uint64_t kPartRowsMin = 16'384;

Status data_loss(std::string what) {
  return {StatusCode::data_loss, std::move(what)};
}

std::string_view view(const rocksdb::Slice& slice) {
  return {slice.data(), slice.size()};
}

std::string name_of(const StoredCollection& collection) {
  return "collection \"" + collection.name + "\"";
}

Status beyond_last(const StoredCollection& collection, std::uint64_t slot) {
  return data_loss(name_of(collection) + ": slot " + std::to_string(slot) +
                   " is beyond the last one given out");
}

// An iterator over [from, to) of a family; an empty `to` means to the end.
class Range {
 public:
  Range(const RocksDb& rocks, rocksdb::ColumnFamilyHandle* family,
        const rocksdb::Snapshot* snapshot, std::string from, std::string to)
      : from_(std::move(from)), to_(std::move(to)), from_slice_(from_), to_slice_(to_) {
    rocksdb::ReadOptions options;
    options.snapshot = snapshot;
    options.verify_checksums = true;
    options.fill_cache = false;
    options.readahead_size = kReadaheadBytes;
    options.iterate_lower_bound = &from_slice_;
    if (!to_.empty()) options.iterate_upper_bound = &to_slice_;
    iterator_.reset(rocks.db().NewIterator(options, family));
  }
  [[nodiscard]] rocksdb::Iterator& it() { return *iterator_; }

 private:
  std::string from_;
  std::string to_;
  rocksdb::Slice from_slice_;
  rocksdb::Slice to_slice_;
  std::unique_ptr<rocksdb::Iterator> iterator_;
};

// The first key behind all rows of a collection; "" when there can be none.
std::string key_after(std::uint32_t collection) {
  return collection == UINT32_MAX ? std::string() : row_key(collection + 1, 0).substr(0, 4);
}

std::string key_before(std::uint32_t collection) {
  return row_key(collection, 0).substr(0, 4);
}

// -- The meta family
// -------------------------------------------------------------------------------

struct Meta {
  RecoveredStore store;
  std::vector<RequestEntry> requests;
  bool format_seen = false;
  bool state_seen = false;
};

Status read_counters(std::string_view key, std::string_view value, std::uint32_t id, Meta& meta) {
  const auto found = meta.store.collections.find(id);
  if (found == meta.store.collections.end()) return data_loss("counters without a collection");
  auto counters = decode_counters(key, value);
  if (!counters.ok()) return counters.status();
  found->second.stored.counters = *counters;
  found->second.counters_checksum = value_checksum(value);
  return {};
}

Status read_numbered_entry(MetaTag tag, std::string_view key, std::string_view value,
                           std::uint32_t id, Meta& meta) {
  if (tag == MetaTag::collection) {
    auto collection = decode_collection(key, value);
    if (!collection.ok()) return collection.status();
    meta.store.collections[id] = {*std::move(collection), value_checksum(value), std::nullopt};
    return {};
  }
  if (tag == MetaTag::counters) return read_counters(key, value, id, meta);
  if (tag == MetaTag::dropping) {
    meta.store.dropping.push_back(id);
    return decode_dropping(key, value);
  }
  auto request = decode_request(key, value);
  if (!request.ok()) return request.status();
  meta.requests.push_back(*request);
  return {};
}

Status read_meta_entry(std::string_view key, std::string_view value, Meta& meta) {
  const auto tag = static_cast<MetaTag>(key.empty() ? 0 : key.front());
  if (key.size() == 1 && tag == MetaTag::format) {
    meta.format_seen = true;
    return decode_format(key, value);
  }
  if (!meta.format_seen) return data_loss("the format version is missing");
  if (key.size() == 1 && tag == MetaTag::state) {
    auto state = decode_state(key, value);
    if (!state.ok()) return state.status();
    meta.store.state = *state;
    meta.state_seen = true;
    return {};
  }
  if (key.size() != 5 || tag < MetaTag::collection || tag > MetaTag::request) {
    return data_loss("a key of an unknown kind among the meta data");
  }
  std::uint32_t number = 0;
  for (const char c : key.substr(1)) number = (number << 8) | static_cast<unsigned char>(c);
  return read_numbered_entry(tag, key, value, number, meta);
}

// Everything that the state says about the other entries.
Status check_meta(Meta& meta) {
  const StoreState& state = meta.store.state;
  if (!meta.format_seen || !meta.state_seen) return data_loss("the meta data is missing");
  std::uint64_t hash = 0;
  for (const auto& [id, collection] : meta.store.collections) {
    if (!collection.counters_checksum) {
      return data_loss(name_of(collection.stored) + " has no counters");
    }
    hash += collection.options_checksum + *collection.counters_checksum;
  }
  const auto last = meta.store.collections.rbegin();
  const bool beyond =
      (last != meta.store.collections.rend() && last->first >= state.collections_next) ||
      (!meta.store.dropping.empty() && meta.store.dropping.back() >= state.collections_next);
  if (hash != state.meta_hash || meta.store.collections.size() != state.collections || beyond) {
    return data_loss("the collections are not those of commit " + std::to_string(state.sequence) +
                     ": commits are missing");
  }
  std::sort(meta.requests.begin(), meta.requests.end(),
            [](const RequestEntry& a, const RequestEntry& b) { return a.ordinal < b.ordinal; });
  const std::uint64_t kept = std::min<std::uint64_t>(state.requests_next, limits::request_ids_max);
  std::uint64_t expected = state.requests_next - kept;
  bool whole = meta.requests.size() == kept;
  for (const RequestEntry& entry : meta.requests) whole = whole && entry.ordinal == expected++;
  if (!whole) return data_loss("remembered requests are missing");
  return {};
}

Result<Meta> read_meta(const RocksDb& rocks, const rocksdb::Snapshot* snapshot) {
  Meta meta;
  Range range(rocks, rocks.meta(), snapshot, "", "");
  for (range.it().SeekToFirst(); range.it().Valid(); range.it().Next()) {
    Status status = read_meta_entry(view(range.it().key()), view(range.it().value()), meta);
    if (!status.ok()) return status;
  }
  Status status = from_rocks_reading(range.it().status(), "reading the meta data");
  if (status.ok()) status = check_meta(meta);
  if (!status.ok()) return status;
  return meta;
}

// -- Rows
// ------------------------------------------------------------------------------------------

struct Part {
  const StoredCollection* collection = nullptr;
  std::uint32_t number = 0;
  std::string from;
  std::string to;
  // What was found.
  std::uint64_t rows = 0;
  std::uint64_t hash = 0;
  std::uint64_t bytes = 0;
};

// RocksDB counts every step of an iterator, for each thread; nobody reads those counts here.
class NoCounting {
 public:
  NoCounting() : before_(rocksdb::GetPerfLevel()) { rocksdb::SetPerfLevel(rocksdb::kDisable); }
  ~NoCounting() { rocksdb::SetPerfLevel(before_); }
  NoCounting(const NoCounting&) = delete;
  NoCounting& operator=(const NoCounting&) = delete;

 private:
  rocksdb::PerfLevel before_;
};

class RowReader {
 public:
  RowReader(const RocksDb& rocks, const rocksdb::Snapshot* snapshot, const LoadSink& sink)
      : rocks_(rocks), snapshot_(snapshot), sink_(sink) {}

  // Appends the parts of a collection and returns how many.
  Result<std::uint32_t> plan(const StoredCollection& collection, std::uint32_t threads) {
    const std::uint32_t id = collection.id;
    Range range(rocks_, rocks_.rows(), snapshot_, key_before(id), key_after(id));
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint32_t parsed = id;
    range.it().SeekToFirst();
    const bool any = range.it().Valid();
    bool sound = !any || decode_row_key(view(range.it().key()), parsed, first);
    if (any && sound) {
      range.it().SeekToLast();
      sound = !range.it().Valid() || decode_row_key(view(range.it().key()), parsed, last);
    }
    Status status = from_rocks_reading(range.it().status(), "reading " + name_of(collection));
    if (!status.ok()) return status;
    if (!sound || last < first) return data_loss(name_of(collection) + ": a key of a wrong length");
    if (any && last >= collection.counters.next_slot) return beyond_last(collection, last);

    const std::uint64_t wanted = collection.counters.live_rows / kPartRowsMin + 1;
    // Two parts for each thread, so that one with many dead slots does not keep the others waiting.
    const std::uint64_t most = threads > 1 ? std::uint64_t{threads} * 2 : 1;
    const std::uint64_t count = std::min({wanted, most, last - first + 1});
    const std::uint64_t width = (last - first) / count + 1;
    for (std::uint64_t i = 0; i < count; ++i) {
      Part part;
      part.collection = &collection;
      part.number = static_cast<std::uint32_t>(i);
      part.from = i == 0 ? key_before(id) : row_key(id, first + i * width);
      part.to = i + 1 == count ? key_after(id) : row_key(id, first + (i + 1) * width);
      parts_.push_back(std::move(part));
    }
    return static_cast<std::uint32_t>(count);
  }

  Status run(std::uint32_t threads) {
    const std::size_t helpers = std::min<std::size_t>(threads, parts_.size());
    std::vector<std::thread> workers;
    try {
      for (std::size_t i = 1; i < helpers; ++i) workers.emplace_back([this] { work(); });
    } catch (const std::exception&) {
      // No more threads to be had: those that there are do it all.
    }
    work();
    for (std::thread& worker : workers) worker.join();
    return failure_;
  }

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }

 private:
  void work() {
    const NoCounting no_counting;
    for (;;) {
      const std::size_t index = next_.fetch_add(1);
      if (index >= parts_.size() || stop_.load(std::memory_order_relaxed)) return;
      Status status;
      try {
        status = read_part(parts_[index]);
      } catch (const std::bad_alloc&) {
        status = {StatusCode::resource_exhausted, "out of memory while reading rows"};
      } catch (const std::exception& error) {
        status = {StatusCode::internal, error.what()};
      }
      if (!status.ok()) fail(std::move(status));
    }
  }

  void fail(Status status) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (failure_.ok()) failure_ = std::move(status);
    stop_.store(true, std::memory_order_relaxed);
  }

  Status read_part(Part& part) {
    Range range(rocks_, rocks_.rows(), snapshot_, part.from, part.to);
    rocksdb::Iterator& it = range.it();
    const CollectionOptions& options = part.collection->options;
    const std::size_t vector_size = vector_bytes(options.type, options.dim);
    for (it.SeekToFirst(); it.Valid(); it.Next()) {
      VECSERVE_TRY(read_row(part, view(it.key()), view(it.value()), vector_size));
      if (stop_.load(std::memory_order_relaxed)) return {};
    }
    return from_rocks_reading(it.status(), "reading " + name_of(*part.collection));
  }

  Status read_row(Part& part, std::string_view key, std::string_view value,
                  std::size_t vector_size) {
    const StoredCollection& collection = *part.collection;
    std::uint32_t id = 0;
    std::uint64_t slot = 0;
    if (!decode_row_key(key, id, slot) || id != collection.id) {
      return data_loss(name_of(collection) + ": a key of a wrong length");
    }
    if (slot >= collection.counters.next_slot) {
      return beyond_last(collection, slot);
    }
    auto row = decode_record(value, vector_size);
    if (!row.ok()) {
      return with_context(row.status(), name_of(collection) + ", slot " + std::to_string(slot));
    }
    part.rows += 1;
    part.hash += row_hash(id, slot, row->id);
    part.bytes += key.size() + value.size();
    return sink_.row ? sink_.row(id, part.number, slot, *row) : Status();
  }

  const RocksDb& rocks_;
  const rocksdb::Snapshot* snapshot_;
  const LoadSink& sink_;
  std::vector<Part> parts_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  std::mutex mutex_;
  Status failure_;  // guarded by mutex_
};

// No rows outside the collections that there are and those being removed.
Status check_gaps(const RocksDb& rocks, const rocksdb::Snapshot* snapshot,
                  const RecoveredStore& store) {
  std::vector<std::uint32_t> known = store.dropping;
  for (const auto& [id, collection] : store.collections) known.push_back(id);
  std::sort(known.begin(), known.end());
  std::string from;
  for (std::size_t i = 0; i <= known.size(); ++i) {
    if (i > 0) {
      from = key_after(known[i - 1]);
      if (from.empty()) break;
    }
    const std::string to = i < known.size() ? key_before(known[i]) : std::string();
    if (!to.empty() && to <= from) continue;
    Range range(rocks, rocks.rows(), snapshot, from, to);
    range.it().SeekToFirst();
    if (range.it().Valid()) return data_loss("rows of a collection that does not exist");
    VECSERVE_TRY(from_rocks_reading(range.it().status(), "reading rows"));
  }
  return {};
}

Status check_counters(RecoveredStore& store, const std::vector<Part>& parts) {
  std::map<std::uint32_t, CollectionCounters> found;
  for (const Part& part : parts) {
    CollectionCounters& sum = found[part.collection->id];
    sum.live_rows += part.rows;
    sum.live_hash += part.hash;
    store.rows += part.rows;
    store.bytes += part.bytes;
  }
  for (const auto& [id, collection] : store.collections) {
    const CollectionCounters& expected = collection.stored.counters;
    if (found[id].live_rows != expected.live_rows) {
      return data_loss(name_of(collection.stored) + " has " + std::to_string(found[id].live_rows) +
                       " rows instead of " + std::to_string(expected.live_rows));
    }
    if (found[id].live_hash != expected.live_hash) {
      return data_loss(name_of(collection.stored) + " has other rows than were written");
    }
  }
  return {};
}

}  // namespace

Result<RecoveredStore> read_store(const RocksDb& rocks, const rocksdb::Snapshot* snapshot,
                                  const LoadSink& sink, std::uint32_t threads) {
  threads = std::clamp<std::uint32_t>(threads, 1, limits::threads_max);
  auto meta = read_meta(rocks, snapshot);
  if (!meta.ok()) return meta.status();
  RecoveredStore& store = meta->store;
  store.rocksdb_sequence =
      snapshot != nullptr ? snapshot->GetSequenceNumber() : rocks.db().GetLatestSequenceNumber();

  Status status = check_gaps(rocks, snapshot, store);
  if (!status.ok()) return status;
  RowReader reader(rocks, snapshot, sink);
  for (const auto& [id, collection] : store.collections) {
    auto parts = reader.plan(collection.stored, threads);
    if (!parts.ok()) return parts.status();
    if (sink.collection) status = sink.collection(collection.stored, *parts);
    if (!status.ok()) return status;
  }
  status = reader.run(threads);
  if (status.ok()) status = check_counters(store, reader.parts());
  for (const RequestEntry& entry : meta->requests) {
    if (status.ok() && sink.request) status = sink.request(entry.id, entry.outcome);
  }
  if (!status.ok()) return status;
  return std::move(store);
}

Status check_watermark(const Watermark& watermark, const RecoveredStore& found) {
  const std::uint64_t commits = found.state.sequence;
  const bool short_of =
      commits < watermark.commit_sequence || found.rocksdb_sequence < watermark.rocksdb_sequence;
  const bool not_exact = watermark.clean && (commits != watermark.commit_sequence ||
                                             found.rocksdb_sequence != watermark.rocksdb_sequence);
  if (!short_of && !not_exact) return {};
  return data_loss("the files hold commits up to " + std::to_string(commits) + " (" +
                   std::to_string(found.rocksdb_sequence) + " changes), but " +
                   std::to_string(watermark.commit_sequence) + " (" +
                   std::to_string(watermark.rocksdb_sequence) + ") were durable");
}

Result<RecoveredStore> read_folder(const std::string& path, const Watermark& watermark,
                                   RocksSettings settings, const LoadSink& sink,
                                   std::uint32_t threads) {
  settings.logs = watermark.durability;
  settings.create = false;
  auto rocks = RocksDb::open_read_only(path, settings);
  if (!rocks.ok()) return rocks.status();
  auto found = read_store(*rocks, nullptr, sink, threads);
  if (!found.ok()) return with_context(found.status(), path);
  Status status = check_watermark(watermark, *found);
  if (!status.ok()) return with_context(status, path);
  return found;
}

}  // namespace vecserve::engine
