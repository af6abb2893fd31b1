// The reference distance at the speed of the machine: the same bits as reference_distance, since
// the eight sums that it makes are what wide registers hold side by side. Comes after the scanners,
// used by rescore; tests compare it with the reference. Any thread; pure. Always holds: equal to
// reference_distance to the last bit for every input, on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/rows/row_shape.h"

namespace vecserve::engine {

// See reference_distance.
[[nodiscard]] double exact_distance(const RowShape& shape, const void* query, const std::byte* row);

}  // namespace vecserve::engine
