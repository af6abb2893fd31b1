// The seam between the engine and what keeps its rows: RocksDB, or nothing but memory. Comes after
// collection (which decides what to write), before rows (which become visible only when apply has
// returned ok). Two implementations; tests/conformance/store_test.cc holds both to this contract.
//
// Contract:
//  - apply() is atomic: after it returns ok, and after any crash, either all of the batch is there
//  or
//    none of it. With Durability::sync it survives a power loss when it has returned ok.
//  - After apply() failed in a way that leaves it unknown what reached the disk (a failed sync or
//    write), every later apply() fails with io_error until the store is opened again. A full disk
//    gives resource_exhausted, changes nothing, and later calls may succeed again.
//  - load() is called once, before the first apply(), and hands out exactly what apply() made
//  durable.
//    Anything missing or damaged is data_loss with a text that says what and where; nothing is ever
//    left out silently. An implementation that keeps files verifies before it opens for writing.
//  - With Durability::process, a power loss takes at most about the last second of writes.
//  - No exception leaves a Store.
//  - A cache is not data: it may be lost at any time, and what is damaged in it never keeps a
//    database from opening.
// Threads: apply and load are called by one thread at a time; checkpoint, verify, sync, stats and
// the caches may run beside apply.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/store/cache.h"
#include "vecserve/database.h"
#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

// What is kept of a collection beside its rows. Written with every batch that changes it.
struct CollectionCounters {
  std::uint64_t next_slot = 0;  // above every slot ever given out
  std::uint64_t live_rows = 0;
  std::uint64_t live_hash = 0;  // sum, modulo 2^64, of row_hash over the live rows
  friend bool operator==(const CollectionCounters&, const CollectionCounters&) = default;
};

struct StoredCollection {
  std::uint32_t id = 0;  // never used again after a drop
  std::string name;
  CollectionOptions options;
  CollectionCounters counters;
};

// The outcome of a write that carried a RequestId.
struct RequestOutcome {
  std::uint64_t rows = 0;
  std::uint64_t sequence = 0;
  friend bool operator==(const RequestOutcome&, const RequestOutcome&) = default;
};

// One atomic change. Plain data over memory that the caller keeps until apply() returns.
struct StoreBatch {
  struct PutRow {
    std::uint32_t collection;
    std::uint64_t slot;
    std::string_view record;  // from encode_record
  };
  struct EraseRow {
    std::uint32_t collection;
    std::uint64_t slot;
  };
  struct Counters {
    std::uint32_t collection;
    CollectionCounters counters;
  };
  struct Request {
    RequestId id;
    RequestOutcome outcome;
  };
  std::vector<PutRow> put_rows;
  std::vector<EraseRow> erase_rows;
  std::vector<Counters> counters;
  std::vector<StoredCollection> create_collections;
  std::vector<std::uint32_t> drop_collections;  // with all their rows
  std::vector<Request> requests;  // the store forgets the oldest beyond limits::request_ids_max
  std::uint64_t sequence = 0;  // of the last write in it; rises by at least 1 from batch to batch

  void clear();
};

// One stored row, decoded: views into memory that is valid during the callback.
struct StoreRow;  // record.h

// Where load() delivers. Rows of one part come in slot order from one thread; different parts come
// from different threads at once, and every slot of part p is below every slot of part p + 1.
struct LoadSink {
  // Once per collection, before its rows; `parts` tells how many parts its rows come in.
  std::function<Status(const StoredCollection& collection, std::uint32_t parts)> collection;
  std::function<Status(std::uint32_t collection, std::uint32_t part, std::uint64_t slot,
                       const StoreRow& row)>
      row;
  std::function<Status(const RequestId& id, const RequestOutcome& outcome)>
      request;  // oldest first
};

struct StoreStats {
  std::uint64_t disk_bytes = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t files = 0;
};

class Store {
 public:
  virtual ~Store() = default;
  // Whether verify() can read rows back. A store without files keeps none: the rows then live only
  // in the row sets, and verify() reports counts alone.
  [[nodiscard]] virtual bool keeps_rows() const = 0;
  // `threads` is how many may call back at once. Returns the sequence of the last applied batch.
  [[nodiscard]] virtual Result<std::uint64_t> load(const LoadSink& sink, std::uint32_t threads) = 0;
  [[nodiscard]] virtual Status apply(const StoreBatch& batch, Durability durability) = 0;
  // Above every collection id ever used, dropped ones included; for the next create_collections,
  // and apply() refuses a lower one. After load(); the thread that calls apply().
  [[nodiscard]] virtual std::uint32_t next_collection_id() const = 0;
  // Makes everything applied so far survive a power loss, and records how far that is.
  [[nodiscard]] virtual Status sync() = 0;
  // As Database::checkpoint: a complete, verified copy at a new folder; nothing there on an error.
  [[nodiscard]] virtual Result<CheckpointInfo> checkpoint(const std::string& path) = 0;
  // Reads everything again as load() does, while no apply() runs (the caller sees to that).
  [[nodiscard]] virtual Result<VerifyReport> verify(const LoadSink& sink) = 0;
  [[nodiscard]] virtual StoreStats stats() const = 0;
  // See cache.h. After load(); any thread, for one collection one at a time. A store without files
  // keeps none: writing gives failed_precondition, reading not_found. Writers that are still there
  // when the store is closed change nothing any more.
  [[nodiscard]] virtual Result<std::unique_ptr<CacheWriter>> write_cache(std::uint32_t collection);
  [[nodiscard]] virtual Result<std::unique_ptr<CacheReader>> read_cache(std::uint32_t collection);
  [[nodiscard]] virtual Status remove_cache(std::uint32_t collection);
  [[nodiscard]] virtual Status close() = 0;  // idempotent; makes everything durable first
};

}  // namespace vecserve::engine
