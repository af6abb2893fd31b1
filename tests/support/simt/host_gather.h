// Moves rows as gather.cuh does on a device, by Thrust's host back end where Thrust is, by a loop
// where it is not. Comes below the emulated driver; a file of its own, since machine.h has CUDA's
// names as macros. Any thread. Always holds: addresses were looked at before.
#pragma once

#include "engine/gpu/moved_rows.h"

namespace vecserve::test::simt {

void gather_on_host(const engine::gpu::RowMove& move);

}  // namespace vecserve::test::simt
