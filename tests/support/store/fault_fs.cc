// Faults and power loss for tests; see fault_fs.h. Any thread.
// Always holds: in power-loss mode the real files change only in apply_change_, sync_inode and the
// folder operations that are durable at once.
#include "tests/support/store/fault_fs.h"

#include <algorithm>
#include <set>

#include "tests/support/store/fault_file.h"

namespace vecserve::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// RocksDB writes a//b and a/ at times.
std::string plain(const std::string& path) {
  std::string result;
  for (const char c : path) {
    if (c != '/' || result.empty() || result.back() != '/') result.push_back(c);
  }
  while (result.size() > 1 && result.back() == '/') result.pop_back();
  return result;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash);
}

bool is_folder(rocksdb::FileSystem& fs, const std::string& path) {
  bool result = false;
  return fs.IsDirectory(path, IOOptions(), &result, nullptr).ok() && result;
}

}  // namespace

FaultFileSystem::FaultFileSystem(PowerLoss power_loss)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), power_loss_(power_loss == PowerLoss::on) {}

FaultFileSystem::~FaultFileSystem() = default;

// -- The test's side
// ---------------------------------------------------------------------------------

void FaultFileSystem::arm(const Fault& fault) {
  const std::lock_guard<std::mutex> lock(mutex_);
  fault_ = fault;
  armed_ = true;
  matched_ = 0;
  failed_ = 0;
}

void FaultFileSystem::disarm() {
  const std::lock_guard<std::mutex> lock(mutex_);
  armed_ = false;
}

std::uint64_t FaultFileSystem::matched() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return matched_;
}

std::uint64_t FaultFileSystem::failed() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failed_;
}

void FaultFileSystem::cut_power() {
  Fault all;
  all.sticky = true;
  arm(all);
}

void FaultFileSystem::lose_power() {
  disarm();
  const std::lock_guard<std::mutex> lock(mutex_);
  files_.clear();
  durable_.clear();
  waiting_.clear();
}

IOStatus FaultFileSystem::step(unsigned kind, const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!armed_ || (fault_.kinds & kind) == 0) return IOStatus::OK();
  if (path.find(fault_.name_contains) == std::string::npos) return IOStatus::OK();
  matched_ += 1;
  const bool now = fault_.sticky ? matched_ >= fault_.nth : matched_ == fault_.nth;
  if (!now) return IOStatus::OK();
  failed_ += 1;
  return fault_.disk_full ? IOStatus::NoSpace("injected: disk full", path)
                          : IOStatus::IOError("injected: I/O error", path);
}

bool FaultFileSystem::half_appends() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return fault_.half;
}

// -- Files as the process sees them, and on disk
// -----------------------------------------------------

FaultFileSystem::InodePtr FaultFileSystem::find(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = files_.find(path);
  return found == files_.end() ? nullptr : found->second;
}

bool FaultFileSystem::hidden(const std::string& path) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = files_.find(path);
  return found != files_.end() && found->second == nullptr;
}

IOStatus FaultFileSystem::missing(const std::string& path) const {
  return IOStatus::PathNotFound("no such file", path);
}

FaultFileSystem::InodePtr FaultFileSystem::make(const std::string& path, std::string bytes,
                                                std::size_t synced) {
  auto inode = std::make_shared<Inode>();
  inode->bytes = std::move(bytes);
  inode->synced = synced;
  const std::lock_guard<std::mutex> lock(mutex_);
  files_[path] = inode;
  waiting_[folder_of(path)].push_back({Change::Kind::create, path, "", inode});
  return inode;
}

IOStatus FaultFileSystem::sync_inode(const InodePtr& inode) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::lock_guard<std::mutex> inode_lock(inode->mutex);
  const std::size_t before = inode->synced;
  inode->synced = inode->bytes.size();
  const auto on_disk = std::find_if(durable_.begin(), durable_.end(),
                                    [&](const auto& entry) { return entry.second == inode; });
  if (on_disk == durable_.end()) return IOStatus::OK();  // its name comes later, or never
  std::unique_ptr<rocksdb::FSWritableFile> file;
  IOStatus status = target()->ReopenWritableFile(on_disk->first, FileOptions(), &file, nullptr);
  if (!status.ok()) return status;
  const rocksdb::Slice fresh(inode->bytes.data() + before, inode->synced - before);
  status = file->Append(fresh, IOOptions(), nullptr);
  return status.ok() ? file->Close(IOOptions(), nullptr) : status;
}

