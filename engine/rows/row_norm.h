// The Euclidean norm of a stored vector, rounded up, which the bounds of dot and cosine build on;
// and the square of a vector of floats. The norm comes before a row is appended to its block, on
// the committing thread; the square is for any thread.
// Always holds: the norm is at least the true norm and, where it is a normal float, above it by
// less than a factor of 1 + 2^-22; infinite when the norm is beyond the range of a float.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/rows/row_shape.h"

namespace vecserve::engine {

// Not for bit vectors.
[[nodiscard]] float row_norm_up(const RowShape& shape, const std::byte* vector);

// The sum of the squares of finite floats: off by at most count * 2^-53 of itself.
[[nodiscard]] double square_of(const float* vector, std::uint32_t count);

}  // namespace vecserve::engine
