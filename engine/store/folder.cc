// Locks, lists, writes, copies and removes what a database folder consists of; see folder.h.
// Any thread.
// Always holds: a failed step removes its own unfinished file where it can and reports the failure;
// nothing is tried twice.
#include "engine/store/folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "engine/store/cache_folder.h"
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;

constexpr std::size_t kCopyBytes = std::size_t{1} << 20;  // one read and write of a copy

Status system_error(const std::string& doing) {
  const int error = errno;
  return {
      error == ENOSPC || error == EDQUOT ? StatusCode::resource_exhausted : StatusCode::io_error,
      doing + ": " + std::strerror(error)};
}

bool has_suffix(std::string_view name, std::string_view suffix) {
  return name.ends_with(suffix);
}

bool is_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Status write_contents(rocksdb::FileSystem& fs, const std::string& path, std::string_view contents) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  const std::string doing = "writing " + path;
  VECSERVE_TRY(from_rocks(fs.NewWritableFile(path, FileOptions(), &file, nullptr), doing));
  const rocksdb::Slice slice(contents.data(), contents.size());
  VECSERVE_TRY(from_rocks(file->Append(slice, IOOptions(), nullptr), doing));
  VECSERVE_TRY(from_rocks(file->Fsync(IOOptions(), nullptr), doing));
  return from_rocks(file->Close(IOOptions(), nullptr), doing);
}

}  // namespace

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  if (this != &other) {
    release();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Result<FolderLock> FolderLock::acquire(const std::string& path, Mode mode) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error("opening folder " + path);
  FolderLock lock(fd);
  const int operation = (mode == Mode::shared ? LOCK_SH : LOCK_EX) | LOCK_NB;
  int done = -1;
  do {
    done = ::flock(fd, operation);
  } while (done != 0 && errno == EINTR);
  if (done == 0) return lock;
  if (errno == EWOULDBLOCK) {
    return {StatusCode::failed_precondition, "the database at " + path + " is open elsewhere"};
  }
  return system_error("locking folder " + path);
}

void FolderLock::release() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));  // gives the lock back
}

Result<PathKind> path_kind(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) {
    return S_ISDIR(info.st_mode) ? PathKind::folder : PathKind::other;
  }
  if (errno == ENOENT) return PathKind::absent;
  if (errno == ENOTDIR) return PathKind::other;
  return system_error("looking at " + path);
}

std::string without_trailing_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string parent_folder(const std::string& path) {
  const std::string plain = without_trailing_slashes(path);
  const std::size_t slash = plain.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : plain.substr(0, slash);
}

Result<std::vector<std::string>> list_folder(rocksdb::FileSystem& fs, const std::string& path) {
  std::vector<std::string> names;
  const auto status = fs.GetChildren(path, IOOptions(), &names, nullptr);
  if (!status.ok()) return from_rocks(status, "listing " + path);
  std::erase_if(names, [](const std::string& name) { return name == "." || name == ".."; });
  std::sort(names.begin(), names.end());
  return names;
}

bool is_data_file(std::string_view name) {
  if (name == "CURRENT" || name == "IDENTITY" || name == "WATERMARK") return true;
  if (name.starts_with("MANIFEST-")) return is_number(name.substr(9));
  for (const std::string_view suffix : {".sst", ".log"}) {
    if (has_suffix(name, suffix)) return is_number(name.substr(0, name.size() - suffix.size()));
  }
  return false;
}

bool is_database_file(std::string_view name) {
  if (is_data_file(name) || name == "LOCK" || name == "LOG" || name == "WATERMARK.tmp") return true;
  if (name == "TAIL" || name == "TAIL.tmp") return true;
  std::uint32_t collection = 0;
  bool unfinished = false;
  if (is_cache_file(name, collection, unfinished)) return true;
  if (name.starts_with("LOG.old.")) return true;
  if (name.starts_with("OPTIONS-")) return true;
  return has_suffix(name, ".dbtmp") && is_number(name.substr(0, name.size() - 6));
}

Status sync_folder(rocksdb::FileSystem& fs, const std::string& path) {
  std::unique_ptr<rocksdb::FSDirectory> folder;
  const std::string doing = "syncing folder " + path;
  VECSERVE_TRY(from_rocks(fs.NewDirectory(path, IOOptions(), &folder, nullptr), doing));
  VECSERVE_TRY(from_rocks(folder->Fsync(IOOptions(), nullptr), doing));
  const auto closed = folder->Close(IOOptions(), nullptr);
  return closed.IsNotSupported() ? Status() : from_rocks(closed, doing);
}