IOStatus FaultFileSystem::sync_names(const std::string& folder) {
  if (!power_loss_) return IOStatus::OK();
  const std::lock_guard<std::mutex> lock(mutex_);
  const std::vector<Change> changes = std::move(waiting_[folder]);
  waiting_.erase(folder);
  for (const Change& change : changes) {
    const IOStatus status = apply_change_(change);
    if (!status.ok()) return status;
  }
  return IOStatus::OK();
}

IOStatus FaultFileSystem::apply_change_(const Change& change) {
  const auto forget = [this](const std::string& path) {
    const auto found = files_.find(path);
    if (found != files_.end() && found->second == nullptr) files_.erase(found);
  };
  if (change.kind == Change::Kind::create) return write_durable_(change.path, change.inode);
  if (change.kind == Change::Kind::remove) {
    durable_.erase(change.path);
    forget(change.path);
    return target()->DeleteFile(change.path, IOOptions(), nullptr);
  }
  const auto known = durable_.find(change.path);
  const InodePtr inode = known == durable_.end() ? nullptr : known->second;
  if (inode != nullptr) durable_[change.target] = inode;
  if (change.kind == Change::Kind::link) {
    return target()->LinkFile(change.path, change.target, IOOptions(), nullptr);
  }
  durable_.erase(change.path);
  forget(change.path);
  return target()->RenameFile(change.path, change.target, IOOptions(), nullptr);
}

IOStatus FaultFileSystem::write_durable_(const std::string& path, const InodePtr& inode) {
  const std::lock_guard<std::mutex> inode_lock(inode->mutex);
  std::unique_ptr<rocksdb::FSWritableFile> file;
  IOStatus status = target()->NewWritableFile(path, FileOptions(), &file, nullptr);
  if (!status.ok()) return status;
  durable_[path] = inode;
  status = file->Append(rocksdb::Slice(inode->bytes.data(), inode->synced), IOOptions(), nullptr);
  return status.ok() ? file->Close(IOOptions(), nullptr) : status;
}

void FaultFileSystem::rename_folder_(const std::string& from, const std::string& to) {
  for (auto* names : {&files_, &durable_}) {
    std::map<std::string, InodePtr> renamed;
    for (auto& [path, inode] : *names) {
      const bool inside = path.starts_with(from + "/");
      renamed[inside ? to + path.substr(from.size()) : path] = inode;
    }
    names->swap(renamed);
  }
}

// -- RocksDB's side: opening
// ---------------------------------------------------------------------------

IOStatus FaultFileSystem::NewSequentialFile(const std::string& given, const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSSequentialFile>* result,
                                            IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kOpen, path);
  if (!status.ok()) return status;
  InodePtr inode = find(path);
  std::unique_ptr<rocksdb::FSSequentialFile> real;
  if (inode == nullptr) {
    if (hidden(path)) return missing(path);
    status = target()->NewSequentialFile(path, options, &real, debug);
    if (!status.ok()) return status;
  }
  *result = std::make_unique<FaultSequentialFile>(*this, path, std::move(real), std::move(inode));
  return IOStatus::OK();
}

IOStatus FaultFileSystem::NewRandomAccessFile(const std::string& given, const FileOptions& options,
                                              std::unique_ptr<rocksdb::FSRandomAccessFile>* result,
                                              IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kOpen, path);
  if (!status.ok()) return status;
  InodePtr inode = find(path);
  std::unique_ptr<rocksdb::FSRandomAccessFile> real;
  if (inode == nullptr) {
    if (hidden(path)) return missing(path);
    status = target()->NewRandomAccessFile(path, options, &real, debug);
    if (!status.ok()) return status;
  }
  *result = std::make_unique<FaultRandomAccessFile>(*this, path, std::move(real), std::move(inode));
  return IOStatus::OK();
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& given, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* result,
                                          IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kOpen, path);
  if (!status.ok()) return status;
  std::unique_ptr<rocksdb::FSWritableFile> real;
  InodePtr inode;
  if (power_loss_) {
    inode = make(path, "", 0);
  } else {
    status = target()->NewWritableFile(path, options, &real, debug);
    if (!status.ok()) return status;
  }
  *result = std::make_unique<FaultWritableFile>(*this, path, std::move(real), std::move(inode));
  return IOStatus::OK();
}

