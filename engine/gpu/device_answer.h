// From what a device says it found to candidates with proven bounds, by the arithmetic that CPU
// scanners use; and whether a device could have found that at all. Comes after device_scan, before
// rescore. One thread at a time. Always holds: nothing that a device wrote is used as an index, or
// believed to be eligible, before it was checked.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/gpu/device_scan.h"
#include "engine/scan/bound_list.h"

namespace vecserve::engine::gpu {

class DeviceAnswer {
 public:
  // Bounds of all survivors of the batch, into one list for each of its queries. False when one of
  // them makes no sense: a query, block or row that was not asked for, or a score that is not what
  // the codes give (looked at for each `recheck_every`-th; 0: for none). May throw std::bad_alloc.
  [[nodiscard]] bool take(const DeviceBatch& batch, std::span<const PackedSurvivor> survivors,
                          std::uint32_t recheck_every);
  // The candidates of a query of the batch, beside which the device found no row that is nearer
  // than `threshold`; see Scanner.
  void finish(const DeviceBatch& batch, std::size_t query, float threshold, QueryCandidates& out);

 private:
  [[nodiscard]] static bool makes_sense(const DeviceBatch& batch, const PackedSurvivor& survivor);
  [[nodiscard]] static DistanceBounds bounds_for(const DeviceBatch& batch,
                                                 const PackedSurvivor& survivor);
  [[nodiscard]] static bool score_holds(const DeviceBatch& batch, const PackedSurvivor& survivor);

  std::vector<BoundList> lists_;
};

}  // namespace vecserve::engine::gpu
