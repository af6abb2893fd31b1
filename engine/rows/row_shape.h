// The layout that all rows of a collection share: storage type, dimension, metric, bytes per row.
// Comes from CollectionOptions; everything that touches vectors in memory is told it.
// Always holds: stride is a multiple of 16, at least row_bytes; padding bytes are zero.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vecserve/types.h"

namespace vecserve::engine {

struct RowShape {
  Metric metric = Metric::l2;
  ScalarType type = ScalarType::f32;
  std::uint32_t dim = 0;
  std::uint32_t row_bytes = 0;  // of the vector as stored, without padding
  std::uint32_t stride = 0;     // from one vector to the next in a block
  std::uint32_t capacity = 0;   // rows of a block: block_bytes_target / stride, a multiple of 64
                                // between block_rows_min and block_rows_max

  bool coarse = false;  // blocks have a coarse plane

  [[nodiscard]] static RowShape make(Metric metric, ScalarType type, std::uint32_t dim);
  friend bool operator==(const RowShape&, const RowShape&) = default;
};

}  // namespace vecserve::engine
