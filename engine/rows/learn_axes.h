// Learns the axes of a sketch from a sample of rows: the directions along which they differ most,
// by subspace iteration on the sample's covariance, and how long one code is along each of them.
// Runs on the background thread; comes before the sketch planes are filled. Pure: the same sample
// and seed give the same axes. Always holds: what it returns is valid axes, good or not.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/rows/sketch_axes.h"

namespace vecserve::engine {

// Rows to learn from, one after the other, as floats. More would make the axes hardly better.
inline constexpr std::uint32_t kSketchSampleMax = 4096;
inline constexpr std::uint32_t kSketchSampleMin = 256;

struct AxesSample {
  std::vector<float> rows;  // count rows of dim floats
  std::uint32_t count = 0;
  double largest = 0.0;  // at least the longest row of the collection, for dot
};

// Null when `stopping` said so, or when the sample has nothing to learn from (all rows equal, or
// too large for floats). May throw std::bad_alloc. Takes about count * dim * 6 * 160
// multiplications.
[[nodiscard]] std::shared_ptr<const SketchAxes> learn_axes(const RowShape& shape,
                                                           const AxesSample& sample,
                                                           const std::function<bool()>& stopping);

}  // namespace vecserve::engine
