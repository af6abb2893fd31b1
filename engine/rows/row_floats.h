// A stored vector as floats: what the planes are made from. Comes after a vector was accepted,
// before coarse_plane. Pure, any thread. Not for bit vectors. Always holds: each float is exactly
// the stored value.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecserve/types.h"

namespace vecserve::engine {

// Writes `dim` floats.
void row_floats(ScalarType type, const std::byte* row, std::uint32_t dim, float* out);

}  // namespace vecserve::engine
