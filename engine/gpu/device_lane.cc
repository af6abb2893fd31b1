// See device_lane.h.
// Runs when a device is opened and when it is closed. Always holds: whatever was made is released,
// also when the next thing could not be made.
#include "engine/gpu/device_lane.h"

#include <algorithm>

namespace vecserve::engine::gpu {

namespace {

template <typename T>
Status take(Result<void*> made, T*& out) {
  VECSERVE_TRY(made.status());
  out = static_cast<T*>(*made);
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceLane>> DeviceLane::make(std::shared_ptr<Device> device,
                                                     const DeviceTuning& tuning) {
  std::unique_ptr<DeviceLane> lane(new DeviceLane(std::move(device)));
  VECSERVE_TRY(lane->allocate(tuning));
  return lane;
}

Status DeviceLane::allocate(const DeviceTuning& tuning) {
  const Result<Driver::Stream> made = device_->make_stream(Driver::Priority::search);
  VECSERVE_TRY(made.status());
  stream = *made;
  const Result<Driver::Event> event = device_->make_event();
  VECSERVE_TRY(event.status());
  done = *event;
  const std::size_t room = tuning.survivors;
  const std::size_t queries = std::max<std::size_t>(room / tuning.survivors_min, 1);
  states_bytes = queries * sizeof(QueryState) + 16;
  VECSERVE_TRY(take(device_->allocate_pinned(tuning.input_bytes), input_host));
  VECSERVE_TRY(take(device_->allocate(tuning.input_bytes), input));
  VECSERVE_TRY(take(device_->allocate(room * sizeof(std::uint32_t)), keys));
  VECSERVE_TRY(take(device_->allocate(room * sizeof(DeviceSurvivor)), survivors));
  const std::size_t packed_bytes = std::size_t{tuning.packed} * sizeof(PackedSurvivor);
  VECSERVE_TRY(take(device_->allocate(packed_bytes), packed));
  return take(device_->allocate_pinned(states_bytes + packed_bytes), output_host);
}

DeviceLane::~DeviceLane() {
  if (stream != nullptr && device_->alive()) static_cast<void>(device_->drain(stream));
  device_->release_pinned(output_host);
  device_->release(packed);
  device_->release(survivors);
  device_->release(keys);
  device_->release(input);
  device_->release_pinned(input_host);
  device_->end_event(done);
  device_->end_stream(stream);
}

}  // namespace vecserve::engine::gpu
