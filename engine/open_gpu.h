// Whether a database uses a GPU: opens what the machine has, unless VECSERVE_GPU=off, and keeps the
// reason where there is none; VECSERVE_GPU=mma or wgmma says by which kernel it multiplies. Called
// once when a database is opened; what it gives is constant. Comes before the runtime, whose
// scanners use it. Always holds: a machine without a device, or with one that fails, gets a
// database all the same.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/gpu/gpu.h"
#include "vecserve/options.h"

namespace vecserve::engine {

struct OpenedGpu {
  std::shared_ptr<gpu::Gpu> device;  // null: none
  std::string why_not;

  // The device, how it is and what it has of the rows, or why there is none.
  [[nodiscard]] std::string state() const;
};

// What a device is opened with; `wish`: what VECSERVE_GPU says.
[[nodiscard]] gpu::GpuOptions gpu_options_of(const DatabaseOptions& options, std::string_view wish);

// `given`: in place of what the machine has; null outside of tests.
[[nodiscard]] OpenedGpu open_gpu(const DatabaseOptions& options, std::shared_ptr<gpu::Gpu> given);

}  // namespace vecserve::engine
