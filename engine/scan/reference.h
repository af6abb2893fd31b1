// The reference scorer: the obvious double-precision distance, in one fixed order of operations. It
// alone decides what a search answers, so that a reply never depends on the backend. Comes after
// the scanners, used by rescore and by every test as the truth. Any thread. Always holds: the same
// bytes give the same bits on every machine (no contraction, no reordering: its file is compiled
// with -ffp-contract=off).
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/rows/row_shape.h"
#include "vecserve/types.h"

namespace vecserve::engine {

// The distance of a stored vector from a query, as Metric defines it. `query` is floats for all
// storage types but bit, for which it is packed bits. The row is shape.row_bytes long.
[[nodiscard]] double reference_distance(const RowShape& shape, const void* query,
                                        const std::byte* row);

// One stored coordinate as a double, exactly.
[[nodiscard]] double coordinate(ScalarType type, const std::byte* row, std::uint32_t index);

}  // namespace vecserve::engine
