// See database_core.h.
// Any thread. Always holds: locks are taken in the order close, maintenance, committer, catalog;
// none is held while a user's call waits for the disk except through the committer.
#include "engine/database_core.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/limits.h"
#include "engine/base/names.h"
#include "engine/expire.h"
#include "engine/graph_keeper.h"
#include "engine/guard.h"
#include "engine/mirror_keeper.h"
#include "engine/rewrite.h"
#include "engine/sketch_keeper.h"
#include "engine/store/open_store.h"
#include "engine/verify.h"

namespace vecserve::engine {

namespace {

// Sparse blocks are looked for this often when rows do not expire; the look itself is cheap.
constexpr std::chrono::milliseconds kMaintenancePeriod{1'000};

// Rows wait this long at most until the GPU has them; the CPU scans them until then.
constexpr std::chrono::milliseconds kMirrorPeriod{5};

// What closing spends on saving graphs at most; what is not saved by then is linked again later.
constexpr std::chrono::milliseconds kSaveGraphs{2'000};

const SystemClock kSystemClock;

Result<std::unique_ptr<Store>> open_store(const DatabaseCore::OpenCall& call) {
  if (call.options.in_memory) {
    return make_memory_store();
  }
  StoreOptions options;
  options.path = call.path;
  options.create_if_missing = call.options.create_if_missing;
  options.read_only = call.read_only;
  options.durability = call.options.durability;
  options.write_buffer_bytes = call.options.write_buffer_bytes;
  options.rocksdb_env = call.hooks.rocksdb_env;
  options.clock = call.hooks.clock;
  return open_rocks_store(options);
}

Status check_open(const DatabaseCore::OpenCall& call) {
  VECSERVE_TRY(call.options.validate());
  if (call.options.in_memory && call.read_only) {
    return Status::invalid_argument("in_memory", "a database in memory cannot be read-only");
  }
  if (!call.options.in_memory && call.path.empty()) {
    return Status::invalid_argument("path", "must not be empty");
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<DatabaseCore>> DatabaseCore::open(const OpenCall& call) {
  const auto start = std::chrono::steady_clock::now();
  VECSERVE_TRY(check_open(call));
  const Result<const KernelTable*> kernels = choose_kernels(call.options.kernels);
  VECSERVE_TRY(kernels.status());
  Result<std::unique_ptr<Store>> store = open_store(call);
  VECSERVE_TRY(store.status());
  const Clock& clock = call.hooks.clock != nullptr ? *call.hooks.clock : kSystemClock;
  auto runtime = std::make_shared<Runtime>(call.options, **kernels, clock,
                                           open_gpu(call.options, call.hooks.device));
  runtime->read_only = call.read_only;
  runtime->save_graphs_often = call.hooks.save_graphs_often;
  runtime->store = std::move(*store);
  Loader loader(runtime);
  const Result<std::uint64_t> sequence =
      runtime->store->load(loader.sink(), runtime->pool.threads());
  VECSERVE_TRY(sequence.status());
  runtime->requests.trim();
  Result<Catalog> catalog = loader.finish(*sequence);
  VECSERVE_TRY(catalog.status());
  auto core = std::make_shared<DatabaseCore>(call.options.in_memory ? std::string() : call.path,
                                             std::move(runtime), std::move(*catalog));
  const auto passed = std::chrono::steady_clock::now() - start;
  core->open_ns_ = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count());
  return core;
}

DatabaseCore::DatabaseCore(std::string path, std::shared_ptr<Runtime> runtime, Catalog catalog)
    : path_(std::move(path)), runtime_(std::move(runtime)), catalog_(std::move(catalog)) {
  const DatabaseOptions& options = runtime_->options;
  const bool expire = options.expire_every_ms > 0;
  const bool rewrite = options.rewrite_below_live_share > 0.0;
  const bool maintains = !runtime_->read_only && (expire || rewrite);
  background_ = std::make_unique<Background>(
      expire ? std::chrono::milliseconds(options.expire_every_ms) : kMaintenancePeriod,
      [this](const Background::Stopping& stopping) {
        fill_planes(stopping);
        keep_planes();
      },
      [this, expire, maintains] {
        if (maintains) {
          static_cast<void>(maintain(expire));
        } else {
          keep_planes();
        }
      });
  if (runtime_->gpu.device != nullptr) {
    const auto pass = [this] { keep_mirror(runtime_->gpu.device->mirror(), collections()); };
    mirror_keeper_ = std::make_unique<Background>(
        kMirrorPeriod, [pass](const Background::Stopping&) { pass(); }, pass);
  }
  if (runtime_->graphs_by_hand) return;
  graphs_ =
      std::make_unique<GraphThread>([this] { return collections(); }, runtime_->pool.threads());
}

// Loaded blocks have only their vectors, so that opening waits for nothing else; until all blocks
// of a collection have their planes it is scanned without.
void DatabaseCore::fill_planes(const Background::Stopping& stopping) {
  for (const auto& core : collections()) {
    const std::shared_ptr<const RowSet> rows = core->snapshot();
    for (std::size_t b = 0; b < rows->block_count() && !stopping(); ++b) {
      rows->view(b).block->fill_planes();
    }
  }
}

// A collection whose sketches fail is searched without; the next pass tries again.
void DatabaseCore::keep_planes() {
  static_cast<void>(guarded([&] {
    const std::lock_guard lock(maintenance_mutex_);
    for (const auto& core : collections()) {
      static_cast<void>(keep_sketches(core, [this] { return closing_.load(); }));
    }
    return Status();
  }));
}

DatabaseCore::~DatabaseCore() {
  static_cast<void>(guarded([this] { return close(); }));
}

std::vector<std::shared_ptr<CollectionCore>> DatabaseCore::collections() const {
  const std::lock_guard lock(catalog_mutex_);
  std::vector<std::shared_ptr<CollectionCore>> all;
  for (const auto& [name, core] : catalog_) {
    all.push_back(core);
  }
  return all;
}

Status DatabaseCore::apply_alone(StoreBatch& batch) {
  batch.sequence = runtime_->sequence.load(std::memory_order_relaxed) + 1;
  const Status stored = runtime_->store->apply(batch, Durability::sync);
  if (stored.ok()) {
    runtime_->sequence.store(batch.sequence, std::memory_order_release);
  } else if (stored.code() != StatusCode::resource_exhausted) {
    runtime_->degrade(stored.message());
  }
  return stored;
}

Result<std::shared_ptr<CollectionCore>> DatabaseCore::create(std::string_view name,
                                                             const CollectionOptions& options) {
  VECSERVE_TRY(runtime_->writable());
  if (!is_valid_name(name)) {
    return Status::invalid_argument("name", "must be 1 to 64 of A-Z a-z 0-9 _ -");
  }
  VECSERVE_TRY(options.validate());
  std::shared_ptr<CollectionCore> core;
  const Status created = runtime_->committer.exclusively([&] {
    VECSERVE_TRY(runtime_->writable());
    if (find(name).ok()) {
      return Status(StatusCode::already_exists, "collection \"" + std::string(name) + "\" exists");
    }
    if (names().size() >= limits::collections_max) {
      return Status(StatusCode::resource_exhausted, "there are 65536 collections already");
    }
    core = std::make_shared<CollectionCore>(runtime_, runtime_->store->next_collection_id(),
                                            std::string(name), options);
    StoreBatch batch;
    batch.create_collections.push_back({core->id, core->name, options, {}});
    Catalog::node_type entry;
    {
      Catalog made;
      made[core->name] = core;
      entry = made.extract(made.begin());
    }
    VECSERVE_TRY(apply_alone(batch));
    const std::lock_guard lock(catalog_mutex_);
    catalog_.insert(std::move(entry));
    return Status();
  });
  VECSERVE_TRY(created);
  return core;
}

Result<std::shared_ptr<CollectionCore>> DatabaseCore::find(std::string_view name) const {
  if (runtime_->closed.load(std::memory_order_acquire)) {
    return {StatusCode::unavailable, "the database is closed"};
  }
  const std::lock_guard lock(catalog_mutex_);
  const auto found = catalog_.find(name);
  if (found == catalog_.end()) {
    return {StatusCode::not_found, "there is no collection \"" +
                                       std::string(name.substr(0, limits::name_bytes_max)) + "\""};
  }
  return found->second;
}

Status DatabaseCore::drop(std::string_view name) {
  VECSERVE_TRY(runtime_->writable());
  std::uint32_t id = 0;
  const Status dropped = runtime_->committer.exclusively([&] {
    VECSERVE_TRY(runtime_->writable());
    const Result<std::shared_ptr<CollectionCore>> core = find(name);
    VECSERVE_TRY(core.status());
    StoreBatch batch;
    id = (*core)->id;
    batch.drop_collections.push_back(id);
    VECSERVE_TRY(apply_alone(batch));
    (*core)->dropped.store(true, std::memory_order_release);
    const std::lock_guard lock(catalog_mutex_);
    catalog_.erase(catalog_.find(name));
    return Status();
  });
  VECSERVE_TRY(dropped);
  // What is left of it, or comes of a save that is just ending, goes with the next opening.
  static_cast<void>(runtime_->store->remove_cache(id));
  return {};
}

std::vector<std::string> DatabaseCore::names() const {
  const std::lock_guard lock(catalog_mutex_);
  std::vector<std::string> all;
  for (const auto& [name, core] : catalog_) {
    all.push_back(name);
  }
  return all;
}

Result<CheckpointInfo> DatabaseCore::checkpoint(const std::string& path) {
  if (runtime_->closed.load(std::memory_order_acquire)) {
    return {StatusCode::unavailable, "the database is closed"};
  }
  if (path.empty()) {
    return Status::invalid_argument("path", "must not be empty");
  }
  return runtime_->store->checkpoint(path);
}

Result<VerifyReport> DatabaseCore::verify() const {
  VerifyReport report;
  const Status done = runtime_->committer.exclusively([&]() -> Status {
    if (runtime_->closed.load(std::memory_order_acquire)) {
      return {StatusCode::unavailable, "the database is closed"};
    }
    const Result<VerifyReport> verified = verify_store(*runtime_->store, collections());
    VECSERVE_TRY(verified.status());
    report = *verified;
    return {};
  });
  VECSERVE_TRY(done);
  return report;
}

DatabaseStats DatabaseCore::stats() const {
  DatabaseStats stats;
  stats.path = path_;
  stats.degraded = runtime_->degraded();
  stats.read_only = runtime_->read_only || !stats.degraded.empty();
  stats.durability = runtime_->options.durability;
  for (const auto& core : collections()) {
    ++stats.collections;
    stats.rows += core->snapshot()->live_count();
  }
  stats.sequence = runtime_->sequence.load(std::memory_order_acquire);
  stats.commits = runtime_->commits.load(std::memory_order_relaxed);
  stats.commit_writes = runtime_->commit_writes.load(std::memory_order_relaxed);
  stats.open_ns = open_ns_;
  stats.disk_bytes = runtime_->store->stats().disk_bytes;
  stats.kernels = kernel_name(runtime_->kernels);
  stats.threads = runtime_->pool.threads();
  stats.gpu = runtime_->gpu.state();
  return stats;
}

Status DatabaseCore::maintain(const std::shared_ptr<CollectionCore>& core, bool expire) {
  if (expire) {
    VECSERVE_TRY(expire_rows(core).status());
  }
  if (runtime_->options.rewrite_below_live_share > 0.0) {
    VECSERVE_TRY(rewrite_sparse_blocks(core).status());
  }
  return {};
}

Status DatabaseCore::maintain(bool expire) {
  keep_planes();
  return guarded([&] {
    const std::lock_guard lock(maintenance_mutex_);
    VECSERVE_TRY(runtime_->writable());
    Status first;
    for (const auto& core : collections()) {
      Status status = maintain(core, expire);
      // One that was dropped meanwhile needs no care.
      if (!status.ok() && first.ok() && !core->dropped.load(std::memory_order_acquire)) {
        first = std::move(status);
      }
    }
    return first;
  });
}

Status DatabaseCore::close() {
  const std::lock_guard lock(close_mutex_);
  if (runtime_->closed.load(std::memory_order_acquire)) {
    return {};
  }
  closing_.store(true);
  if (graphs_ != nullptr) {
    graphs_->stop();
  }
  if (background_ != nullptr) {
    background_->stop();
  }
  if (mirror_keeper_ != nullptr) {
    mirror_keeper_->stop();
  }
  const auto until = std::chrono::steady_clock::now() + kSaveGraphs;
  static_cast<void>(guarded([&] {
    for (const auto& core : collections()) {
      save_graph(*core, [until] { return std::chrono::steady_clock::now() >= until; });
    }
    return Status();
  }));
  return runtime_->committer.exclusively([&] {
    runtime_->closed.store(true, std::memory_order_release);
    return runtime_->store->close();
  });
}

}  // namespace vecserve::engine
