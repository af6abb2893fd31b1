// See runtime.h.
// Built by open before any other thread exists; afterwards each member as its group says.
// Always holds: the first reason for refusing writes is the one that is reported.
#include "engine/runtime.h"

#include <span>

#include "engine/commit_group.h"

namespace vecserve::engine {

Runtime::Runtime(const DatabaseOptions& options_in, const KernelTable& kernels_in,
                 const Clock& clock_in)
    : options(options_in),
      kernels(kernels_in),
      clock(clock_in),
      pool(options_in.threads),
      lanes([this] { return make_cpu_scanner(kernels, pool); }),
      committer([this](std::span<WriteOp* const> group) { commit_group(*this, group); }) {}

std::string Runtime::degraded() const {
  const std::lock_guard lock(degraded_mutex_);
  return degraded_;
}

void Runtime::degrade(const std::string& why) {
  const std::lock_guard lock(degraded_mutex_);
  if (degraded_.empty()) {
    degraded_ = why;
  }
}

}  // namespace vecserve::engine
