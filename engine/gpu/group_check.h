// Whether the kernel of sm_90a multiplies rightly on this device: known answers over a few tiles,
// for which the portable kernel is asked as well. Comes between opening a device and its first
// scan. One thread, with a lane to itself. Always holds: a kernel that answers wrongly, not at all
// or with an error costs nothing but itself, as long as the device outlives it.
#pragma once

#include <string>

#include "engine/gpu/device_lane.h"

namespace vecserve::engine::gpu {

// "" or why Kernel::scan_warpgroups is not to be used. An error when the device is lost. May throw
// std::bad_alloc.
[[nodiscard]] Result<std::string> check_warpgroups(Device& device, DeviceLane& lane,
                                                   const DeviceTuning& tuning);

}  // namespace vecserve::engine::gpu
