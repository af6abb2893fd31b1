// The child that crash_loop kills: several threads that write through the public API, telling the
// parent before and after every call. Comes after crash_events, before the kill. Its threads own
// disjoint id ranges, so that the parent knows the outcome of every operation without knowing how
// they interleaved. Always holds: a reply is reported only after the call has returned.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "vecserve/database.h"

namespace vecserve::test {

struct WorkerSettings {
  std::string path;
  std::string checkpoint_prefix;  // a checkpoint goes to this and its version
  std::uint64_t seed = 1;
  std::uint64_t cycle = 0;
  std::uint32_t threads = 4;
  std::uint32_t first_version = 1;      // versions below were used by earlier cycles
  std::uint32_t operations_max = 5000;  // per thread, so that an orphan ends by itself
  Durability durability = Durability::sync;
  bool power_loss = false;
  bool graph = false;  // more rows, and searches that walk
};

inline constexpr std::uint64_t kIdsPerThread = 1200;
inline constexpr std::uint64_t kGraphIdsPerThread = 2600;
inline constexpr const char* kMainName = "main";
inline constexpr const char* kSideName = "side";

// The database as both kinds of children open it: small write buffers, so that flushes and
// compactions happen within a few cycles, for power_loss the file system that forgets what was not
// synced, and for graph a keeper that saves whatever has changed.
[[nodiscard]] Result<Database> open_for_harness(const std::string& path, Durability durability,
                                                bool power_loss, bool graph);

// Runs until it is killed or every thread has done operations_max; the exit code of the child.
[[nodiscard]] int run_crash_worker(const WorkerSettings& settings);

}  // namespace vecserve::test
