// The public Database: keeps exceptions inside and forwards to DatabaseCore. First stop of an
// embedder. Any thread.
// Always holds: an object that was moved from answers failed_precondition.
#include "vecserve/database.h"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/database_core.h"
#include "engine/graph_keeper.h"
#include "engine/guard.h"
#include "engine/store/open_store.h"

namespace vecserve {

namespace engine {

// Reaches inside a Database for those who make one.
class DatabaseAccess {
 public:
  static Result<Database> open(const DatabaseCore::OpenCall& call) {
    return guarded([&]() -> Result<Database> {
      auto core = DatabaseCore::open(call);
      VECSERVE_TRY(core.status());
      return Database(std::move(*core));
    });
  }
  static DatabaseCore* core(Database& database) { return database.core_.get(); }
};

}  // namespace engine

namespace {

Status moved_from() {
  return {StatusCode::failed_precondition, "this Database was moved from"};
}

}  // namespace

Database::Database(std::shared_ptr<engine::DatabaseCore> core) : core_(std::move(core)) {}
Database::Database(Database&&) noexcept = default;
Database& Database::operator=(Database&&) noexcept = default;
Database::~Database() = default;

Result<Database> Database::open(const std::string& path, const DatabaseOptions& options) {
  return engine::open_for_testing(path, options, {});
}

Result<Database> Database::open_read_only(const std::string& path, const DatabaseOptions& options) {
  return engine::open_for_testing(path, options, {}, true);
}

Status Database::restore(const std::string& checkpoint, const std::string& path) {
  return engine::guarded([&] { return engine::restore_checkpoint(checkpoint, path); });
}

Result<Collection> Database::create_collection(std::string_view name,
                                               const CollectionOptions& options) {
  return engine::guarded([&]() -> Result<Collection> {
    if (core_ == nullptr) {
      return moved_from();
    }
    auto core = core_->create(name, options);
    VECSERVE_TRY(core.status());
    return Collection(std::move(*core));
  });
}

Result<Collection> Database::collection(std::string_view name) const {
  return engine::guarded([&]() -> Result<Collection> {
    if (core_ == nullptr) {
      return moved_from();
    }
    auto core = core_->find(name);
    VECSERVE_TRY(core.status());
    return Collection(std::move(*core));
  });
}

Status Database::drop_collection(std::string_view name) {
  return engine::guarded([&] { return core_ ? core_->drop(name) : moved_from(); });
}

std::vector<std::string> Database::list_collections() const {
  return core_ ? core_->names() : std::vector<std::string>();
}

Result<CheckpointInfo> Database::checkpoint(const std::string& path) {
  return engine::guarded(
      [&]() -> Result<CheckpointInfo> { return core_ ? core_->checkpoint(path) : moved_from(); });
}

Result<VerifyReport> Database::verify() const {
  return engine::guarded(
      [&]() -> Result<VerifyReport> { return core_ ? core_->verify() : moved_from(); });
}

DatabaseStats Database::stats() const {
  return core_ ? core_->stats() : DatabaseStats();
}

Status Database::close() {
  return engine::guarded([&] { return core_ ? core_->close() : moved_from(); });
}

namespace engine {

Result<Database> open_for_testing(const std::string& path, const DatabaseOptions& options,
                                  const TestHooks& hooks, bool read_only) {
  return DatabaseAccess::open({path, options, read_only, hooks});
}

Result<GraphLook> look_at_graph(Database& database, std::string_view collection) {
  return guarded([&]() -> Result<GraphLook> {
    DatabaseCore* const core = DatabaseAccess::core(database);
    if (core == nullptr) return moved_from();
    const auto found = core->find(collection);
    VECSERVE_TRY(found.status());
    const std::lock_guard lock((*found)->graphs.keeping_mutex);
    GraphLook look;
    const auto graph = (*found)->graphs.graph();
    if (graph == nullptr) return look;
    const GraphCheck check = check_graph(*graph);
    look.there = true;
    look.live = check.live;
    look.faults = std::uint64_t{check.unreachable} + check.orphans + check.bad_links;
    std::vector<std::uint64_t> slots;
    for (std::uint32_t node = 0; node < graph->nodes(); ++node) {
      if (graph->state(node) == NodeState::live) slots.push_back(graph->slot(node));
    }
    std::sort(slots.begin(), slots.end());
    look.faults +=
        static_cast<std::uint64_t>(slots.end() - std::unique(slots.begin(), slots.end()));
    const auto rows = (*found)->snapshot();
    const std::uint64_t watermark = graph->watermark.load();
    for (std::size_t b = 0; b < rows->block_count(); ++b) {
      const BlockView& view = rows->view(b);
      for (std::uint32_t r = 0; r < view.count; ++r) {
        const std::uint64_t slot = view.block->slot(r);
        if (slot >= watermark || !view.live->test(r)) continue;
        look.missing += std::binary_search(slots.begin(), slots.end(), slot) ? 0U : 1U;
      }
    }
    return look;
  });
}

Result<bool> is_graph_at_rest(Database& database, std::string_view collection) {
  return guarded([&]() -> Result<bool> {
    DatabaseCore* const core = DatabaseAccess::core(database);
    if (core == nullptr) return moved_from();
    const auto found = core->find(collection);
    VECSERVE_TRY(found.status());
    return is_graph_at_rest(**found);
  });
}

Status run_maintenance(Database& database) {
  DatabaseCore* const core = DatabaseAccess::core(database);
  return core != nullptr ? core->maintain(true) : moved_from();
}

}  // namespace engine
}  // namespace vecserve
