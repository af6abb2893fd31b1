// A GPU to hand to scanners where there is none: opened over the emulated driver, with room and
// thresholds so small that every path is taken by a few hundred rows. Comes after emulated_driver,
// before the tests of what uses a GPU. Any thread, as Gpu. Always holds: a mirroring scanner brings
// blocks over before it scans them, some of their rows or all, so that device and CPU both have to
// answer.
#pragma once

#include <memory>

#include "engine/gpu/gpu.h"

namespace vecserve::test::simt {

[[nodiscard]] engine::gpu::GpuOptions small_gpu();
// With the kernel of sm_90a where the options ask for it.
[[nodiscard]] std::shared_ptr<engine::gpu::Gpu> open_emulated_gpu(
    const engine::gpu::GpuOptions& options = small_gpu());

// Before each scan mirrors rows of all blocks: of the last one about half, of all others all, but
// no more than the emulator can scan in no time; their sketches too, and every other time the bits
// of the first query's mask.
struct Mirroring {
  // Queries go one and a few at a time, which is how many are sifted together; where no block has a
  // sketch all is left to the CPU.
  bool few = false;
  // Vectors too, of some blocks all that are mirrored and of others a part.
  bool full = false;
  // No fewer rows than that: for a device that is not the emulator's.
  bool all = false;
};
[[nodiscard]] std::unique_ptr<engine::Scanner> make_mirroring_scanner(
    std::shared_ptr<engine::gpu::Gpu> gpu, std::unique_ptr<engine::Scanner> cpu,
    const Mirroring& how = {});

}  // namespace vecserve::test::simt
