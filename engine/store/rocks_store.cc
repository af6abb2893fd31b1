// Opening, creating, reading back, watermark and closing of the store on disk; see rocks_store.h.
// apply stands in rocks_apply.cc, checkpoint and restore in checkpoint.cc.
// Always holds: nothing on disk is opened for writing before all of it was read and found whole.
#include "engine/store/rocks_store.h"

#include <algorithm>
#include <utility>

#include "engine/base/coding.h"
#include "engine/store/rocks_guard.h"
#include "engine/store/rocks_status.h"
#include "engine/store/rocks_watch.h"

namespace vecserve::engine {
namespace {

// In the folder while a new database is being made in it: what a crash leaves then was never
// acknowledged to anybody and may be removed.
constexpr char kCreatingName[] = "CREATING";

}  // namespace

Result<std::unique_ptr<Store>> open_rocks_store(const StoreOptions& options) {
  return RocksStore::open(options);
}

RocksStore::RocksStore(const StoreOptions& options, FolderLock lock)
    : options_(options),
      env_(options.rocksdb_env != nullptr ? static_cast<rocksdb::Env*>(options.rocksdb_env)
                                          : rocksdb::Env::Default()),
      fs_(env_->GetFileSystem()),
      clock_(options.clock != nullptr ? *options.clock : system_clock_),
      caches_(std::make_shared<CacheFolder>(fs_, options.path)),
      lock_(std::move(lock)) {}

RocksStore::~RocksStore() {
  static_cast<void>(close());
}

Result<std::unique_ptr<Store>> RocksStore::open(const StoreOptions& given) {
  return guarded_result<std::unique_ptr<Store>>([&]() -> Result<std::unique_ptr<Store>> {
    StoreOptions options = given;
    options.path = without_trailing_slashes(options.path);
    if (options.path.empty()) return Status::invalid_argument("path", "is empty");
    auto kind = path_kind(options.path);
    if (!kind.ok()) return kind.status();
    if (*kind == PathKind::other) {
      return Status::invalid_argument("path", options.path + " is not a folder");
    }
    if (*kind == PathKind::absent) {
      if (options.read_only || !options.create_if_missing) {
        return Status(StatusCode::not_found, "there is no database at " + options.path);
      }
      rocksdb::Env* env = options.rocksdb_env != nullptr
                              ? static_cast<rocksdb::Env*>(options.rocksdb_env)
                              : rocksdb::Env::Default();
      auto parent = path_kind(parent_folder(options.path));
      if (!parent.ok()) return parent.status();
      if (*parent != PathKind::folder) {
        return Status(StatusCode::not_found, "the folder above " + options.path + " is missing");
      }
      Status made = make_folder(*env->GetFileSystem(), options.path);
      if (!made.ok()) return made;
    }
    auto lock = FolderLock::acquire(
        options.path, options.read_only ? FolderLock::Mode::shared : FolderLock::Mode::exclusive);
    if (!lock.ok()) return lock.status();
    std::unique_ptr<RocksStore> store(new RocksStore(options, *std::move(lock)));
    Status looked = store->look();
    if (!looked.ok()) return looked;
    return std::unique_ptr<Store>(std::move(store));
  });
}

// Decides between an existing database, none, and one that was never finished.
Status RocksStore::look() {
  auto names = list_folder(*fs_, options_.path);
  if (!names.ok()) return names.status();
  std::erase(*names, "lost+found");  // every new file system has one at its root
  auto found = read_watermark(*fs_, options_.path);
  if (found.ok()) {
    found_ = *found;
    return {};
  }
  if (found.status().code() != StatusCode::not_found) return found.status();
  fresh_ = names->empty() || std::binary_search(names->begin(), names->end(), kCreatingName);
  if (!fresh_) {
    return {StatusCode::data_loss, options_.path +
                                       " holds files, but no file WATERMARK: it is no "
                                       "database, or a damaged one"};
  }
  if (options_.read_only || !options_.create_if_missing) {
    return {StatusCode::not_found, "there is no database at " + options_.path};
  }
  return {};
}

RocksSettings RocksStore::settings(Durability logs) const {
  RocksSettings settings;
  settings.env = env_;
  settings.write_buffer_bytes = options_.write_buffer_bytes;
  settings.logs = logs;
  settings.listeners = {watch_};
  return settings;
}

Result<std::uint64_t> RocksStore::load(const LoadSink& sink, std::uint32_t threads) {
  return guarded_result<std::uint64_t>([&]() -> Result<std::uint64_t> {
    const std::unique_lock<std::shared_mutex> lock(open_mutex_);
    if (loaded_ || closed_) {
      return Status(StatusCode::failed_precondition, "load() was called before");
    }
    loaded_ = true;
    watch_ = std::make_shared<Watch>();
    Status status = fresh_ ? create() : open_existing(sink, threads);
    if (!status.ok()) {
      remover_.reset();
      static_cast<void>(rocks_.close());
      static_cast<void>(fail(status));
      return status;
    }
    committed_.store(state_.sequence);
    if (!options_.read_only) {
      tail_.open(*fs_, options_.path);
      std::vector<std::uint32_t> known;
      for (const auto& [id, checksums] : collections_) known.push_back(id);
      caches_->tidy(known);
    }
    return state_.sequence;
  });
}

Status RocksStore::create() {
  auto names = list_folder(*fs_, options_.path);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    if (!is_database_file(name)) continue;  // left by an attempt that a crash cut short
    const auto removed = fs_->DeleteFile(options_.path + "/" + name, rocksdb::IOOptions(), nullptr);
    VECSERVE_TRY(from_rocks(removed, "removing " + name));
  }
  VECSERVE_TRY(write_file(*fs_, options_.path, kCreatingName, ""));
  RocksSettings fresh = settings(options_.durability);
  fresh.create = true;
  auto rocks = RocksDb::open(options_.path, fresh);
  if (!rocks.ok()) return rocks.status();
  rocks_ = *std::move(rocks);

