// A GPU in use: the device, the mirror on it and the lanes that searches borrow. Made once for each
// database, shared by its scanners and the keeper of its mirror. Any thread. Always holds: what can
// fail at the start fails in open(), with a reason for people; afterwards a failure makes health()
// say so, and everything goes on without the GPU.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gpu/device_lane.h"
#include "engine/gpu/mirror.h"
#include "engine/gpu/scan_costs.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine::gpu {

struct GpuOptions {
  std::size_t budget_bytes = 0;  // for the mirror; 0: four fifths of what is free
  std::size_t ring_bytes = std::size_t{8} << 20;
  std::uint32_t lanes = 2;  // searches on the device at one time
  DeviceTuning tuning;
  Device::Inject inject;  // for tests
};

class Gpu {
 public:
  [[nodiscard]] static Result<std::shared_ptr<Gpu>> open(std::unique_ptr<Driver> driver,
                                                         const GpuOptions& options);

  class Lease {
   public:
    Lease(Gpu& gpu, std::unique_ptr<DeviceLane> lane) : gpu_(gpu), lane_(std::move(lane)) {}
    ~Lease() { gpu_.give_back(std::move(lane_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    [[nodiscard]] DeviceLane& operator*() const { return *lane_; }

   private:
    Gpu& gpu_;
    std::unique_ptr<DeviceLane> lane_;
  };
  // Waits while all lanes are out.
  [[nodiscard]] Lease take_lane();

  [[nodiscard]] Device& device() { return *device_; }
  [[nodiscard]] Mirror& mirror() { return *mirror_; }
  [[nodiscard]] ScanCosts& costs() { return costs_; }
  [[nodiscard]] const DeviceTuning& tuning() const { return tuning_; }
  // "gpu/sm_90"; constant.
  [[nodiscard]] const std::string& name() const { return name_; }
  // "NVIDIA ... (sm_90, wgmma)", or why it multiplies by mma, or what it died of.
  [[nodiscard]] std::string health() const;

 private:
  Gpu(std::shared_ptr<Device> device, const DeviceTuning& tuning);
  [[nodiscard]] Status choose_group_kernel();
  [[nodiscard]] Status measure();
  void give_back(std::unique_ptr<DeviceLane> lane);

  const std::shared_ptr<Device> device_;
  // Constant once opened, as what it says of the kernel that was chosen.
  DeviceTuning tuning_;
  std::string kernel_text_;
  const std::string name_;
  std::unique_ptr<Mirror> mirror_;
  ScanCosts costs_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<DeviceLane>> idle_;  // guarded by mutex_
};

// "mma" or "wgmma"; of anything else `choose`.
[[nodiscard]] GroupKernel group_kernel_of(std::string_view name);

// A scanner that has the device look at mirrored rows, and `cpu` at all others, and at everything
// where the device cannot serve, would be slower, or fails.
[[nodiscard]] std::unique_ptr<Scanner> make_gpu_scanner(std::shared_ptr<Gpu> gpu,
                                                        std::unique_ptr<Scanner> cpu);

}  // namespace vecserve::engine::gpu
