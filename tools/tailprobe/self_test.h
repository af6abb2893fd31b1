// Does the probe name what was done to it? Injects each cause into runs chosen by a seed and counts
// how often it is named. On top of probe.h and injection.h; called by --self-test.
// Always holds: a run counts as slow by the probe's own threshold, and as named correctly only if
// the injected cause is named and nothing but preemption or a stall of the machine, which others
// inject as they please, stands before it. Disturbed runs that were mostly waiting for the
// processor are set aside and counted.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vecserve::tailprobe {

struct Finding {
  std::string name;
  double figure = 0.0;
  double limit = 0.0;
  bool at_least = true;  // the figure must reach the limit, or else stay below it
  std::string detail;    // counts behind the figure

  [[nodiscard]] bool holds() const { return at_least ? figure >= limit : figure <= limit; }
};

struct SelfTestOptions {
  std::uint64_t seed = 1;
  std::size_t injections = 100;  // of each cause
  std::string folder;            // on the disk to make busy
};

// Each finding is passed to `found` as soon as it is known.
void self_test(const SelfTestOptions& options, const std::function<void(const Finding&)>& found);

}  // namespace vecserve::tailprobe
