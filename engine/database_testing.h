// Doors that only tests use: a database over a fault-injecting file system or a clock that stands
// still, and background work on demand. Beside database.h, with the thread rules of that header;
// not installed. Always holds: without hooks it opens what Database::open opens.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/clock.h"
#include "vecserve/database.h"

namespace vecserve::engine {

namespace gpu {
class Gpu;
}  // namespace gpu

struct TestHooks {
  void* rocksdb_env = nullptr;                 // a rocksdb::Env; must outlive the database
  const Clock* clock = nullptr;                // must outlive the database and its handles
  std::shared_ptr<gpu::Gpu> device = nullptr;  // in place of what the machine has
  bool save_graphs_often = false;              // whenever something has changed
};

[[nodiscard]] Result<Database> open_for_testing(const std::string& path,
                                                const DatabaseOptions& options,
                                                const TestHooks& hooks, bool read_only = false);

// The graph of a collection, looked over while its keeper waits.
struct GraphLook {
  bool there = false;
  std::uint64_t live = 0;
  std::uint64_t faults = 0;   // nodes out of reach and links that lead nowhere
  std::uint64_t missing = 0;  // live rows that are neither nodes nor past the watermark
};
[[nodiscard]] Result<GraphLook> look_at_graph(Database& database, std::string_view collection);

// Whether its keeper has nothing left to link, repair or bring nearer.
[[nodiscard]] Result<bool> is_graph_at_rest(Database& database, std::string_view collection);

// One pass of what the background thread does: expiry, then rewriting of sparse blocks.
[[nodiscard]] Status run_maintenance(Database& database);

}  // namespace vecserve::engine
