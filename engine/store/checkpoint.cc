// Copies of a whole database: a checkpoint made while it is in use, and a restore of one. Each is
// built beside its final name, read back in full, and only then renamed. checkpoint() runs on the
// thread that asks, beside writes.
// Always holds: whatever stands at the final name was verified; after an error nothing does.
#include <rocksdb/utilities/checkpoint.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "engine/store/rocks_guard.h"
#include "engine/store/rocks_status.h"
#include "engine/store/rocks_store.h"
#include "engine/store/rocks_watch.h"

namespace vecserve::engine {
namespace {

constexpr char kUnfinished[] = ".partial";

// Reading a copy back is done by this many threads: it runs beside searches.
constexpr std::uint32_t kVerifyThreads = 2;

// Removes the unfinished copy unless told otherwise.
class Unfinished {
 public:
  Unfinished(rocksdb::FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  ~Unfinished() {
    if (!kept_) static_cast<void>(guarded([this] { return remove_folder(fs_, path_); }));
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { kept_ = true; }

 private:
  rocksdb::FileSystem& fs_;
  std::string path_;
  bool kept_ = false;
};

// `path` must be free and its parent there; what an earlier attempt left beside it goes.
Status prepare_target(rocksdb::FileSystem& fs, const std::string& path) {
  if (path.empty()) return Status::invalid_argument("path", "is empty");
  auto kind = path_kind(path);
  if (!kind.ok()) return kind.status();
  if (*kind != PathKind::absent) return {StatusCode::already_exists, path + " exists already"};
  auto parent = path_kind(parent_folder(path));
  if (!parent.ok()) return parent.status();
  if (*parent != PathKind::folder) {
    return {StatusCode::not_found, "the folder above " + path + " is missing"};
  }
  const std::string unfinished = path + kUnfinished;
  kind = path_kind(unfinished);
  if (!kind.ok()) return kind.status();
  if (*kind == PathKind::absent) return {};
  auto names = *kind == PathKind::folder
                   ? list_folder(fs, unfinished)
                   : Result<std::vector<std::string>>(StatusCode::already_exists,
                                                      unfinished + " is in the way");
  if (!names.ok()) return names.status();
  if (!std::all_of(names->begin(), names->end(),
                   [](const std::string& name) { return is_database_file(name); })) {
    return {StatusCode::already_exists, unfinished + " is in the way"};
  }
  return remove_folder(fs, unfinished);
}

Result<std::uint64_t> folder_bytes(rocksdb::FileSystem& fs, const std::string& path) {
  auto names = list_folder(fs, path);
  if (!names.ok()) return names.status();
  std::uint64_t sum = 0;
  for (const std::string& name : *names) {
    std::uint64_t bytes = 0;
    const auto status = fs.GetFileSize(path + "/" + name, rocksdb::IOOptions(), &bytes, nullptr);
    if (!status.ok()) return from_rocks(status, "measuring " + path);
    sum += bytes;
  }
  return sum;
}

// RocksDB does not sync all of what it puts into a checkpoint. Its table files are links to files
// that were synced when they were finished.
Status sync_copy(rocksdb::FileSystem& fs, const std::string& path) {
  auto names = list_folder(fs, path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!name.ends_with(".sst")) VECSERVE_TRY(sync_file(fs, path + "/" + name));
  }
  return sync_folder(fs, path);
}

// Reads the copy at `path` in full, then notes in it exactly what it holds.
Result<RecoveredStore> verify_copy(rocksdb::FileSystem& fs, const std::string& path,
                                   const Watermark& least, const RocksSettings& settings) {
  auto found = read_folder(path, least, settings, LoadSink(), kVerifyThreads);
  if (!found.ok()) return found.status();
  const Watermark exact{found->state.sequence, found->rocksdb_sequence, true, Durability::sync};
  Status status = write_watermark(fs, path, exact);
  if (!status.ok()) return status;
  return found;
}

// Only plain files, and only those that a database consists of: nothing is followed out of it.
Status copy_database(rocksdb::FileSystem& fs, const std::string& from, const std::string& to) {
  auto names = list_folder(fs, from);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!is_data_file(name)) continue;
    struct stat info {};
    if (::lstat((from + "/" + name).c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
      return Status::invalid_argument("checkpoint", from + "/" + name + " is not a plain file");
    }
    VECSERVE_TRY(copy_file(fs, from + "/" + name, to + "/" + name));
  }
  return sync_folder(fs, to);
}

Status restore(const std::string& checkpoint, const std::string& path, rocksdb::Env* env) {
  const std::shared_ptr<rocksdb::FileSystem> fs = env->GetFileSystem();
  auto kind = path_kind(checkpoint);
  if (!kind.ok()) return kind.status();
  if (*kind != PathKind::folder) {
    return {StatusCode::not_found, "there is no checkpoint at " + checkpoint};
  }
  VECSERVE_TRY(prepare_target(*fs, path));
  auto lock = FolderLock::acquire(checkpoint, FolderLock::Mode::shared);
  if (!lock.ok()) return lock.status();
  auto watermark = read_watermark(*fs, checkpoint);
  if (!watermark.ok()) {
    const StatusCode code = watermark.status().code();
    return {code == StatusCode::not_found ? StatusCode::data_loss : code,
            watermark.status().message()};
  }
  RocksSettings settings;
  settings.env = env;
  auto source = read_folder(checkpoint, *watermark, settings, LoadSink(), kVerifyThreads);
  if (!source.ok()) return source.status();

  const std::string unfinished = path + kUnfinished;
  Unfinished guard(*fs, unfinished);
  VECSERVE_TRY(make_folder(*fs, unfinished));
  VECSERVE_TRY(copy_database(*fs, checkpoint, unfinished));
  auto copy = verify_copy(*fs, unfinished, *watermark, settings);
  if (!copy.ok()) return copy.status();
  if (copy->state != source->state || copy->rows != source->rows) {
    return {StatusCode::data_loss, "the copy of " + checkpoint + " differs from it"};
  }
  VECSERVE_TRY(publish_folder(*fs, unfinished, path));
  guard.keep();
  return {};
}

}  // namespace

Result<CheckpointInfo> RocksStore::checkpoint(const std::string& given) {
  return guarded_result<CheckpointInfo>([&]() -> Result<CheckpointInfo> {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    Status status = writable();
    if (status.ok()) status = opened();
    if (!status.ok()) return status;
    const std::string path = without_trailing_slashes(given);
    status = prepare_target(*fs_, path);
    if (!status.ok()) return status;

    Watermark least;
    least.commit_sequence = committed_.load();
    least.rocksdb_sequence = rocks_.db().GetLatestSequenceNumber();
    status = sync_and_mark();
    if (status.ok() && watch_->log_failed())
      status = {StatusCode::io_error, "the log failed before"};
    if (status.ok()) status = from_rocks(rocks_.db().FlushWAL(true), "syncing the log");
    if (!status.ok()) return status;
    const std::string unfinished = path + kUnfinished;
    Unfinished guard(*fs_, unfinished);
    rocksdb::Checkpoint* made = nullptr;
    status = from_rocks(rocksdb::Checkpoint::Create(&rocks_.db(), &made), "preparing a checkpoint");
    if (!status.ok()) return status;
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    status = from_rocks(checkpoint->CreateCheckpoint(unfinished, 0), "making a checkpoint");
    if (status.ok()) status = sync_copy(*fs_, unfinished);
    if (!status.ok()) return status;
    RocksSettings reading;
    reading.env = env_;
    auto found = verify_copy(*fs_, unfinished, least, reading);
    if (!found.ok()) return found.status();
    auto bytes = folder_bytes(*fs_, unfinished);
    if (!bytes.ok()) return bytes.status();
    status = publish_folder(*fs_, unfinished, path);
    if (!status.ok()) return status;
    guard.keep();
    return CheckpointInfo{path, found->state.sequence, found->collections.size(), found->rows,
                          *bytes};
  });
}

Status restore_checkpoint(const std::string& checkpoint, const std::string& path,
                          void* rocksdb_env) {
  return guarded([&]() -> Status {
    rocksdb::Env* env =
        rocksdb_env != nullptr ? static_cast<rocksdb::Env*>(rocksdb_env) : rocksdb::Env::Default();
    return restore(without_trailing_slashes(checkpoint), without_trailing_slashes(path), env);
  });
}

}  // namespace vecserve::engine
