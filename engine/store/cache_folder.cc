// See cache_folder.h.
// Any thread. Always holds: an unfinished file that cannot be removed harms nobody: the next writer
// overwrites it, and the next opening removes it.
#include "engine/store/cache_folder.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "engine/store/folder.h"
#include "engine/store/rocks_guard.h"
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;

constexpr std::string_view kPrefix = "CACHE-";
constexpr std::string_view kUnfinished = ".tmp";
// Written back in such pieces, so that the sync at the end has little left to do.
constexpr std::size_t kSyncBytes = std::size_t{4} << 20;

}  // namespace

struct CacheFolder::File {
  File(std::shared_ptr<CacheFolder> folder_in, std::string path_in, std::string name_in)
      : folder(std::move(folder_in)),
        path(std::move(path_in)),
        unfinished(path + std::string(kUnfinished)),
        name(std::move(name_in)) {}
  ~File() {
    static_cast<void>(guarded([this] {
      folder->abandon(*this);
      return Status();
    }));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::shared_ptr<CacheFolder> folder;
  std::string path;  // the one that counts
  std::string unfinished;
  std::string name;                               // for messages
  std::unique_ptr<rocksdb::FSWritableFile> file;  // null when it is finished or given up
  std::size_t unsynced = 0;
};

std::string CacheFolder::file_of(std::uint32_t collection) const {
  return path_ + "/" + std::string(kPrefix) + std::to_string(collection);
}

Status CacheFolder::open() const {
  return closed_ ? Status(StatusCode::unavailable, "the database is closed") : Status();
}

Result<std::unique_ptr<CacheWriter>> CacheFolder::write(std::uint32_t collection) {
  auto file =
      std::make_shared<File>(shared_from_this(), file_of(collection), std::to_string(collection));
  {
    const std::lock_guard lock(mutex_);
    VECSERVE_TRY(open());
    VECSERVE_TRY(
        from_rocks(fs_->NewWritableFile(file->unfinished, FileOptions(), &file->file, nullptr),
                   "writing the cache of collection " + file->name));
  }
  CacheSink sink;
  sink.append = [file](std::string_view bytes) { return file->folder->append(*file, bytes); };
  sink.finish = [file] { return file->folder->finish(*file); };
  return std::make_unique<CacheWriter>(std::move(sink), collection);
}

Status CacheFolder::append(File& file, std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  VECSERVE_TRY(open());
  if (file.file == nullptr) return {StatusCode::internal, "the cache is not being written"};
  const std::string doing = "writing the cache of collection " + file.name;
  const rocksdb::Slice slice(bytes.data(), bytes.size());
  VECSERVE_TRY(from_rocks(file.file->Append(slice, IOOptions(), nullptr), doing));
  file.unsynced += bytes.size();
  if (file.unsynced < kSyncBytes) return {};
  file.unsynced = 0;
  return from_rocks(file.file->Fsync(IOOptions(), nullptr), doing);
}

Status CacheFolder::finish(File& file) {
  const std::lock_guard lock(mutex_);
  VECSERVE_TRY(open());
  if (file.file == nullptr) return {StatusCode::internal, "the cache is not being written"};
  const std::string doing = "finishing the cache of collection " + file.name;
  VECSERVE_TRY(from_rocks(file.file->Fsync(IOOptions(), nullptr), doing));
  VECSERVE_TRY(from_rocks(file.file->Close(IOOptions(), nullptr), doing));
  VECSERVE_TRY(
      from_rocks(fs_->RenameFile(file.unfinished, file.path, IOOptions(), nullptr), doing));
  file.file.reset();
  return sync_folder(*fs_, path_);
}

void CacheFolder::abandon(File& file) {
  const std::lock_guard lock(mutex_);
  if (file.file == nullptr) return;
  file.file->Close(IOOptions(), nullptr).PermitUncheckedError();
  file.file.reset();
  if (closed_) return;  // the folder may be somebody else's by now
  fs_->DeleteFile(file.unfinished, IOOptions(), nullptr).PermitUncheckedError();
}

Result<std::unique_ptr<CacheReader>> CacheFolder::read(std::uint32_t collection) {
  const std::string path = file_of(collection);
  const std::string doing = "reading " + path;
  std::unique_ptr<rocksdb::FSSequentialFile> opened;
  const auto status = fs_->NewSequentialFile(path, FileOptions(), &opened, nullptr);
  if (status.IsPathNotFound() || status.IsNotFound()) {
    return {StatusCode::not_found, doing + ": there is no such file"};
  }
  VECSERVE_TRY(from_rocks(status, doing));
  const std::shared_ptr<rocksdb::FSSequentialFile> file(std::move(opened));
  return std::make_unique<CacheReader>(
      [file, doing](std::span<char> to) -> Result<std::size_t> {
        std::size_t filled = 0;
        while (filled < to.size()) {
          rocksdb::Slice part;
          VECSERVE_TRY(from_rocks(
              file->Read(to.size() - filled, IOOptions(), &part, to.data() + filled, nullptr),
              doing));
          if (part.empty()) break;
          // The file may have given its own memory.
          if (part.data() != to.data() + filled) {
            std::copy_n(part.data(), part.size(), to.data() + filled);
          }
          filled += part.size();
        }
        return filled;
      },
      collection);
}

Status CacheFolder::remove(std::uint32_t collection) {
  const std::lock_guard lock(mutex_);
  VECSERVE_TRY(open());
  const std::string path = file_of(collection);
  if (!fs_->FileExists(path, IOOptions(), nullptr).ok()) return {};
  return from_rocks(fs_->DeleteFile(path, IOOptions(), nullptr), "removing " + path);
}

void CacheFolder::tidy(std::span<const std::uint32_t> known) {
  const auto names = list_folder(*fs_, path_);
  if (!names.ok()) return;
  for (const std::string& name : *names) {
    std::uint32_t collection = 0;
    bool unfinished = false;
    if (!is_cache_file(name, collection, unfinished)) continue;
    if (!unfinished && std::binary_search(known.begin(), known.end(), collection)) continue;
    fs_->DeleteFile(path_ + "/" + name, IOOptions(), nullptr).PermitUncheckedError();
  }
}

void CacheFolder::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
}

bool is_cache_file(std::string_view name, std::uint32_t& collection, bool& unfinished) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  unfinished = name.ends_with(kUnfinished);
  if (unfinished) name.remove_suffix(kUnfinished.size());
  const auto read = std::from_chars(name.data(), name.data() + name.size(), collection);
  return read.ec == std::errc() && read.ptr == name.data() + name.size() &&
         std::to_string(collection) == name;
}

}  // namespace vecserve::engine