  batch_.Clear();
  encode_format(meta_key(MetaTag::format), value_);
  VECSERVE_TRY(put(meta_key(MetaTag::format)));
  encode_state(meta_key(MetaTag::state), state_, value_);
  VECSERVE_TRY(put(meta_key(MetaTag::state)));
  VECSERVE_TRY(write(Durability::sync));
  remover_ = std::make_unique<RowRemover>(rocks_);
  VECSERVE_TRY(advance_watermark(options_.durability, false));
  const auto removed =
      fs_->DeleteFile(options_.path + "/" + kCreatingName, rocksdb::IOOptions(), nullptr);
  VECSERVE_TRY(from_rocks(removed, "finishing the new database"));
  return sync_folder(*fs_, options_.path);
}

Status RocksStore::open_existing(const LoadSink& sink, std::uint32_t threads) {
  auto rocks = RocksDb::open_read_only(options_.path, settings(found_.durability));
  if (!rocks.ok()) return rocks.status();
  auto found = read_store(*rocks, nullptr, sink, threads);
  if (!found.ok()) return with_context(found.status(), options_.path);
  if (!found_.clean) {
    found_.commit_sequence = std::max(found_.commit_sequence, read_tail(*fs_, options_.path));
  }
  VECSERVE_TRY(with_context(check_watermark(found_, *found), options_.path));
  state_ = found->state;
  for (const auto& [id, collection] : found->collections) {
    collections_[id] = {collection.options_checksum, collection.counters_checksum.value_or(0)};
  }
  if (options_.read_only) {
    rocks_ = *std::move(rocks);
    return {};
  }
  VECSERVE_TRY(rocks->close());
  VECSERVE_TRY(open_for_writing());
  if (rocks_.db().GetLatestSequenceNumber() != found->rocksdb_sequence) {
    return {StatusCode::data_loss, options_.path + " changed between verifying and opening it"};
  }
  VECSERVE_TRY(start_removals());
  committed_.store(state_.sequence);
  VECSERVE_TRY(advance_watermark(options_.durability, false));
  // Still there when a crash came between the first watermark and the end of the creation.
  const std::string creating = options_.path + "/" + kCreatingName;
  if (!fs_->FileExists(creating, rocksdb::IOOptions(), nullptr).ok()) return {};
  const auto removed = fs_->DeleteFile(creating, rocksdb::IOOptions(), nullptr);
  VECSERVE_TRY(from_rocks(removed, "finishing the new database"));
  return sync_folder(*fs_, options_.path);
}

Status RocksStore::open_for_writing() {
  auto rocks = RocksDb::open(options_.path, settings(found_.durability));
  if (!rocks.ok()) return rocks.status();
  rocks_ = *std::move(rocks);
  return check_state();
}

