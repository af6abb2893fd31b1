// See graph_thread.h.
// Owns its thread. Always holds: a collection whose graph fails is searched exactly; the next slice
// tries again.
#include "engine/graph_thread.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/graph_keeper.h"
#include "engine/guard.h"

namespace vecserve::engine {

namespace {

using Ms = std::chrono::milliseconds;
// At 2,000 writes a second ten rows come meanwhile, whose exact scan is not worth mentioning.
constexpr Ms kLookAgain{5};
// Nobody has asked for a graph.
constexpr Ms kLookForWishes{50};

}  // namespace

GraphThread::GraphThread(Collections collections, std::uint32_t threads)
    : collections_(std::move(collections)),
      threads_(std::max<std::uint32_t>(threads, 1)),
      thread_([this] { run(); }) {}

GraphThread::~GraphThread() {
  stop();
}

void GraphThread::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool GraphThread::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

bool GraphThread::slice(bool& searched) {
  bool more = false;
  std::uint64_t searches = 0;
  any_wanted_ = false;
  for (const auto& core : collections_()) {
    if (stopping()) return false;
    any_wanted_ = any_wanted_ || core->graphs.wanted.load(std::memory_order_relaxed);
    const Result<bool> kept = keep_graph(core, busy_ ? 1 : threads_, [this] { return stopping(); });
    more = more || (kept.ok() && *kept);
    searches += core->tallies.searches.load(std::memory_order_relaxed);
  }
  searched = searches != searches_;
  searches_ = searches;
  return more;
}

void GraphThread::run() {
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    bool more = false;
    static_cast<void>(guarded([&] {
      more = slice(busy_);
      return Status();
    }));
    const auto took = std::chrono::duration_cast<Ms>(std::chrono::steady_clock::now() - start);
    Ms rest = any_wanted_ ? kLookAgain : kLookForWishes;
    if (more) rest = busy_ ? std::max(took, Ms{1}) : Ms{0};
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, rest, [this] { return stopping_; })) return;
  }
}

}  // namespace vecserve::engine
