// Reads everything that a database holds, checks it against what its own counters, hashes and
// watermark say, and hands it on. Comes after RocksDB was opened (read-only at first), before rows.
// Called by one thread; calls the sink back from up to `threads` of them.
// Always holds: ok means that every commit up to state.sequence is there and nothing else is. No
// key is skipped but the rows of collections whose removal is recorded and still under way.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/store/meta.h"
#include "engine/store/rocks_db.h"
#include "engine/store/store.h"
#include "engine/store/watermark.h"

namespace vecserve::engine {

struct RecoveredCollection {
  StoredCollection stored;
  // Its parts of StoreState::meta_hash.
  std::uint64_t options_checksum = 0;
  std::optional<std::uint64_t> counters_checksum;
};

struct RecoveredStore {
  StoreState state;
  std::map<std::uint32_t, RecoveredCollection> collections;
  std::vector<std::uint32_t> dropping;  // rising
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;  // of keys and records
  std::uint64_t rocksdb_sequence = 0;
};

// `snapshot` may be null when nothing writes. Functions left empty in `sink` are not called.
[[nodiscard]] Result<RecoveredStore> read_store(const RocksDb& rocks,
                                                const rocksdb::Snapshot* snapshot,
                                                const LoadSink& sink, std::uint32_t threads);

// data_loss when `found` holds less than the watermark promised.
[[nodiscard]] Status check_watermark(const Watermark& watermark, const RecoveredStore& found);

// read_store on its own read-only opening of `path`, and check_watermark. The database must not be
// open for writing.
[[nodiscard]] Result<RecoveredStore> read_folder(const std::string& path,
                                                 const Watermark& watermark, RocksSettings settings,
                                                 const LoadSink& sink, std::uint32_t threads);

}  // namespace vecserve::engine
