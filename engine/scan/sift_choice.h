// Whether sketches can pay for some queries, by the numbers alone: before anything is read. Comes
// between the planner and the coarse scanner, which asks once for each group of queries and then
// watches how many rows really pass. Pure, any thread. Always holds: the answer changes what a scan
// costs, never what it finds.
#pragma once

#include <cstdint>

#include "engine/scan/scanner.h"

namespace vecserve::engine {

// Of the queries [first, first + count) of the request, which share the mask; `share_max`: of the
// eligible rows, as many may pass and it still pays.
[[nodiscard]] bool worth_sifting(const ScanRequest& request, const ScanMask& mask,
                                 std::uint32_t first, std::uint32_t count, double share_max);

}  // namespace vecserve::engine
