// A file system for tests of crashes and failing disks: it passes everything on to the real one,
// but can make the n-th operation of chosen kinds fail, and can keep what was not synced in memory
// only, so that killing the process loses exactly what a power loss would. Any thread. Always
// holds: without an armed fault and without power-loss mode it changes nothing; in power-loss mode
// the files on disk are always a state that a power loss could have left.
//
// What power-loss mode assumes, the harshest that POSIX allows but for the last two points: bytes
// reach the disk at a sync of their file; new names, renames, links and removals of files reach it,
// in order, at a sync of their folder. Making and renaming folders is durable at once, and so is
// everything in a folder when it is renamed. Files that the process did not write are only read.
#pragma once

#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace vecserve::engine {

// Kinds of operations, to be or-ed together.
namespace fault {
inline constexpr unsigned kOpen = 1;  // opening a file, to read or to write
inline constexpr unsigned kRead = 2;
inline constexpr unsigned kAppend = 4;
inline constexpr unsigned kSync = 8;  // of a file
inline constexpr unsigned kFolderSync = 16;
inline constexpr unsigned kRename = 32;  // and link
inline constexpr unsigned kRemove = 64;
inline constexpr unsigned kMakeFolder = 128;
inline constexpr unsigned kList = 256;  // folders, sizes, whether a file exists
inline constexpr unsigned kWrites = kOpen | kAppend | kSync | kFolderSync | kRename | kMakeFolder;
inline constexpr unsigned kAll = 511;
}  // namespace fault

struct Fault {
  unsigned kinds = fault::kAll;
  std::uint64_t nth = 1;      // from the moment of arming; the first is 1
  bool sticky = false;        // that one only, or all from then on
  bool disk_full = false;     // ENOSPC rather than EIO
  bool half = false;          // an append that fails writes half of its bytes first
  std::string name_contains;  // only operations on paths with this in them; "": all
};

