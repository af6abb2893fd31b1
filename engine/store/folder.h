// The folder of a database and its small files: who has it open, what is in it, writing a file so
// that a power loss leaves the old or the new one. Comes between rocks_store and the file system.
// All I/O goes through RocksDB's FileSystem, so that tests can make each step fail; only the lock
// is the operating system's own. Any thread; a FolderLock has one owner. Always holds: after a
// function here returned ok, what it did survives a power loss.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vecserve/status.h"

namespace vecserve::engine {

// A lock on a folder, across and within processes: many may share it, or one may have it alone.
// It is taken before anything is read, because RocksDB's own lock knows nothing of readers.
class FolderLock {
 public:
  enum class Mode { shared, exclusive };

  FolderLock() = default;
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&& other) noexcept;
  ~FolderLock() { release(); }

  // failed_precondition when somebody else holds it in a way that excludes this one.
  [[nodiscard]] static Result<FolderLock> acquire(const std::string& path, Mode mode);
  void release();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

enum class PathKind { absent, folder, other };
[[nodiscard]] Result<PathKind> path_kind(const std::string& path);

// The folder above `path`; "." for a plain name. Slashes at the end do not count.
[[nodiscard]] std::string parent_folder(const std::string& path);
[[nodiscard]] std::string without_trailing_slashes(std::string path);

// Names, without "." and "..", sorted.
[[nodiscard]] Result<std::vector<std::string>> list_folder(rocksdb::FileSystem& fs,
                                                           const std::string& path);

// Whether a file of this name is one that a database of ours consists of: RocksDB's or the
// watermark. Everything else in a folder is a stranger and left alone.
[[nodiscard]] bool is_database_file(std::string_view name);
// Those of them that carry data, so that a copy of just these is complete.
[[nodiscard]] bool is_data_file(std::string_view name);

[[nodiscard]] Status sync_folder(rocksdb::FileSystem& fs, const std::string& path);
// Also makes the entry in the parent folder durable. Fine when it is there already.
[[nodiscard]] Status make_folder(rocksdb::FileSystem& fs, const std::string& path);

// Replaces the file in one step: writes folder/name.tmp, syncs, renames, syncs the folder.
[[nodiscard]] Status write_file(rocksdb::FileSystem& fs, const std::string& folder,
                                const std::string& name, std::string_view contents);
// not_found when there is none; data_loss when it is longer than `size_max`.
[[nodiscard]] Result<std::string> read_file(rocksdb::FileSystem& fs, const std::string& path,
                                            std::size_t size_max);

// A copy of its own (no link), synced. The folder entry is not: sync_folder does that once for all.
[[nodiscard]] Status copy_file(rocksdb::FileSystem& fs, const std::string& from,
                               const std::string& to);
[[nodiscard]] Status sync_file(rocksdb::FileSystem& fs, const std::string& path);

// Removes the plain files of a folder, then the folder. Ok when it is not there.
[[nodiscard]] Status remove_folder(rocksdb::FileSystem& fs, const std::string& path);

// Renames a finished folder to its name, which must be free, and makes that durable.
[[nodiscard]] Status publish_folder(rocksdb::FileSystem& fs, const std::string& from,
                                    const std::string& to);

}  // namespace vecserve::engine
