// What all collections of one database share: the store, the committer, the worker pool, the search
// lanes, the clock and the remembered request ids. Made by open, ended by close; collection handles
// keep the memory of it alive, so that a late call gets `unavailable` and not a crash.
// Members are grouped by who may touch them.
// Always holds: after `closed` is set no new work reaches the store.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/worker_pool.h"
#include "engine/committer.h"
#include "engine/open_gpu.h"
#include "engine/request_log.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/search_lane.h"
#include "engine/store/store.h"
#include "vecserve/options.h"

namespace vecserve::engine {

struct Runtime {
  Runtime(const DatabaseOptions& options_in, const KernelTable& kernels_in, const Clock& clock_in,
          OpenedGpu gpu_in = {});

  // -- Constant after open ----------------------------------------------------------------------
  const DatabaseOptions options;
  const KernelTable& kernels;
  const Clock& clock;
  bool read_only = false;
  bool save_graphs_often = false;  // for tests: whatever has changed
  bool graphs_by_hand = false;     // no thread looks after graphs: a test does
  std::unique_ptr<Store> store;
  const OpenedGpu gpu;  // before the lanes, whose scanners use it

  // -- Any thread -------------------------------------------------------------------------------
  WorkerPool pool;
  LanePool lanes;
  Committer committer;
  std::atomic<bool> closed{false};
  std::atomic<std::uint64_t> sequence{0};  // of the last acknowledged write
  std::atomic<std::uint64_t> commits{0};
  std::atomic<std::uint64_t> commit_writes{0};

  // ok, or why no write can be taken now: closed, opened read-only, or degraded.
  [[nodiscard]] Status writable() const;
  // Why writes are refused although the database was opened for writing; "" when they are not.
  [[nodiscard]] std::string degraded() const;
  // From here on every write gets io_error. Never throws; when memory is out the reason is a short
  // one.
  void degrade(const std::string& why) noexcept;

  // -- The committing thread only ---------------------------------------------------------------
  RequestLog requests;

 private:
  std::atomic<bool> is_degraded_{false};
  mutable std::mutex degraded_mutex_;
  std::string degraded_;  // guarded by degraded_mutex_
};

}  // namespace vecserve::engine
