// In place of cuda_driver.cu in builds without a CUDA compiler: there is no device, and it says
// why. Called once when a database is opened. Any thread. Always holds: nothing else of the engine
// knows which of the two files was built.
#include "engine/gpu/driver.h"

namespace vecserve::engine::gpu {

OpenedDriver open_cuda_driver() {
  return {nullptr, "built without CUDA"};
}

}  // namespace vecserve::engine::gpu
