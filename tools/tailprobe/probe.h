// Runs one operation many times, stamps every run cheaply, and asks the system why only after the
// slow ones. After operations.h and counters.h, before output.h; on the calling thread.
// Always holds: between two stamps nothing runs but the operation; nothing is allocated between
// the first measured run and the last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "tools/tailprobe/causes.h"
#include "tools/tailprobe/counters.h"
#include "tools/tailprobe/operations.h"

namespace vecserve::tailprobe {

struct ProbeOptions {
  std::size_t count = 20'000;    // measured runs
  std::size_t warm_up = 200;     // runs before them, which learn what is usual
  double slow_factor = 3.0;      // a run this many times over the median of the warm-up is slow
  double seconds_max = 30.0;     // stop early; the result says how many runs there were
  std::size_t slow_max = 4'096;  // slow runs explained; further ones are only counted
};

struct Sample {
  std::uint64_t start_ticks = 0;
  std::uint64_t ticks = 0;
};

struct SlowSample {
  std::size_t index = 0;
  double at_s = 0.0;  // since the first run
  double duration_us = 0.0;
  Evidence evidence;
  std::vector<NamedCause> causes;
};

struct ProbeResult {
  std::vector<Sample> samples;
  std::vector<SlowSample> slow;
  std::size_t slow_total = 0;  // those that were not explained included
  double us_per_tick = 0.0;
  double median_us = 0.0;
  double threshold_us = 0.0;
  double excess_us = 0.0;               // of the slow runs over the median
  double explained_us = 0.0;            // of that, what their causes account for
  std::vector<double> control_late_us;  // the noise floor, from the control thread
  bool knows_run_delay = false;

  [[nodiscard]] double duration_us(std::size_t index) const {
    return static_cast<double>(samples[index].ticks) * us_per_tick;
  }
};

// `before_run`, if set, is called with the index ahead of each measured run, outside the stamps.
[[nodiscard]] ProbeResult probe(const Operation& operation, const ProbeOptions& options,
                                const std::function<void(std::size_t)>& before_run = {});

// What one run costs beside its operation: both stamps, the comparison, and its share of the dear
// readings. In nanoseconds, the least disturbed of several rounds over an empty operation.
[[nodiscard]] double measure_fast_path_ns();

// Measured on the calling thread; a few milliseconds.
[[nodiscard]] Costs measure_costs();

}  // namespace vecserve::tailprobe