// What RocksDB has opened ends with the commit that we know as the last one.
Status RocksStore::check_state() {
  std::string value;
  const std::string key = meta_key(MetaTag::state);
  const auto got = rocks_.db().Get(rocksdb::ReadOptions(), rocks_.meta(), key, &value);
  VECSERVE_TRY(from_rocks_reading(got, "reading the state again"));
  auto state = decode_state(key, value);
  if (!state.ok()) return state.status();
  if (*state == state_) return {};
  return {StatusCode::data_loss, options_.path + " holds another commit than the last one: " +
                                     std::to_string(state->sequence) + " instead of " +
                                     std::to_string(state_.sequence)};
}

Status RocksStore::start_removals() {
  remover_ = std::make_unique<RowRemover>(rocks_);
  const std::unique_ptr<rocksdb::Iterator> it(
      rocks_.db().NewIterator(rocksdb::ReadOptions(), rocks_.meta()));
  const std::string end = meta_key(MetaTag::request);
  for (it->Seek(meta_key(MetaTag::dropping)); it->Valid() && it->key().compare(end) < 0;
       it->Next()) {
    ByteReader key(std::string_view(it->key().data(), it->key().size()).substr(1));
    std::uint32_t collection = 0;
    if (key.big_endian(collection)) remover_->add(collection);
  }
  return from_rocks_reading(it->status(), "looking for dropped collections");
}

// RocksDB's log ends in the middle of the batch that did not fit. Opening again cuts that off and
// writes what is in memory out, for which there must be room; until then nothing more is taken.
Status RocksStore::open_again() {
  const std::unique_lock<std::shared_mutex> lock(open_mutex_);
  VECSERVE_TRY(writable());
  if (remover_ != nullptr) remover_->stop();
  remover_.reset();
  static_cast<void>(rocks_.close());  // it failed; what counts is what can be opened now
  watch_ = std::make_shared<Watch>();
  found_.durability = mark_.durability;
  Status status = open_for_writing();
  if (status.ok()) status = start_removals();
  if (status.ok()) {
    disk_full_ = false;
    return {};
  }
  remover_.reset();
  static_cast<void>(rocks_.close());
  return status.code() == StatusCode::resource_exhausted ? status : fail(status);
}

Status RocksStore::sync() {
  return guarded([&]() -> Status {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    VECSERVE_TRY(writable());
    VECSERVE_TRY(opened());
    return sync_and_mark();
  });
}

Status RocksStore::sync_and_mark() {
  const std::lock_guard<std::mutex> lock(mark_mutex_);
  return advance_watermark(mark_.durability, false);
}

// Whatever was written before this call is durable after it, and the file says so. The caller holds
// mark_mutex_, or is alone.
Status RocksStore::advance_watermark(Durability durability, bool clean) {
  Watermark next;
  next.commit_sequence = committed_.load();
  next.rocksdb_sequence = rocks_.db().GetLatestSequenceNumber();  // both before the sync
  next.clean = clean;
  next.durability = durability;
  Status status = sync_log();
  if (status.ok()) status = write_watermark(*fs_, options_.path, next);
  marked_at_ = clock_.steady_now();
  if (status.code() == StatusCode::resource_exhausted && !watch_->log_sync_failed()) return status;
  if (!status.ok()) return fail(status);
  mark_ = next;
  return {};
}

Status RocksStore::sync_log() {
  if (!unsynced_.exchange(false)) return {};
  if (watch_->log_failed()) return {StatusCode::io_error, "syncing the log: it failed before"};
  return from_rocks(rocks_.db().FlushWAL(true), "syncing the log");
}

Status RocksStore::opened() const {
  if (rocks_.is_open()) return {};
  if (closed_ || !loaded_) return {StatusCode::unavailable, "the database is not open"};
  return {StatusCode::resource_exhausted, "the disk was full, and is until the next write works"};
}

