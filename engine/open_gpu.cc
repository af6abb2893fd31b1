// See open_gpu.h.
// Runs on the opening thread. Always holds: VECSERVE_GPU is read here and nowhere else.
// Comes before anything that searches.
#include "engine/open_gpu.h"

#include <cstdlib>
#include <string_view>
#include <utility>

namespace vecserve::engine {

std::string OpenedGpu::state() const {
  if (device == nullptr) return "none: " + (why_not.empty() ? "not asked for" : why_not);
  if (!device->device().alive()) return device->health();
  return device->health() + ", mirror: " + to_string(device->mirror().report());
}

gpu::GpuOptions gpu_options_of(const DatabaseOptions& options, std::string_view wish) {
  gpu::GpuOptions made;
  made.budget_bytes = options.gpu_bytes;
  made.tuning.recheck_every = options.gpu_recheck_every;
  made.tuning.group = gpu::group_kernel_of(wish);
  return made;
}

OpenedGpu open_gpu(const DatabaseOptions& options, std::shared_ptr<gpu::Gpu> given) {
  if (given != nullptr) return {std::move(given), {}};
  const char* const set = std::getenv("VECSERVE_GPU");
  const std::string_view wish = set != nullptr ? set : "";
  if (wish == "off") return {nullptr, "VECSERVE_GPU=off"};
  gpu::OpenedDriver opened = gpu::open_cuda_driver();
  if (opened.driver == nullptr) return {nullptr, std::move(opened.why_not)};
  const auto device = gpu::Gpu::open(std::move(opened.driver), gpu_options_of(options, wish));
  if (!device.ok()) return {nullptr, device.status().message()};
  return {*device, {}};
}

}  // namespace vecserve::engine