class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  enum class PowerLoss { off, on };

  explicit FaultFileSystem(PowerLoss power_loss = PowerLoss::off);
  ~FaultFileSystem() override;
  static const char* kClassName() { return "FaultFileSystem"; }
  const char* Name() const override { return kClassName(); }

  // -- The test's side
  // -----------------------------------------------------------------------------

  void arm(const Fault& fault);
  void disarm();
  [[nodiscard]] std::uint64_t matched() const;  // operations of the armed kinds, since arming
  [[nodiscard]] std::uint64_t failed() const;   // of them, made to fail
  // A power loss in two steps: from cut_power on every operation fails, so that whatever is open
  // can be closed without effect; lose_power then forgets all that is not durable, and works again.
  void cut_power();
  void lose_power();

  // -- RocksDB's side
  // ------------------------------------------------------------------------------

  using Options = rocksdb::IOOptions;
  using Debug = rocksdb::IODebugContext;
  rocksdb::IOStatus NewSequentialFile(const std::string& path, const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                      Debug* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                        Debug* debug) override;
  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    Debug* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* result,
                                       Debug* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old_path,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      Debug* debug) override;
  rocksdb::IOStatus NewRandomRWFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                    Debug* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const Options& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 Debug* debug) override;
  rocksdb::IOStatus FileExists(const std::string& path, const Options& options,
                               Debug* debug) override;
  rocksdb::IOStatus GetChildren(const std::string& path, const Options& options,
                                std::vector<std::string>* result, Debug* debug) override;
  rocksdb::IOStatus GetChildrenFileAttributes(const std::string& path, const Options& options,
                                              std::vector<rocksdb::FileAttributes>* result,
                                              Debug* debug) override;
  rocksdb::IOStatus GetFileSize(const std::string& path, const Options& options,
                                std::uint64_t* size, Debug* debug) override;
  rocksdb::IOStatus GetFileModificationTime(const std::string& path, const Options& options,
                                            std::uint64_t* time, Debug* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const Options& options,
                               Debug* debug) override;
  rocksdb::IOStatus Truncate(const std::string& path, std::size_t size, const Options& options,
                             Debug* debug) override;
  rocksdb::IOStatus CreateDir(const std::string& path, const Options& options,
                              Debug* debug) override;
  rocksdb::IOStatus CreateDirIfMissing(const std::string& path, const Options& options,
                                       Debug* debug) override;
  rocksdb::IOStatus DeleteDir(const std::string& path, const Options& options,
                              Debug* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const Options& options, Debug* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to, const Options& options,
                             Debug* debug) override;

 private:
  friend class FaultWritableFile;
  friend class FaultSequentialFile;
  friend class FaultRandomAccessFile;
  friend class FaultDirectory;

  // A file written by this process, in power-loss mode.
  struct Inode {
    std::mutex mutex;
    std::string bytes;       // guarded by mutex
    std::size_t synced = 0;  // guarded by mutex; how many of them a sync has covered
  };
  using InodePtr = std::shared_ptr<Inode>;
  // A change of names that waits for a sync of its folder.
  struct Change {
    enum class Kind { create, rename, link, remove } kind;
    std::string path;
    std::string target;  // of a rename and a link
    InodePtr inode;      // of a create
  };

  // Counts the operation; an error when it is the one to fail.
  rocksdb::IOStatus step(unsigned kind, const std::string& path);
  [[nodiscard]] bool half_appends() const;

  // Power-loss mode. Those with an underscore at the end need mutex_ held.
  [[nodiscard]] InodePtr find(const std::string& path) const;  // null: not written by us
  [[nodiscard]] bool hidden(const std::string& path) const;    // removed, but not yet on disk
  [[nodiscard]] InodePtr make(const std::string& path, std::string bytes, std::size_t synced);
  rocksdb::IOStatus sync_inode(const InodePtr& inode);
  rocksdb::IOStatus sync_names(const std::string& folder);
  rocksdb::IOStatus apply_change_(const Change& change);
  rocksdb::IOStatus write_durable_(const std::string& path, const InodePtr& inode);
  void rename_folder_(const std::string& from, const std::string& to);
  rocksdb::IOStatus missing(const std::string& path) const;

  const bool power_loss_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  bool armed_ = false;
  Fault fault_;
  std::uint64_t matched_ = 0;
  std::uint64_t failed_ = 0;
  std::map<std::string, InodePtr> files_;               // as the process sees them; null: removed
  std::map<std::string, InodePtr> durable_;             // names on disk of files of ours
  std::map<std::string, std::vector<Change>> waiting_;  // by folder
};

// RocksDB waits a second after each failed write-out; tests have none to spare.
class ImpatientClock final : public rocksdb::SystemClockWrapper {
 public:
  ImpatientClock() : SystemClockWrapper(rocksdb::SystemClock::Default()) {}
  const char* Name() const override { return "ImpatientClock"; }
  void SleepForMicroseconds(int micros) override {
    SystemClockWrapper::SleepForMicroseconds(micros < 1'000 ? micros : 1'000);
  }
};

class ImpatientEnv final : public rocksdb::EnvWrapper {
 public:
  explicit ImpatientEnv(const std::shared_ptr<rocksdb::FileSystem>& fs)
      : EnvWrapper(rocksdb::NewCompositeEnv(fs)) {
    file_system_ = fs;
    system_clock_ = std::make_shared<ImpatientClock>();
  }
  const char* Name() const override { return "ImpatientEnv"; }
};

// An Env over a FaultFileSystem, as StoreOptions::rocksdb_env wants it.
struct FaultEnv {
  explicit FaultEnv(FaultFileSystem::PowerLoss power_loss = FaultFileSystem::PowerLoss::off)
      : fs(std::make_shared<FaultFileSystem>(power_loss)),
        env(std::make_unique<ImpatientEnv>(fs)) {}
  std::shared_ptr<FaultFileSystem> fs;
  std::unique_ptr<rocksdb::Env> env;
};

}  // namespace vecserve::engine
