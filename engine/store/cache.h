// A cache in the store: what can be made again from a collection's rows, kept so that a restart
// need not. One run of chunks per collection, replaced as a whole. Comes between graph_cache, which
// knows what the chunks mean, and the folder; a store without files keeps none. A writer and a
// reader belong to one thread at a time.
// Always holds: a run is there from its first chunk to its end or not at all; a reader gives what
// one writer wrote, in its order, or data_loss; nothing is allocated for a length that is too long.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "vecserve/status.h"

namespace vecserve::engine {

inline constexpr std::size_t kCacheChunkMax = std::size_t{4} << 20;

// Where the bytes go; from the store.
struct CacheSink {
  std::function<Status(std::string_view bytes)> append;
  std::function<Status()> finish;  // makes what was appended durable, then the one that counts
};

class CacheWriter {
 public:
  CacheWriter(CacheSink sink, std::uint32_t collection);

  // One chunk of 1 to kCacheChunkMax bytes.
  [[nodiscard]] Status append(std::string_view chunk);
  // When it is ok, this run has taken the place of the one before, durably. A writer that goes
  // without it leaves that one as it was.
  [[nodiscard]] Status finish();

 private:
  [[nodiscard]] Status put(std::string_view chunk);

  CacheSink sink_;
  std::uint32_t collection_;
  std::uint64_t chain_ = 0;  // the checksum of all that was written so far
  bool begun_ = false;
  std::string frame_;
};

// Fills `to` as far as there are bytes; returns how many.
using CacheSource = std::function<Result<std::size_t>(std::span<char> to)>;

class CacheReader {
 public:
  CacheReader(CacheSource source, std::uint32_t collection);

  // The next chunk, valid until the next call; "" at the proper end. data_loss when these are not
  // the bytes of a writer for this collection.
  [[nodiscard]] Result<std::string_view> next();

 private:
  [[nodiscard]] Status fill(std::size_t bytes);  // chunk_

  CacheSource source_;
  std::uint32_t collection_;
  std::uint64_t chain_ = 0;
  bool begun_ = false;
  bool ended_ = false;
  std::string chunk_;
};

// 32 bits by which the vector of a slot is known again.
[[nodiscard]] std::uint32_t fingerprint(std::uint64_t slot, std::string_view vector);

}  // namespace vecserve::engine
