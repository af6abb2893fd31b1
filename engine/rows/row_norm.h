// The Euclidean norm of a stored vector, rounded up, which the bounds of dot and cosine build on.
// Comes before a row is appended to its block; the committing thread.
// Always holds: the result is at least the true norm and, where it is a normal float, above it by
// less than a factor of 1 + 2^-22; infinite when the norm is beyond the range of a float.
#pragma once

#include <cstddef>

#include "engine/rows/row_shape.h"

namespace vecserve::engine {

// Not for bit vectors.
[[nodiscard]] float row_norm_up(const RowShape& shape, const std::byte* vector);

}  // namespace vecserve::engine
