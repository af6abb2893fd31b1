// What a stream is asked to do for one scan, from its first fill to its last copy, as data: so that
// it can be done step by step, or be kept by a driver as a graph and replayed in one call with
// other parameters. Comes between device_scan, which writes the steps down, and the driver. One
// thread at a time. Always holds: steps with the same form differ in parameters only, so that one
// graph does for all of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/check.h"
#include "engine/gpu/scan_types.h"

namespace vecserve::engine::gpu {

struct Step {
  enum class Kind : std::uint8_t { fill = 1, launch = 2, copy_out = 3 };
  Kind kind = Kind::fill;
  std::uint8_t byte = 0;           // fill
  Kernel kernel = Kernel::refine;  // launch
  std::uint32_t blocks = 0;        // launch
  ScanArguments arguments{};       // launch
  void* to = nullptr;              // fill: on the device; copy_out: pinned memory of the host
  const void* from = nullptr;      // copy_out
  std::size_t bytes = 0;           // fill, copy_out; never 0

  bool operator==(const Step&) const = default;
};

class Steps {
 public:
  static constexpr std::size_t kMax = 10;

  void clear() { count_ = 0; }
  void fill(void* to, std::uint8_t byte, std::size_t bytes) {
    Step& step = add(Step::Kind::fill);
    step.to = to;
    step.byte = byte;
    step.bytes = bytes;
  }
  void launch(Kernel kernel, const ScanArguments& arguments, std::uint32_t blocks) {
    Step& step = add(Step::Kind::launch);
    step.kernel = kernel;
    step.arguments = arguments;
    step.blocks = blocks;
  }
  void copy_out(void* to, const void* from, std::size_t bytes) {
    Step& step = add(Step::Kind::copy_out);
    step.to = to;
    step.from = from;
    step.bytes = bytes;
  }
  [[nodiscard]] std::span<const Step> all() const { return {steps_.data(), count_}; }
  // Kinds and kernels in their order.
  [[nodiscard]] std::uint64_t form() const {
    std::uint64_t form = 0;
    for (const Step& step : all()) form = form << kStepBits | digit(step);
    return form;
  }

 private:
  // Of a form, for each step: never 0, so that forms of another length differ.
  static constexpr unsigned kStepBits = 4;
  static constexpr unsigned kKernelsFrom = 3;
  static_assert(kMax * kStepBits <= 64);
  static_assert(kKernelsFrom + static_cast<unsigned>(Kernel::pack) < (1u << kStepBits));
  [[nodiscard]] static constexpr unsigned digit(const Step& step) {
    if (step.kind == Step::Kind::launch) return kKernelsFrom + static_cast<unsigned>(step.kernel);
    return step.kind == Step::Kind::fill ? 1u : 2u;
  }
  Step& add(Step::Kind kind) {
    VECSERVE_CHECK(count_ < kMax);
    Step& step = steps_[count_++];
    step = Step();
    step.kind = kind;
    return step;
  }

  std::array<Step, kMax> steps_{};
  std::size_t count_ = 0;
};

}  // namespace vecserve::engine::gpu
