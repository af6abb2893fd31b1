// What people see while a run goes on: one line on standard error, drawn again four times a second,
// with a strip of the last medians and maxima. Comes beside run_load; the main thread. Always
// holds: nothing is drawn where standard error is no terminal, but a line every ten seconds.
#pragma once

#include <deque>
#include <string>

#include "tools/loadgen/run_load.h"

namespace vecserve::loadgen {

class LiveView {
 public:
  explicit LiveView(bool quiet);
  ~LiveView();
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  void show(const LiveState& state);
  // Ends the line that is being redrawn.
  void finish();

 private:
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  double said_s_ = 0.0;
  std::deque<double> tails_;  // p99 of the last intervals, in nanoseconds
};

// Heights on a logarithmic scale in eighths of a block, a character each; blank where 0.
[[nodiscard]] std::string strip(const std::deque<double>& values);

}  // namespace vecserve::loadgen
