// Works out how vectors of one type and dimension lie in a block. Comes after the collection's
// options were checked, before any block is made. Any thread; pure.
// Always holds: see row_shape.h.
#include "engine/rows/row_shape.h"

#include <algorithm>

#include "engine/base/limits.h"

namespace vecserve::engine {

RowShape RowShape::make(Metric metric, ScalarType type, std::uint32_t dim) {
  constexpr std::uint32_t kStrideUnit = 16;
  RowShape shape;
  shape.metric = metric;
  shape.type = type;
  shape.dim = dim;
  shape.row_bytes = static_cast<std::uint32_t>(vector_bytes(type, dim));
  shape.stride =
      std::max(kStrideUnit, (shape.row_bytes + kStrideUnit - 1) / kStrideUnit * kStrideUnit);
  const std::size_t fit = limits::block_bytes_target / shape.stride / 64 * 64;
  shape.capacity = static_cast<std::uint32_t>(
      std::clamp(fit, std::size_t{limits::block_rows_min}, std::size_t{limits::block_rows_max}));
  return shape;
}

}  // namespace vecserve::engine
