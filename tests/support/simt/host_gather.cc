// See host_gather.h.
// Comes in where Thrust's headers are. Runs on the thread that waits for a stream. Always holds:
// the source is the one that a device gets.
#include "tests/support/simt/host_gather.h"

#include "engine/gpu/gather.cuh"

namespace vecserve::test::simt {

void gather_on_host(const engine::gpu::RowMove& move) {
  engine::gpu::gather(thrust::cpp::par, move);
}

}  // namespace vecserve::test::simt
