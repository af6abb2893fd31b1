// The files of the caches of a database: CACHE-n of collection n, and CACHE-n.tmp while a new one
// is being written. Comes between cache and the file system; owned by rocks_store. Any thread; one
// writer for a collection at a time.
// Always holds: the file that counts changes by one rename; what is written is synced in small
// steps, so that nobody waits long for the disk; after close() writers change nothing any more.
#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>

#include "engine/store/cache.h"

namespace vecserve::engine {

class CacheFolder : public std::enable_shared_from_this<CacheFolder> {
 public:
  CacheFolder(std::shared_ptr<rocksdb::FileSystem> fs, std::string path)
      : fs_(std::move(fs)), path_(std::move(path)) {}

  // Begins a new run; a writer that goes without finish() removes what it wrote.
  [[nodiscard]] Result<std::unique_ptr<CacheWriter>> write(std::uint32_t collection);
  // not_found when there is none.
  [[nodiscard]] Result<std::unique_ptr<CacheReader>> read(std::uint32_t collection);
  // Ok when there is none.
  [[nodiscard]] Status remove(std::uint32_t collection);
  // Removes unfinished files and those of collections that are not in `known`, which rises.
  void tidy(std::span<const std::uint32_t> known);
  // Waits for a step in hand.
  void close();

 private:
  struct File;  // one that is being written

  [[nodiscard]] std::string file_of(std::uint32_t collection) const;
  [[nodiscard]] Status append(File& file, std::string_view bytes);
  [[nodiscard]] Status finish(File& file);
  void abandon(File& file);
  [[nodiscard]] Status open() const;  // with mutex_

  const std::shared_ptr<rocksdb::FileSystem> fs_;
  const std::string path_;
  std::mutex mutex_;  // held for each step of a writer
  bool closed_ = false;
};

// Whether a file of this name is one of these; and whose it is.
[[nodiscard]] bool is_cache_file(std::string_view name, std::uint32_t& collection,
                                 bool& unfinished);

}  // namespace vecserve::engine