IOStatus FaultFileSystem::ReopenWritableFile(const std::string& given, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* result,
                                             IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kOpen, path);
  if (!status.ok()) return status;
  InodePtr inode = find(path);
  std::unique_ptr<rocksdb::FSWritableFile> real;
  if (inode == nullptr) {
    // A file of an earlier life, opened to be synced: what is on disk is durable as it is.
    status = target()->ReopenWritableFile(path, options, &real, debug);
    if (!status.ok()) return status;
  }
  *result = std::make_unique<FaultWritableFile>(*this, path, std::move(real), std::move(inode));
  return IOStatus::OK();
}

IOStatus FaultFileSystem::ReuseWritableFile(const std::string& path, const std::string& old_path,
                                            const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSWritableFile>* result,
                                            IODebugContext* debug) {
  if (power_loss_) return IOStatus::NotSupported("reused files");
  return FileSystemWrapper::ReuseWritableFile(path, old_path, options, result, debug);
}

IOStatus FaultFileSystem::NewRandomRWFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSRandomRWFile>* result,
                                          IODebugContext* debug) {
  if (power_loss_) return IOStatus::NotSupported("files to read and write");
  return FileSystemWrapper::NewRandomRWFile(path, options, result, debug);
}

IOStatus FaultFileSystem::NewDirectory(const std::string& given, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* result,
                                       IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kOpen, path);
  std::unique_ptr<rocksdb::FSDirectory> real;
  if (status.ok()) status = target()->NewDirectory(path, options, &real, debug);
  if (!status.ok()) return status;
  *result = std::make_unique<FaultDirectory>(*this, path, std::move(real));
  return IOStatus::OK();
}

// -- RocksDB's side: names
// -----------------------------------------------------------------------------

IOStatus FaultFileSystem::FileExists(const std::string& given, const IOOptions& options,
                                     IODebugContext* debug) {
  const std::string path = plain(given);
  const IOStatus status = step(fault::kList, path);
  if (!status.ok()) return status;
  if (find(path) != nullptr) return IOStatus::OK();
  if (hidden(path)) return IOStatus::NotFound(path);
  return target()->FileExists(path, options, debug);
}

IOStatus FaultFileSystem::GetChildren(const std::string& given, const IOOptions& options,
                                      std::vector<std::string>* result, IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kList, path);
  std::vector<std::string> real;
  if (status.ok()) status = target()->GetChildren(path, options, &real, debug);
  if (!status.ok()) return status;
  std::set<std::string> names(real.begin(), real.end());
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [file, inode] : files_) {
    if (folder_of(file) != path) continue;
    const std::string name = file.substr(path.size() + 1);
    if (inode != nullptr) {
      names.insert(name);
    } else {
      names.erase(name);
    }
  }
  result->assign(names.begin(), names.end());
  return IOStatus::OK();
}

IOStatus FaultFileSystem::GetChildrenFileAttributes(const std::string& path,
                                                    const IOOptions& options,
                                                    std::vector<rocksdb::FileAttributes>* result,
                                                    IODebugContext* debug) {
  std::vector<std::string> names;
  IOStatus status = GetChildren(path, options, &names, debug);
  result->clear();
  for (const std::string& name : names) {
    rocksdb::FileAttributes attributes;
    attributes.name = name;
    if (!GetFileSize(path + "/" + name, options, &attributes.size_bytes, debug).ok()) continue;
    result->push_back(attributes);
  }
  return status;
}

IOStatus FaultFileSystem::GetFileSize(const std::string& given, const IOOptions& options,
                                      std::uint64_t* size, IODebugContext* debug) {
  const std::string path = plain(given);
  const IOStatus status = step(fault::kList, path);
  if (!status.ok()) return status;
  if (const InodePtr inode = find(path)) {
    const std::lock_guard<std::mutex> lock(inode->mutex);
    *size = inode->bytes.size();
    return IOStatus::OK();
  }
  return hidden(path) ? missing(path) : target()->GetFileSize(path, options, size, debug);
}

