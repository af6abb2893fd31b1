// The public Database: keeps exceptions inside and forwards to DatabaseCore. First stop of an
// embedder. Any thread.
// Always holds: an object that was moved from answers failed_precondition.
#include "vecserve/database.h"

#include <utility>

#include "engine/database_core.h"
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

Status run_maintenance(Database& database) {
  DatabaseCore* const core = DatabaseAccess::core(database);
  return core != nullptr ? core->maintain(true) : moved_from();
}

}  // namespace engine
}  // namespace vecserve