Result<VerifyReport> RocksStore::verify(const LoadSink& sink) {
  return guarded_result<VerifyReport>([&]() -> Result<VerifyReport> {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    Status usable = opened();
    if (!usable.ok()) return usable;
    // Read first: whoever syncs beside us may mark what came after our snapshot.
    auto mark = read_watermark(*fs_, options_.path);
    if (!mark.ok()) return Status(StatusCode::data_loss, mark.status().message());
    // The remover may be at work beside us: what it does must not show halfway.
    const rocksdb::Snapshot* snapshot = options_.read_only ? nullptr : rocks_.db().GetSnapshot();
    auto found = read_store(rocks_, snapshot, sink, 1);
    if (snapshot != nullptr) rocks_.db().ReleaseSnapshot(snapshot);
    if (!found.ok()) return found.status();
    if (found->state != state_) {
      return Status(StatusCode::data_loss, "the stored state is not that of the last commit");
    }
    Status status = from_rocks_reading(rocks_.db().VerifyChecksum(), "checking all blocks");
    if (!status.ok()) return status;
    status = check_watermark(*mark, *found);
    if (!status.ok()) return status;
    return VerifyReport{found->collections.size(), found->rows, found->bytes};
  });
}

StoreStats RocksStore::stats() const {
  StoreStats stats;
  static_cast<void>(guarded([&]() -> Status {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    if (!rocks_.is_open()) return {};
    auto names = list_folder(*fs_, options_.path);
    if (!names.ok()) return names.status();
    for (const std::string& name : *names) {
      std::uint64_t bytes = 0;
      const std::string path = options_.path + "/" + name;
      if (!fs_->GetFileSize(path, rocksdb::IOOptions(), &bytes, nullptr).ok()) continue;
      stats.disk_bytes += bytes;
      stats.files += 1;
    }
    for (const std::string& property : {rocksdb::DB::Properties::kSizeAllMemTables,
                                        rocksdb::DB::Properties::kEstimateTableReadersMem}) {
      std::uint64_t bytes = 0;
      if (rocks_.db().GetAggregatedIntProperty(property, &bytes)) stats.memory_bytes += bytes;
    }
    return {};
  }));
  return stats;
}

Result<std::unique_ptr<CacheWriter>> RocksStore::write_cache(std::uint32_t collection) {
  using Writer = std::unique_ptr<CacheWriter>;
  return guarded_result<Writer>([&]() -> Result<Writer> {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    VECSERVE_TRY(writable());
    VECSERVE_TRY(opened());
    return caches_->write(collection);
  });
}

Result<std::unique_ptr<CacheReader>> RocksStore::read_cache(std::uint32_t collection) {
  using Reader = std::unique_ptr<CacheReader>;
  return guarded_result<Reader>([&]() -> Result<Reader> {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    VECSERVE_TRY(opened());
    return caches_->read(collection);
  });
}

Status RocksStore::remove_cache(std::uint32_t collection) {
  return guarded([&]() -> Status {
    const std::shared_lock<std::shared_mutex> lock(open_mutex_);
    VECSERVE_TRY(writable());
    return caches_->remove(collection);
  });
}

Status RocksStore::wait_for_removals() {
  const std::shared_lock<std::shared_mutex> lock(open_mutex_);
  return remover_ != nullptr ? remover_->wait() : Status();
}

Status RocksStore::close() {
  return guarded([&]() -> Status {
    const std::unique_lock<std::shared_mutex> lock(open_mutex_);
    if (closed_) return {};
    closed_ = true;
    caches_->close();
    Status status;
    if (remover_ != nullptr) remover_->stop();
    if (disk_full_ && unsynced_.load()) {
      status = {StatusCode::resource_exhausted, "the disk is full: the last writes are not synced"};
    }
    // With a full disk the log ends in the middle of a batch, and no end is clean.
    if (rocks_.is_open() && !options_.read_only && !failed_.load() && !disk_full_) {
      const std::lock_guard<std::mutex> marking(mark_mutex_);
      // Nothing to replay at the next open. Durable either way, so a failure here does not matter.
      rocks_.db()
          .Flush(rocksdb::FlushOptions(), {rocks_.meta(), rocks_.rows()})
          .PermitUncheckedError();
      // A log that failed may hold more than was taken, and the next open replays it: no exact end.
      status = advance_watermark(mark_.durability, !watch_->log_failed());
    }
    remover_.reset();
    const Status closed = rocks_.close();
    lock_.release();
    return status.ok() ? closed : status;
  });
}

Status RocksStore::fail(const Status& cause) {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  if (failure_.ok()) {
    failure_ = Status(
        StatusCode::io_error,
        "writes are refused until the database is opened again, because of: " + cause.message());
    failed_.store(true);
  }
  // Where a full disk leaves in doubt what is stored, waiting for room does not help.
  const bool full = cause.code() == StatusCode::resource_exhausted;
  return full ? Status(StatusCode::io_error, cause.message()) : cause;
}

}  // namespace vecserve::engine