IOStatus FaultFileSystem::GetFileModificationTime(const std::string& given,
                                                  const IOOptions& options, std::uint64_t* time,
                                                  IODebugContext* debug) {
  const std::string path = plain(given);
  if (find(path) != nullptr) {
    *time = 0;
    return IOStatus::OK();
  }
  return target()->GetFileModificationTime(path, options, time, debug);
}

IOStatus FaultFileSystem::DeleteFile(const std::string& given, const IOOptions& options,
                                     IODebugContext* debug) {
  const std::string path = plain(given);
  const IOStatus status = step(fault::kRemove, path);
  if (!status.ok()) return status;
  if (!power_loss_) return target()->DeleteFile(path, options, debug);
  if (hidden(path)) return missing(path);
  if (find(path) == nullptr) {
    const IOStatus exists = target()->FileExists(path, options, debug);
    if (!exists.ok()) return missing(path);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  files_[path] = nullptr;
  waiting_[folder_of(path)].push_back({Change::Kind::remove, path, "", nullptr});
  return IOStatus::OK();
}

IOStatus FaultFileSystem::Truncate(const std::string& given, std::size_t size,
                                   const IOOptions& options, IODebugContext* debug) {
  const std::string path = plain(given);
  if (const InodePtr inode = find(path)) {
    const std::lock_guard<std::mutex> lock(inode->mutex);
    inode->bytes.resize(size);
    return IOStatus::OK();
  }
  return target()->Truncate(path, size, options, debug);
}

IOStatus FaultFileSystem::CreateDir(const std::string& path, const IOOptions& options,
                                    IODebugContext* debug) {
  const IOStatus status = step(fault::kMakeFolder, path);
  return status.ok() ? target()->CreateDir(path, options, debug) : status;
}

IOStatus FaultFileSystem::CreateDirIfMissing(const std::string& path, const IOOptions& options,
                                             IODebugContext* debug) {
  const IOStatus status = step(fault::kMakeFolder, path);
  return status.ok() ? target()->CreateDirIfMissing(path, options, debug) : status;
}

IOStatus FaultFileSystem::DeleteDir(const std::string& given, const IOOptions& options,
                                    IODebugContext* debug) {
  const std::string path = plain(given);
  IOStatus status = step(fault::kRemove, path);
  if (status.ok()) status = sync_names(path);  // a folder that goes takes its names with it
  return status.ok() ? target()->DeleteDir(path, options, debug) : status;
}

IOStatus FaultFileSystem::RenameFile(const std::string& from_given, const std::string& to_given,
                                     const IOOptions& options, IODebugContext* debug) {
  const std::string from = plain(from_given);
  const std::string to = plain(to_given);
  IOStatus status = step(fault::kRename, to);
  if (!status.ok()) return status;
  if (power_loss_ && is_folder(*target(), from)) {
    status = sync_names(from);
    if (status.ok()) status = target()->RenameFile(from, to, options, debug);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (status.ok()) rename_folder_(from, to);
    return status;
  }
  const InodePtr inode = find(from);
  if (inode == nullptr) {
    // Not in power-loss mode, or a file that carries no data, such as the information log.
    return hidden(from) ? missing(from) : target()->RenameFile(from, to, options, debug);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  files_[to] = inode;
  files_[from] = nullptr;
  waiting_[folder_of(to)].push_back({Change::Kind::rename, from, to, nullptr});
  return IOStatus::OK();
}

IOStatus FaultFileSystem::LinkFile(const std::string& from_given, const std::string& to_given,
                                   const IOOptions& options, IODebugContext* debug) {
  const std::string from = plain(from_given);
  const std::string to = plain(to_given);
  IOStatus status = step(fault::kRename, to);
  if (!status.ok()) return status;
  const InodePtr inode = find(from);
  if (inode == nullptr) {
    return hidden(from) ? missing(from) : target()->LinkFile(from, to, options, debug);
  }
  status = sync_names(folder_of(from));  // the name that it links to comes first
  if (!status.ok()) return status;
  const std::lock_guard<std::mutex> lock(mutex_);
  files_[to] = inode;
  waiting_[folder_of(to)].push_back({Change::Kind::link, from, to, nullptr});
  return IOStatus::OK();
}

}  // namespace vecserve::engine
