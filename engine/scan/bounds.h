// From what a float kernel summed to proven bounds of the reference distance. Comes after the
// kernel, before the selection of candidates, which compares nothing but these bounds. Any thread;
// pure. Always holds: a lower bound is never above the reference distance, an upper bound never
// below, and neither is NaN; for metrics that cannot be negative it is at least 0. Derivations are
// in bounds.cc.
#pragma once

#include <cstdint>

#include "engine/rows/row_shape.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {

// What the bound of one query's distances is made of; the same for all rows.
struct ScoreBound {
  Metric metric = Metric::l2;
  float factor = 1.0f;    // l2, l1: the share of the sum that is certain
  float absolute = 0.0f;  // lost to underflow at most, in units of the sum
  float per_norm = 0.0f;  // dot: error per unit of the row's norm; cosine: error of the cosine
  float inverse = 0.0f;   // cosine: 1 / norm of the query; 0 when nothing can be proven
};

// `query_norm`: of the query, rounded up; used by dot and cosine.
[[nodiscard]] ScoreBound make_bound(const RowShape& shape, const KernelTable& table,
                                    double query_norm);

// Replaces sums[0, count) by lower bounds. `norms`: of the rows, rounded up; used by dot and
// cosine. Not for hamming, whose counts are exact.
void lower_bounds(const ScoreBound& bound, const float* norms, std::uint32_t count, float* sums);

// The same for one row.
[[nodiscard]] inline float lower_bound(const ScoreBound& bound, float norm, float sum) {
  lower_bounds(bound, &norm, 1, &sum);
  return sum;
}

// An upper bound of one row's distance; infinite where nothing is proven, for cosine 2.
[[nodiscard]] float upper_bound(const ScoreBound& bound, float norm, float sum);

}  // namespace vecserve::engine
