// The scanner that reads the coarse plane first: proposes the rows that its bounds cannot rule out,
// a few more than k of them, with a quarter of the bytes of f32 rows and eight-bit arithmetic. What
// it does not serve (metrics without a bound, blocks without the plane, queries too large for
// floats) goes to the full-plane scanner inside it. Implements Scanner; see its contract.
#pragma once

#include <memory>

#include "engine/base/worker_pool.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

// `pool` may be shared by many scanners and must outlive them.
[[nodiscard]] std::unique_ptr<Scanner> make_coarse_scanner(const KernelTable& table,
                                                           WorkerPool& pool);

}  // namespace vecserve::engine
