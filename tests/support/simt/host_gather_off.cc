// See host_gather.h.
// Comes in where there is no Thrust that gather.cuh compiles with, as on a machine without the CUDA
// Toolkit. Runs on the thread that waits for a stream. Always holds: it moves what gather.cuh
// would.
#include "tests/support/simt/host_gather.h"

#include <algorithm>

namespace vecserve::test::simt {

void gather_on_host(const engine::gpu::RowMove& move) {
  for (std::uint32_t r = 0; r < move.count; ++r) {
    std::copy_n(move.from[r].codes, move.chunks, move.codes + std::size_t{r} * move.chunks);
    if (move.rows != nullptr) move.rows[r] = *move.from[r].row;
  }
}

}  // namespace vecserve::test::simt
