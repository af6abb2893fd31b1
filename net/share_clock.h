// Device time as its lanes share it: while n batches run, each is charged 1/n of the time that
// passes. So the charges of all batches add up to the time in which anything ran, whether the
// device runs batches one after the other or side by side, and predictions can simply add them.
// Guarded by the dispatch's mutex. Always holds: the reading never goes back, and stands still
// while nothing runs.
#pragma once

#include <cstdint>

#include "net/work.h"

namespace vecserve::net {

class ShareClock {
 public:
  // What one batch that ran all the time would have been charged.
  [[nodiscard]] Duration read(TimePoint now) {
    if (running_ != 0 && now > last_) {
      shared_ns_ += static_cast<double>((now - last_).count()) / running_;
    }
    if (now > last_) last_ = now;
    return Duration(static_cast<Duration::rep>(shared_ns_));
  }
  void begin(TimePoint now) {
    static_cast<void>(read(now));
    ++running_;
  }
  void end(TimePoint now) {
    static_cast<void>(read(now));
    --running_;
  }
  [[nodiscard]] std::uint32_t running() const { return running_; }

 private:
  double shared_ns_ = 0.0;
  TimePoint last_{};
  std::uint32_t running_ = 0;
};

}  // namespace vecserve::net
