// Taking a mutex that everybody holds for well under a microsecond. Who finds it taken tries again
// for about as long as it is usually held, and only then lets the kernel put it to sleep: on
// processors that are all busy, waking up again would take a thousand times as long. Used by what
// stands on the way of every request: dispatch, conversation, outbox, client. Any thread.
// Always holds: at most kBriefTries looks before the ordinary wait.
#pragma once

#include <atomic>
#include <mutex>

namespace vecserve::net {

// Some 2 µs of looking: more than any holder needs that runs.
inline constexpr int kBriefTries = 64;

inline void pause_a_little() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

[[nodiscard]] inline std::unique_lock<std::mutex> lock_briefly(std::mutex& mutex) {
  for (int i = 0; i < kBriefTries; ++i) {
    if (mutex.try_lock()) return {mutex, std::adopt_lock};
    pause_a_little();
  }
  return std::unique_lock(mutex);
}

}  // namespace vecserve::net
