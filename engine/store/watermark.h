// A small file that says how far the database is known to be durable, so that losing its tail
// shows: RocksDB takes a log that is missing or cut off for a database that was written less.
// Written by rocks_store, read before anything else at open. One thread at a time. Always holds:
// the file is replaced whole; what it names was synced before it was written.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

struct Watermark {
  std::uint64_t commit_sequence = 0;  // StoreState::sequence
  std::uint64_t rocksdb_sequence = 0;
  bool clean = false;  // closed properly: both are exact, not only lower bounds
  Durability durability = Durability::sync;  // the least that a write since then was given
  friend bool operator==(const Watermark&, const Watermark&) = default;
};

inline constexpr char kWatermarkName[] = "WATERMARK";

[[nodiscard]] std::string encode_watermark(const Watermark& watermark);
// failed_precondition for a newer version, data_loss for anything that encode did not write.
[[nodiscard]] Result<Watermark> decode_watermark(std::string_view bytes);

[[nodiscard]] Status write_watermark(rocksdb::FileSystem& fs, const std::string& folder,
                                     const Watermark& watermark);
// not_found when there is none.
[[nodiscard]] Result<Watermark> read_watermark(rocksdb::FileSystem& fs, const std::string& folder);

}  // namespace vecserve::engine
