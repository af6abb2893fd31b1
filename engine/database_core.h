// The inside of a database: the catalog of collections over one runtime, and the work of open,
// close, checkpoint and verify. The public Database forwards to it; the store does what concerns
// files. Any thread; changes of the catalog go through the committer like writes. Always holds: a
// collection in the catalog is in the store; after close() nothing reaches the store.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/background.h"
#include "engine/database_testing.h"
#include "engine/graph_thread.h"
#include "engine/load.h"
#include "engine/runtime.h"
#include "vecserve/database.h"

namespace vecserve::engine {

class DatabaseCore {
 public:
  struct OpenCall {
    std::string path;
    DatabaseOptions options;
    bool read_only = false;
    TestHooks hooks;
  };
  [[nodiscard]] static Result<std::shared_ptr<DatabaseCore>> open(const OpenCall& call);

  DatabaseCore(std::string path, std::shared_ptr<Runtime> runtime, Catalog catalog);
  ~DatabaseCore();

  [[nodiscard]] Result<std::shared_ptr<CollectionCore>> create(std::string_view name,
                                                               const CollectionOptions& options);
  [[nodiscard]] Result<std::shared_ptr<CollectionCore>> find(std::string_view name) const;
  [[nodiscard]] Status drop(std::string_view name);
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] Result<CheckpointInfo> checkpoint(const std::string& path);
  [[nodiscard]] Result<VerifyReport> verify() const;
  [[nodiscard]] DatabaseStats stats() const;
  [[nodiscard]] Status close();
  // Rewrites sparse blocks and, if told to, removes expired rows first. A collection that fails
  // does not keep the others waiting; the first error is returned.
  [[nodiscard]] Status maintain(bool expire);

 private:
  void fill_planes(const Background::Stopping& stopping);
  void keep_planes();
  [[nodiscard]] std::vector<std::shared_ptr<CollectionCore>> collections() const;
  [[nodiscard]] Status maintain(const std::shared_ptr<CollectionCore>& core, bool expire);
  // On the committing thread.
  [[nodiscard]] Status apply_alone(StoreBatch& batch);

  const std::string path_;
  const std::shared_ptr<Runtime> runtime_;
  std::uint64_t open_ns_ = 0;  // constant after open
  mutable std::mutex catalog_mutex_;
  Catalog catalog_;  // guarded by catalog_mutex_
  std::mutex close_mutex_;
  std::mutex maintenance_mutex_;      // one pass at a time
  std::atomic<bool> closing_{false};  // background work is to end
  std::unique_ptr<Background> background_;
  std::unique_ptr<Background> mirror_keeper_;  // null without a GPU
  std::unique_ptr<GraphThread> graphs_;
};

}  // namespace vecserve::engine
