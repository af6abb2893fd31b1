// A database: a folder of collections that one process has open. Start here.
// Any thread may call any member at any time. One process at a time may have a folder open for
// writing; any number may open it read-only while nobody writes.
//
// The promise: an acknowledged write survives a kill of the process at any instant, and with
// Durability::sync (the default) a crash of the machine and a power loss. An acknowledged erase
// never comes back. Damaged files are reported and refused, never silently served with less.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/collection.h"
#include "vecserve/export.h"
#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve {

namespace engine {
class DatabaseCore;
class DatabaseAccess;
}  // namespace engine

struct CheckpointInfo {
  std::string path;
  std::uint64_t sequence = 0;  // the last write that it holds
  std::uint64_t collections = 0;
  std::uint64_t rows = 0;
  std::uint64_t bytes = 0;  // of all its files
};

struct VerifyReport {
  std::uint64_t collections = 0;
  std::uint64_t rows = 0;   // read from disk and compared with memory
  std::uint64_t bytes = 0;  // of keys and records read
};

struct DatabaseStats {
  std::string path;        // "" in memory
  bool read_only = false;  // opened so, or made so by a failed disk
  std::string degraded;    // why writes are refused, "" when all is well
  Durability durability = Durability::sync;
  std::uint64_t collections = 0;
  std::uint64_t rows = 0;
  std::uint64_t sequence = 0;       // the last acknowledged write
  std::uint64_t commits = 0;        // group commits since open
  std::uint64_t commit_writes = 0;  // writes that they carried
  std::uint64_t open_ns = 0;        // time that opening took
  std::uint64_t disk_bytes = 0;
  std::string kernels;  // the kernel table in use
  std::uint32_t threads = 0;
  std::string gpu;  // the device in use and what it has, or why there is none, or what it died of
};

// Movable; closes itself when destroyed. Collection handles and cursors may outlive it.
class VECSERVE_API Database {
 public:
  // Opens or creates a database. Reads and checks all of it first: data_loss when anything stored
  // is missing or damaged, failed_precondition when another process has it open or a newer version
  // wrote it, not_found when there is none and create_if_missing is off. Blocks for about as long
  // as reading the files takes.
  [[nodiscard]] static Result<Database> open(const std::string& path,
                                             const DatabaseOptions& options = {});

  // As open, but changes nothing on disk, and every write returns failed_precondition.
  [[nodiscard]] static Result<Database> open_read_only(const std::string& path,
                                                       const DatabaseOptions& options = {});

  // Copies a checkpoint to `path`, which must not exist, and verifies the copy. The checkpoint is
  // only read. On an error nothing is left at `path`.
  [[nodiscard]] static Status restore(const std::string& checkpoint, const std::string& path);

  Database(Database&&) noexcept;
  Database& operator=(Database&&) noexcept;
  ~Database();

  // Durable when it returns. Names: 1 to 64 of A-Z a-z 0-9 _ -. already_exists when there is one.
  [[nodiscard]] Result<Collection> create_collection(std::string_view name,
                                                     const CollectionOptions& options);
  // not_found when there is none. Cheap.
  [[nodiscard]] Result<Collection> collection(std::string_view name) const;
  // Durable when it returns; running searches finish on what they hold. not_found when there is
  // none.
  [[nodiscard]] Status drop_collection(std::string_view name);
  // Sorted by name.
  [[nodiscard]] std::vector<std::string> list_collections() const;

  // Makes a complete copy of the database as of now in the new folder `path` while reads and writes
  // go on, then opens and verifies the copy. Costs little disk at first: files are shared with the
  // database while both exist on one file system. On an error nothing is left at `path`.
  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string& path);

  // Reads everything stored again, checks checksums, counts and hashes, and compares it with what
  // is served. data_loss names the first difference. Writers wait meanwhile, readers do not.
  [[nodiscard]] Result<VerifyReport> verify() const;

  [[nodiscard]] DatabaseStats stats() const;

  // Waits for running writes, makes everything durable, and releases the folder. Calls that come
  // later return unavailable. Closing twice is ok.
  [[nodiscard]] Status close();

 private:
  friend class engine::DatabaseAccess;
  explicit Database(std::shared_ptr<engine::DatabaseCore> core);
  std::shared_ptr<engine::DatabaseCore> core_;
};

}  // namespace vecserve
