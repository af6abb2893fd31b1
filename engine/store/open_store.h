// How a Store comes to be: on disk through RocksDB, or in memory. Used by database; the only header
// of the store folder beside store.h, cache.h and record.h that the rest of the engine includes.
// Any thread; the stores that they give belong to the caller.
// Always holds: whoever gets a store on disk has its folder to itself, or shares it with readers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/store/store.h"

namespace vecserve::engine {

struct StoreOptions {
  std::string path;
  bool create_if_missing = true;
  bool read_only = false;
  Durability durability = Durability::sync;  // the least that any apply() will ask for
  std::size_t write_buffer_bytes = std::size_t{16} << 20;
  // Tests put a fault-injecting rocksdb::Env here; null: the real one. Must outlive the store.
  void* rocksdb_env = nullptr;
  // Paces the sequence watermark; null: the system's. Must outlive the store.
  const Clock* clock = nullptr;
};

// Only looks and locks; load() does the reading and verifying. not_found, failed_precondition (open
// elsewhere, or a newer format) and invalid_argument("path") as Database::open states.
[[nodiscard]] Result<std::unique_ptr<Store>> open_rocks_store(const StoreOptions& options);

[[nodiscard]] std::unique_ptr<Store> make_memory_store();

// As Database::restore.
[[nodiscard]] Status restore_checkpoint(const std::string& checkpoint, const std::string& path,
                                        void* rocksdb_env = nullptr);

}  // namespace vecserve::engine
