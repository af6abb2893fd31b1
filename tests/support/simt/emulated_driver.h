// A Driver without a GPU: device memory is host memory that is checked, streams are queues that run
// only when somebody waits for them, and kernels run under the emulator. Comes in place of the CUDA
// driver in tests. Any thread. Always holds: what a copy reads from the host is read when the
// stream gets there, so that a buffer that was reused too early shows; a kernel that does wrong
// loses the device, and text() says what it did.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/gpu/device_lane.h"

namespace vecserve::test::simt {

// A device address where no memory is, on no device.
inline constexpr std::uintptr_t kNowhere = 0x1000;

// What a driver was asked for and has not been given back.
struct DriverLedger {
  std::atomic<int> pinned{0};
  std::atomic<int> device{0};
  std::atomic<int> search_streams{0};
  std::atomic<int> insert_streams{0};
  std::atomic<int> events{0};
  std::atomic<int> graphs{0};
  // Ever asked for.
  std::atomic<std::size_t> pinned_bytes{0};
  std::atomic<std::size_t> device_bytes{0};

  [[nodiscard]] int all() const {
    return pinned + device + search_streams + insert_streams + events + graphs;
  }
};

struct EmulatedOptions {
  std::size_t memory_bytes = std::size_t{256} << 20;
  std::uint64_t seed = 0;
  // While true, kernels look for their queries at kNowhere. Null: never. Must outlive it.
  const std::atomic<bool>* astray = nullptr;
  DriverLedger* ledger = nullptr;  // null: nobody counts. Must outlive it.
  bool warpgroups = false;         // has Kernel::scan_warpgroups
  // What that kernel does instead of scanning rightly.
  enum class Fault : std::uint8_t {
    none,
    wrong_product,  // queries begin sixteen bytes too late
    late_copy,      // rows never come
    illegal,        // it reads where nothing is
  };
  std::atomic<Fault>* fault = nullptr;  // null: none. Must outlive it.
};

// A device that has that kernel.
[[nodiscard]] inline EmulatedOptions emulated_for(engine::gpu::GroupKernel kernel,
                                                  std::uint64_t seed = 0) {
  EmulatedOptions options;
  options.seed = seed;
  options.warpgroups = kernel == engine::gpu::GroupKernel::wgmma;
  return options;
}

[[nodiscard]] std::unique_ptr<engine::gpu::Driver> make_emulated_driver(
    const EmulatedOptions& options = {});

}  // namespace vecserve::test::simt
