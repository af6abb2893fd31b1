// Open files that may fail and, in power-loss mode, live in memory; see fault_file.h. Any thread.
// Nothing is ever synced to the real disk: these tests kill processes, not machines, and each sync
// would cost milliseconds.
// Always holds: a failed operation had no effect, but for an append that was to stop halfway.
#include "tests/support/store/fault_file.h"

#include <algorithm>
#include <cstring>

namespace vecserve::engine {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

IOStatus FaultWritableFile::append_now(const Slice& data, const IOOptions& options,
                                       IODebugContext* debug) {
  if (real_ != nullptr) return real_->Append(data, options, debug);
  const std::lock_guard<std::mutex> lock(inode_->mutex);
  inode_->bytes.append(data.data(), data.size());
  return IOStatus::OK();
}

IOStatus FaultWritableFile::Append(const Slice& data, const IOOptions& options,
                                   IODebugContext* debug) {
  const IOStatus status = fs_.step(fault::kAppend, path_);
  if (status.ok()) return append_now(data, options, debug);
  if (fs_.half_appends()) {
    append_now(Slice(data.data(), data.size() / 2), options, debug).PermitUncheckedError();
  }
  return status;
}

IOStatus FaultWritableFile::Truncate(std::uint64_t size, const IOOptions& options,
                                     IODebugContext* debug) {
  if (real_ != nullptr) return real_->Truncate(size, options, debug);
  const std::lock_guard<std::mutex> lock(inode_->mutex);
  inode_->bytes.resize(static_cast<std::size_t>(size));
  return IOStatus::OK();
}

IOStatus FaultWritableFile::Close(const IOOptions& options, IODebugContext* debug) {
  return real_ != nullptr ? real_->Close(options, debug) : IOStatus::OK();
}

IOStatus FaultWritableFile::Flush(const IOOptions& options, IODebugContext* debug) {
  return real_ != nullptr ? real_->Flush(options, debug) : IOStatus::OK();
}

IOStatus FaultWritableFile::Sync(const IOOptions& options, IODebugContext* debug) {
  const IOStatus status = fs_.step(fault::kSync, path_);
  if (!status.ok()) return status;
  return real_ != nullptr ? real_->Flush(options, debug) : fs_.sync_inode(inode_);
}

IOStatus FaultWritableFile::Fsync(const IOOptions& options, IODebugContext* debug) {
  const IOStatus status = fs_.step(fault::kSync, path_);
  if (!status.ok()) return status;
  return real_ != nullptr ? real_->Flush(options, debug) : fs_.sync_inode(inode_);
}

// Starts write-back and promises nothing.
IOStatus FaultWritableFile::RangeSync(std::uint64_t offset, std::uint64_t count,
                                      const IOOptions& options, IODebugContext* debug) {
  return real_ != nullptr ? real_->RangeSync(offset, count, options, debug) : IOStatus::OK();
}

std::uint64_t FaultWritableFile::GetFileSize(const IOOptions& options, IODebugContext* debug) {
  if (real_ != nullptr) return real_->GetFileSize(options, debug);
  const std::lock_guard<std::mutex> lock(inode_->mutex);
  return inode_->bytes.size();
}

IOStatus FaultSequentialFile::Read(std::size_t count, const IOOptions& options, Slice* result,
                                   char* scratch, IODebugContext* debug) {
  const IOStatus status = fs_.step(fault::kRead, path_);
  if (!status.ok()) return status;
  if (real_ != nullptr) return real_->Read(count, options, result, scratch, debug);
  const std::lock_guard<std::mutex> lock(inode_->mutex);
  const std::size_t from = std::min<std::size_t>(position_, inode_->bytes.size());
  const std::size_t got = std::min(count, inode_->bytes.size() - from);
  std::memcpy(scratch, inode_->bytes.data() + from, got);
  position_ = from + got;
  *result = Slice(scratch, got);
  return IOStatus::OK();
}

IOStatus FaultSequentialFile::Skip(std::uint64_t count) {
  if (real_ != nullptr) return real_->Skip(count);
  position_ += count;
  return IOStatus::OK();
}

IOStatus FaultRandomAccessFile::Read(std::uint64_t offset, std::size_t count,
                                     const IOOptions& options, Slice* result, char* scratch,
                                     IODebugContext* debug) const {
  const IOStatus status = fs_.step(fault::kRead, path_);
  if (!status.ok()) return status;
  if (real_ != nullptr) return real_->Read(offset, count, options, result, scratch, debug);
  const std::lock_guard<std::mutex> lock(inode_->mutex);
  const std::size_t from = std::min<std::size_t>(offset, inode_->bytes.size());
  const std::size_t got = std::min(count, inode_->bytes.size() - from);
  std::memcpy(scratch, inode_->bytes.data() + from, got);
  *result = Slice(scratch, got);
  return IOStatus::OK();
}

IOStatus FaultDirectory::Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) {
  const IOStatus status = fs_.step(fault::kFolderSync, path_);
  return status.ok() ? fs_.sync_names(path_) : status;
}

}  // namespace vecserve::engine
