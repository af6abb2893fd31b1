// See gpu.h.
// open() on the opening thread, the rest on any. Always holds: idle_ has room for every lane, so
// that giving back cannot fail.
#include "engine/gpu/gpu.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/gpu/group_check.h"

namespace vecserve::engine::gpu {

namespace {

// What is left to other users of the device, and to its driver.
constexpr std::size_t kShareOfMemory = 5;
constexpr std::size_t kMeasureBytesMax = std::size_t{256} << 20;

}  // namespace

GroupKernel group_kernel_of(std::string_view name) {
  if (name == "mma") return GroupKernel::mma;
  return name == "wgmma" ? GroupKernel::wgmma : GroupKernel::choose;
}

Gpu::Gpu(std::shared_ptr<Device> device, const DeviceTuning& tuning)
    : device_(std::move(device)), tuning_(tuning), name_("gpu/" + device_->info().name) {}

Result<std::shared_ptr<Gpu>> Gpu::open(std::unique_ptr<Driver> driver, const GpuOptions& options) {
  auto device = std::make_shared<Device>(std::move(driver), options.inject);
  const std::size_t free_bytes = device->info().memory_bytes;
  std::shared_ptr<Gpu> gpu(new Gpu(device, options.tuning));
  for (std::uint32_t l = 0; l < std::max(options.lanes, 1u); ++l) {
    Result<std::unique_ptr<DeviceLane>> lane = DeviceLane::make(device, gpu->tuning_);
    VECSERVE_TRY(lane.status());
    gpu->idle_.push_back(std::move(*lane));
  }
  VECSERVE_TRY(gpu->choose_group_kernel());
  std::size_t budget = options.budget_bytes;
  if (budget == 0) budget = free_bytes / kShareOfMemory * (kShareOfMemory - 1);
  Result<std::unique_ptr<Mirror>> mirror = Mirror::make(device, budget, options.ring_bytes);
  // Somebody else may have taken memory in between: half as much is better than none.
  while (!mirror.status().ok() && mirror.status().code() == StatusCode::resource_exhausted &&
         budget > options.ring_bytes) {
    budget /= 2;
    mirror = Mirror::make(device, budget, options.ring_bytes);
  }
  VECSERVE_TRY(mirror.status());
  gpu->mirror_ = std::move(*mirror);
  VECSERVE_TRY(gpu->measure());
  return gpu;
}

// The kernel of sm_90a where there is one that was seen to be right; an error where somebody
// insists on it and there is none.
Status Gpu::choose_group_kernel() {
  const GroupKernel wish = tuning_.group;
  tuning_.group = GroupKernel::mma;
  kernel_text_ = "mma";
  if (wish == GroupKernel::mma) return {};
  std::string why_not = "this device does not have it";
  if (device_->info().warpgroups) {
    const Result<std::string> wrong = check_warpgroups(*device_, *idle_.front(), tuning_);
    VECSERVE_TRY(wrong.status());
    why_not = *wrong;
    if (why_not.empty()) {
      tuning_.group = GroupKernel::wgmma;
      kernel_text_ = "wgmma";
      return {};
    }
    kernel_text_ = "mma, for of wgmma: " + why_not;
  }
  if (wish == GroupKernel::choose) return {};
  return {StatusCode::unavailable, "GPU, wgmma: " + why_not};
}

// How long an answer takes at the least, and how fast memory is: by filling some.
Status Gpu::measure() {
  DeviceLane& lane = *idle_.front();
  const std::size_t bytes = std::min<std::size_t>(
      std::size_t{tuning_.survivors} * sizeof(DeviceSurvivor), kMeasureBytesMax);
  const auto timed = [&](std::size_t size, std::uint64_t& ns) -> Status {
    const auto start = std::chrono::steady_clock::now();
    VECSERVE_TRY(device_->fill(lane.survivors, 0xff, size, lane.stream));
    VECSERVE_TRY(device_->record(lane.done, lane.stream));
    VECSERVE_TRY(device_->wait(lane.done));
    const auto passed = std::chrono::steady_clock::now() - start;
    ns = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(passed).count());
    return {};
  };
  std::uint64_t least = 0;
  std::uint64_t most = 0;
  VECSERVE_TRY(timed(16, least));  // the first call of a process may load code
  VECSERVE_TRY(timed(16, least));
  VECSERVE_TRY(timed(bytes, most));
  costs_.set_device(least, bytes, most);
  return {};
}

Gpu::Lease Gpu::take_lane() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [this] { return !idle_.empty(); });
  std::unique_ptr<DeviceLane> lane = std::move(idle_.back());
  idle_.pop_back();
  return {*this, std::move(lane)};
}

void Gpu::give_back(std::unique_ptr<DeviceLane> lane) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(lane));
  returned_.notify_one();
}

std::string Gpu::health() const {
  const std::string failure = device_->failure();
  const std::string what =
      device_->info().device + " (" + device_->info().name + ", " + kernel_text_ + ")";
  return failure.empty() ? what : what + ", out of use: " + failure;
}

}  // namespace vecserve::engine::gpu
