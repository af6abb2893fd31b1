// From the score of a coarse kernel to proven bounds of the reference distance, and from a
// threshold back to what the kernel compares with. Comes between the coarse kernels and the
// candidate lists. Pure, any thread. Always holds: lower <= reference distance <= upper, for every
// row that a kernel can hand over; bounds are never NaN. The derivation stands in coarse_bounds.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/rows/coarse_plane.h"
#include "engine/scan/coarse_kernels.h"
#include "vecserve/types.h"

namespace vecserve::engine {

// What is the same for all rows of one query.
struct CoarseProbe {
  Metric metric = Metric::l2;
  CoarseQuery query;
  // All that a kernel needs but for the reach, which follows the threshold.
  CoarseLimit limit;
};

[[nodiscard]] CoarseProbe make_probe(Metric metric, const CoarseQuery& query);

// CoarseLimit::reach for a threshold on the distance: rows that are surely further do not survive.
[[nodiscard]] float reach_of(const CoarseProbe& probe, float threshold);

struct DistanceBounds {
  float lower = 0.0f;
  float upper = 0.0f;
};

[[nodiscard]] DistanceBounds bounds_of(const CoarseProbe& probe, const CoarsePlane& plane,
                                       std::uint32_t position, float score);

// The same for rows of a plane counted from `first`, by the widest registers that there are.
struct DistanceBoundsOfSome {
  static constexpr std::size_t kCount = 64;
  alignas(64) float lower[kCount];
  alignas(64) float upper[kCount];
};
// At most kCount survivors.
void bounds_of_some(const CoarseKernels& kernels, const CoarseProbe& probe,
                    const CoarsePlane& plane, std::uint32_t first,
                    std::span<const Survivor> survivors, DistanceBoundsOfSome& bounds);

}  // namespace vecserve::engine
