// Turns a vector as a caller gives it into the bytes that are stored, or into the floats that are
// searched with, and refuses what must not get in. First step of every write and search, on the
// caller's thread.
// Always holds: what is accepted is finite, has the collection's dimension, has a norm above zero
// under cosine, and for bits has zeros in the unused bits of the last byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/rows/row_shape.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::engine {

// Appends shape.row_bytes bytes to `out`. `field` is what an error names.
[[nodiscard]] Status store_vector(const RowShape& shape, const VectorView& view, const char* field,
                                  std::vector<std::byte>& out);

// Writes the query as floats into out[0, dim) for every type but bit; `norm` is its Euclidean norm,
// rounded up. Accepts f32 and the collection's own type.
[[nodiscard]] Status query_floats(const RowShape& shape, const VectorView& view, const char* field,
                                  float* out, double& norm);

// Writes the packed bits of a query for a bit collection into out[0, row_bytes).
[[nodiscard]] Status query_bits(const RowShape& shape, const VectorView& view, const char* field,
                                std::byte* out);

}  // namespace vecserve::engine