Status make_folder(rocksdb::FileSystem& fs, const std::string& path) {
  const auto made = fs.CreateDirIfMissing(path, IOOptions(), nullptr);
  VECSERVE_TRY(from_rocks(made, "making folder " + path));
  return sync_folder(fs, parent_folder(path));
}

Status write_file(rocksdb::FileSystem& fs, const std::string& folder, const std::string& name,
                  std::string_view contents) {
  const std::string path = folder + "/" + name;
  const std::string unfinished = path + ".tmp";
  Status status = write_contents(fs, unfinished, contents);
  if (status.ok()) {
    status = from_rocks(fs.RenameFile(unfinished, path, IOOptions(), nullptr), "renaming " + path);
  }
  if (!status.ok()) {
    // What is left of it harms nothing and is overwritten by the next write.
    fs.DeleteFile(unfinished, IOOptions(), nullptr).PermitUncheckedError();
    return status;
  }
  return sync_folder(fs, folder);
}

Result<std::string> read_file(rocksdb::FileSystem& fs, const std::string& path,
                              std::size_t size_max) {
  const std::string doing = "reading " + path;
  std::unique_ptr<rocksdb::FSSequentialFile> file;
  const auto opened = fs.NewSequentialFile(path, FileOptions(), &file, nullptr);
  if (opened.IsPathNotFound() || opened.IsNotFound()) {
    return {StatusCode::not_found, doing + ": there is no such file"};
  }
  if (!opened.ok()) return from_rocks(opened, doing);
  std::string contents;
  std::string scratch(size_max + 1, '\0');
  while (contents.size() <= size_max) {
    rocksdb::Slice part;
    const auto read = file->Read(scratch.size(), IOOptions(), &part, scratch.data(), nullptr);
    if (!read.ok()) return from_rocks(read, doing);
    if (part.empty()) return contents;
    contents.append(part.data(), part.size());
  }
  return {StatusCode::data_loss, doing + ": longer than it can be"};
}

Status copy_file(rocksdb::FileSystem& fs, const std::string& from, const std::string& to) {
  const std::string doing = "copying " + from + " to " + to;
  std::unique_ptr<rocksdb::FSSequentialFile> in;
  std::unique_ptr<rocksdb::FSWritableFile> out;
  VECSERVE_TRY(from_rocks(fs.NewSequentialFile(from, FileOptions(), &in, nullptr), doing));
  VECSERVE_TRY(from_rocks(fs.NewWritableFile(to, FileOptions(), &out, nullptr), doing));
  std::string scratch(kCopyBytes, '\0');
  for (;;) {
    rocksdb::Slice part;
    const auto read = in->Read(scratch.size(), IOOptions(), &part, scratch.data(), nullptr);
    VECSERVE_TRY(from_rocks(read, doing));
    if (part.empty()) break;
    VECSERVE_TRY(from_rocks(out->Append(part, IOOptions(), nullptr), doing));
  }
  VECSERVE_TRY(from_rocks(out->Fsync(IOOptions(), nullptr), doing));
  return from_rocks(out->Close(IOOptions(), nullptr), doing);
}

Status sync_file(rocksdb::FileSystem& fs, const std::string& path) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  const std::string doing = "syncing " + path;
  VECSERVE_TRY(from_rocks(fs.ReopenWritableFile(path, FileOptions(), &file, nullptr), doing));
  VECSERVE_TRY(from_rocks(file->Fsync(IOOptions(), nullptr), doing));
  return from_rocks(file->Close(IOOptions(), nullptr), doing);
}

Status remove_folder(rocksdb::FileSystem& fs, const std::string& path) {
  auto kind = path_kind(path);
  if (!kind.ok()) return kind.status();
  if (*kind == PathKind::absent) return {};
  auto names = list_folder(fs, path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string file = path + "/" + name;
    VECSERVE_TRY(from_rocks(fs.DeleteFile(file, IOOptions(), nullptr), "removing " + file));
  }
  VECSERVE_TRY(from_rocks(fs.DeleteDir(path, IOOptions(), nullptr), "removing folder " + path));
  return sync_folder(fs, parent_folder(path));
}

Status publish_folder(rocksdb::FileSystem& fs, const std::string& from, const std::string& to) {
  auto kind = path_kind(to);
  if (!kind.ok()) return kind.status();
  if (*kind != PathKind::absent) return {StatusCode::already_exists, to + " exists already"};
  const auto renamed = fs.RenameFile(from, to, IOOptions(), nullptr);
  VECSERVE_TRY(from_rocks(renamed, "renaming " + from + " to " + to));
  return sync_folder(fs, parent_folder(to));
}

}  // namespace vecserve::engine
