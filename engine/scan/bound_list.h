// Candidates that come with a lower and an upper bound of their distance: the want-th smallest
// upper bound is a threshold that no row of the answer can be above, and everything whose lower
// bound is above it goes. Comes after the coarse kernels, before the rescoring. One thread at a
// time; several lists of one query may share a threshold. Always holds: threshold() is at least the
// want-th smallest upper bound among all rows that were ever offered, or what it was at first,
// whichever is less; what was dropped has a distance above the threshold at that time, and so above
// the one at the end. So when the first one was the limit, or proven, no row of the answer is
// dropped; when it was a guess, whoever guessed looks.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/scan/scanner.h"

namespace vecserve::engine {

// The smallest threshold that any worker has found for a query. Relaxed: an old value costs a
// little work, nothing else.
class SharedThreshold {
 public:
  void reset(float value) { value_.store(value, std::memory_order_relaxed); }
  [[nodiscard]] float get() const { return value_.load(std::memory_order_relaxed); }
  void lower_to(float value) {
    float seen = get();
    while (value < seen && !value_.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
    }
  }

 private:
  std::atomic<float> value_{std::numeric_limits<float>::infinity()};
};

class BoundList {
 public:
  struct Entry {
    float lower = 0.0f;
    float upper = 0.0f;
    std::uint32_t block = 0;
    std::uint32_t position = 0;
  };

  // Forgets everything but its memory. `guessed`: the threshold is near to what it will be in the
  // end, and there is little to gain from tightening it.
  void reset(std::uint32_t want, bool guessed = false);
  // May throw std::bad_alloc.
  void add(const Entry& entry) {
    entries_.push_back(entry);
    if (want_ > kHeapMax) return;
    if (uppers_.size() < want_) {
      uppers_.push_back(entry.upper);
      if (uppers_.size() == want_) std::make_heap(uppers_.begin(), uppers_.end());
    } else if (entry.upper < uppers_.front()) {
      replace_upper(entry.upper);
    }
  }
  // Called now and then, after adding: tightens the threshold, and drops what is above it when
  // enough has come since last time.
  void tighten(SharedThreshold& threshold);
  // Tightens it by all that was added, at the end.
  void settle(SharedThreshold& threshold) { lower(threshold); }
  // Adds what the other one kept.
  void merge(const BoundList& other);
  // Tightens a last time and copies out what is left; see Scanner for the meaning of the floor.
  void finish(SharedThreshold& threshold, double limit, QueryCandidates& out);

 private:
  // A heap of more is more work than picking them out of the entries now and then.
  static constexpr std::size_t kHeapMax = 64;

  void replace_upper(float upper);
  void lower(SharedThreshold& threshold);
  void prune(SharedThreshold& threshold);

  std::vector<Entry> entries_;
  // Up to kHeapMax: the want smallest upper bounds, the largest on top once there are so many; most
  // entries survive by their lower bound and never enter it. Beyond: scratch.
  std::vector<float> uppers_;
  std::size_t want_ = 1;
  bool guessed_ = false;
  std::size_t prune_at_ = 0;  // entries at which to prune again
};

}  // namespace vecserve::engine
