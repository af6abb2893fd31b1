// See mirror_tail.h.
// The keeper's thread and writers'. Always holds: what changes is changed under the mutex, so that
// no writer misses it between its look and its wait.
#include "engine/mirror_tail.h"

namespace vecserve::engine {

void MirrorTail::advance(std::uint64_t watermark) {
  if (watermark <= watermark_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    watermark_.store(watermark, std::memory_order_release);
  }
  moved_.notify_all();
}

void MirrorTail::end_pass(bool whole) {
  if (whole == keeps_up_.load(std::memory_order_relaxed)) return;
  {
    const std::lock_guard lock(mutex_);
    keeps_up_.store(whole, std::memory_order_release);
  }
  moved_.notify_all();
}

bool MirrorTail::too_long(std::uint64_t slots) const {
  return keeps_up_.load(std::memory_order_acquire) && slots >= watermark() + kTailMax;
}

bool MirrorTail::slow_writer(std::uint64_t slots) {
  if (!too_long(slots)) return false;
  slowed_.fetch_add(1, std::memory_order_relaxed);
  std::unique_lock lock(mutex_);
  while (too_long(slots)) {
    const std::uint64_t seen = watermark();
    const bool moved =
        moved_.wait_for(lock, patience_, [&] { return !too_long(slots) || watermark() != seen; });
    if (!moved) break;
  }
  return true;
}

}  // namespace vecserve::engine
