// The reference distance at the speed of the machine: the same bits as reference_distance, since
// the eight sums that it makes are what wide registers hold side by side. Comes after the scanners,
// used by rescore; tests compare it with the reference. Any thread; pure. Always holds: equal to
// reference_distance to the last bit for every input, on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/rows/row_shape.h"

namespace vecserve::engine {

// So many rows at a time are the fastest.
inline constexpr std::uint32_t kDistancesAtOnce = 4;

// See reference_distance: of `count` rows, kDistancesAtOnce at most, to out[0 .. count). Rows lie
// anywhere in memory: `next` are kDistancesAtOnce others whose turn comes next and that are asked
// for meanwhile; null: none.
void exact_distances(const RowShape& shape, const void* query, const std::byte* const* rows,
                     std::uint32_t count, const std::byte* const* next, double* out);
// Asks for the memory of a row.
void ask_for_vector(const RowShape& shape, const std::byte* row);

}  // namespace vecserve::engine
