// The open files of a FaultFileSystem. Each asks it before every operation whether to fail;
// written files are either the real ones or, in power-loss mode, bytes in memory. Made by
// fault_fs.cc. Used by RocksDB's threads; a file by one at a time, but for reading.
// Always holds: each has a real file or an inode, never both.
#pragma once

#include <memory>
#include <string>

#include "tests/support/store/fault_fs.h"

namespace vecserve::engine {

class FaultWritableFile final : public rocksdb::FSWritableFile {
 public:
  using Options = rocksdb::IOOptions;
  using Debug = rocksdb::IODebugContext;

  // Exactly one of `real` and `inode` is given.
  FaultWritableFile(FaultFileSystem& fs, std::string path,
                    std::unique_ptr<rocksdb::FSWritableFile> real, FaultFileSystem::InodePtr inode)
      : fs_(fs), path_(std::move(path)), real_(std::move(real)), inode_(std::move(inode)) {}

  using rocksdb::FSWritableFile::Append;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const Options& options,
                           Debug* debug) override;
  rocksdb::IOStatus Append(const rocksdb::Slice& data, const Options& options,
                           const rocksdb::DataVerificationInfo& /*info*/, Debug* debug) override {
    return Append(data, options, debug);
  }
  rocksdb::IOStatus Truncate(std::uint64_t size, const Options& options, Debug* debug) override;
  rocksdb::IOStatus Close(const Options& options, Debug* debug) override;
  rocksdb::IOStatus Flush(const Options& options, Debug* debug) override;
  rocksdb::IOStatus Sync(const Options& options, Debug* debug) override;
  rocksdb::IOStatus Fsync(const Options& options, Debug* debug) override;
  rocksdb::IOStatus RangeSync(std::uint64_t offset, std::uint64_t count, const Options& options,
                              Debug* debug) override;
  bool IsSyncThreadSafe() const override { return true; }
  std::uint64_t GetFileSize(const Options& options, Debug* debug) override;

 private:
  rocksdb::IOStatus append_now(const rocksdb::Slice& data, const Options& options, Debug* debug);

  FaultFileSystem& fs_;
  const std::string path_;
  const std::unique_ptr<rocksdb::FSWritableFile> real_;
  const FaultFileSystem::InodePtr inode_;
};

class FaultSequentialFile final : public rocksdb::FSSequentialFile {
 public:
  FaultSequentialFile(FaultFileSystem& fs, std::string path,
                      std::unique_ptr<rocksdb::FSSequentialFile> real,
                      FaultFileSystem::InodePtr inode)
      : fs_(fs), path_(std::move(path)), real_(std::move(real)), inode_(std::move(inode)) {}
  rocksdb::IOStatus Read(std::size_t count, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus Skip(std::uint64_t count) override;

 private:
  FaultFileSystem& fs_;
  const std::string path_;
  const std::unique_ptr<rocksdb::FSSequentialFile> real_;
  const FaultFileSystem::InodePtr inode_;
  std::uint64_t position_ = 0;
};

class FaultRandomAccessFile final : public rocksdb::FSRandomAccessFile {
 public:
  FaultRandomAccessFile(FaultFileSystem& fs, std::string path,
                        std::unique_ptr<rocksdb::FSRandomAccessFile> real,
                        FaultFileSystem::InodePtr inode)
      : fs_(fs), path_(std::move(path)), real_(std::move(real)), inode_(std::move(inode)) {}
  rocksdb::IOStatus Read(std::uint64_t offset, std::size_t count, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) const override;

 private:
  FaultFileSystem& fs_;
  const std::string path_;
  const std::unique_ptr<rocksdb::FSRandomAccessFile> real_;
  const FaultFileSystem::InodePtr inode_;
};

class FaultDirectory final : public rocksdb::FSDirectory {
 public:
  FaultDirectory(FaultFileSystem& fs, std::string path, std::unique_ptr<rocksdb::FSDirectory> real)
      : fs_(fs), path_(std::move(path)), real_(std::move(real)) {}
  rocksdb::IOStatus Fsync(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus FsyncWithDirOptions(const rocksdb::IOOptions& options,
                                        rocksdb::IODebugContext* debug,
                                        const rocksdb::DirFsyncOptions& /*dir*/) override {
    return Fsync(options, debug);
  }
  rocksdb::IOStatus Close(const rocksdb::IOOptions& options,
                          rocksdb::IODebugContext* debug) override {
    return real_->Close(options, debug);
  }

 private:
  FaultFileSystem& fs_;
  const std::string path_;
  const std::unique_ptr<rocksdb::FSDirectory> real_;
};

}  // namespace vecserve::engine
