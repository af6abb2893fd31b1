// The backstop behind admission, after CoDel: predictions can be wrong, and then works wait longer
// than was promised. If the oldest waiting work was over the target during a whole interval, the
// queue counts as overloaded: within a connection the newest go first, and what waited twice the
// target is shed.
// Guarded by the dispatch's mutex. Always holds: one short wait within an interval ends it.
#pragma once

#include <algorithm>

#include "net/batcher.h"
#include "net/work.h"

namespace vecserve::net {

class Backstop {
 public:
  // `delay` of the oldest that waits when a batch closes, 0 when none does; `target` is what
  // admission lets works wait.
  void observe(TimePoint now, Duration delay, Duration target) {
    target_ = target;
    shortest_ = std::min(shortest_, delay);
    if (delay <= target_) overloaded_ = false;
    if (now < interval_end_) return;
    // After a pause nothing is known of the interval.
    overloaded_ = interval_end_ != TimePoint{} && shortest_ > target_;
    shortest_ = Duration::max();
    interval_end_ = now + kIntervalTargets * target;
  }

  [[nodiscard]] bool overloaded() const { return overloaded_; }
  [[nodiscard]] ClosePolicy policy() const {
    if (!overloaded_) return {false, Duration::max(), target_ / kRushParts, {}};
    return {true, kShedTargets * target_, Duration::max(), {}};
  }

 private:
  // CoDel's ratio of interval to target, 100 ms to 5 ms, and the slough of folly's version.
  static constexpr int kIntervalTargets = 20;
  static constexpr int kShedTargets = 2;
  // Turns hold for the first half of what works may wait, the order of arrival for the rest.
  static constexpr int kRushParts = 2;

  TimePoint interval_end_{};
  Duration shortest_ = Duration::max();
  Duration target_{0};
  bool overloaded_ = false;
};

}  // namespace vecserve::net
