// See runtime.h.
// Built by open before any other thread exists; afterwards each member as its group says.
// Always holds: the first reason for refusing writes is the one that is reported.
#include "engine/runtime.h"

#include <span>
#include <utility>

#include "engine/commit_group.h"
#include "engine/scan/coarse_scanner.h"

namespace vecserve::engine {

Runtime::Runtime(const DatabaseOptions& options_in, const KernelTable& kernels_in,
                 const Clock& clock_in, OpenedGpu gpu_in)
    : options(options_in),
      kernels(kernels_in),
      clock(clock_in),
      gpu(std::move(gpu_in)),
      pool(options_in.threads),
      lanes([this] {
        auto cpu = make_coarse_scanner(kernels, pool);
        return gpu.device == nullptr ? std::move(cpu)
                                     : make_gpu_scanner(gpu.device, std::move(cpu));
      }),
      committer([this](std::span<WriteOp* const> group) { commit_group(*this, group); }) {}

Status Runtime::writable() const {
  if (closed.load(std::memory_order_acquire)) {
    return {StatusCode::unavailable, "the database is closed"};
  }
  if (read_only) {
    return {StatusCode::failed_precondition, "the database is open read-only"};
  }
  if (is_degraded_.load(std::memory_order_acquire)) {
    return {StatusCode::io_error, "read-only until it is opened again: " + degraded()};
  }
  return {};
}

std::string Runtime::degraded() const {
  const std::lock_guard lock(degraded_mutex_);
  return degraded_;
}

void Runtime::degrade(const std::string& why) noexcept {
  const std::lock_guard lock(degraded_mutex_);
  if (degraded_.empty()) {
    degraded_ = "a write failed";  // fits into the string itself
    try {
      degraded_ = why.empty() ? degraded_ : why;
    } catch (...) {
      // The short reason stays.
    }
    is_degraded_.store(true, std::memory_order_release);
  }
}

}  // namespace vecserve::engine
