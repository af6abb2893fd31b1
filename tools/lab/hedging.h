// The lab's chapters with a hedging client: before both batch services, and before three replicas
// of vecserve that stall. Real servers in this process; what their devices are is told with every
// figure. After the rig, before story.cc; main thread.
// Always holds: hedged and unhedged runs get the same arrivals and stalls.
#pragma once

#include <functional>
#include <string>

#include "tools/lab/story.h"
#include "vecserve/status.h"

namespace vecserve::lab {

// Adds the rows and sections to `story`.
[[nodiscard]] Status tell_hedging(const StoryOptions& options, Story& story,
                                  const std::function<void(const std::string&)>& progress);

}  // namespace vecserve::lab
