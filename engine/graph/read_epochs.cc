// See read_epochs.h.
// Any thread enters; one asks quiet(). The proof: a reader holds an epoch that it has seen again
// after storing it. If quiet() missed the store, its look came before the store, so the second look
// at the epoch came after retire() and would have seen it: the reader began later, and what was
// unlinked before happened before its first step.
#include "engine/graph/read_epochs.h"

#include <functional>
#include <thread>

namespace vecserve::engine {

std::atomic<std::uint64_t>& ReadEpochs::enter() {
  const std::size_t first = std::hash<std::thread::id>()(std::this_thread::get_id());
  for (std::size_t i = 0;; ++i) {
    std::atomic<std::uint64_t>& place = places_[(first + i) % kReaders].epoch;
    std::uint64_t nobody = 0;
    std::uint64_t epoch = epoch_.load(std::memory_order_seq_cst);
    if (!place.compare_exchange_strong(nobody, epoch, std::memory_order_seq_cst)) continue;
    for (;;) {
      const std::uint64_t now = epoch_.load(std::memory_order_seq_cst);
      if (now == epoch) return place;
      epoch = now;
      place.store(epoch, std::memory_order_seq_cst);
    }
  }
}

bool ReadEpochs::quiet(std::uint64_t retired) const {
  for (const Place& place : places_) {
    const std::uint64_t epoch = place.epoch.load(std::memory_order_seq_cst);
    if (epoch != 0 && epoch < retired) return false;
  }
  return true;
}

}  // namespace vecserve::engine
