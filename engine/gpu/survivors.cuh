// Where survivors go on the device, and how thresholds fall while a scan runs. Each query has room
// for `capacity` survivors; who finds the one numbered `next` looks, alone and while the others go
// on, for the want-th smallest upper bound found so far, and lowers the threshold to it. Comes
// after score.cuh, below the scan kernels. Device code. Always holds: a threshold is never below
// the want-th smallest distance of the rows found, for keys that are still on their way read as
// kNoKey.
#pragma once

#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"

namespace vecserve::engine::gpu {

// A key's lowest bits are rounded up: a threshold need not be exact, and each bit is a pass.
inline constexpr unsigned kKeyBitsSkipped = 8;

__device__ __forceinline__ unsigned lane_of() {
  return threadIdx.x % 32;
}

// The sum over a warp.
__device__ __forceinline__ unsigned warp_sum(unsigned value) {
  for (unsigned step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

// The whole warp: lowers the query's threshold to the want-th smallest of its first `count` keys.
__device__ __forceinline__ void lower_threshold(const ScanArguments& a, unsigned query,
                                                unsigned want, unsigned count) {
  const unsigned kept = count < a.capacity ? count : a.capacity;
  const std::uint32_t* const keys = a.keys + std::size_t{query} * a.capacity;
  unsigned found = 0;
  for (unsigned bit = 31; bit >= kKeyBitsSkipped; --bit) {
    const unsigned candidate = found | (1u << bit);
    unsigned below = 0;
    for (unsigned i = lane_of(); i < kept; i += 32)
      below += fetch_fresh(keys + i) < candidate ? 1u : 0u;
    if (warp_sum(below) < want) found = candidate;
  }
  if (lane_of() == 0) atomicMin(&a.states[query].threshold, found | ((1u << kKeyBitsSkipped) - 1));
}

// One thread: keeps a survivor under its number.
__device__ __forceinline__ void keep(const ScanArguments& a, unsigned query, unsigned number,
                                     const DeviceRow& row, const DeviceSurvivor& found) {
  if (number >= a.capacity) return;
  DeviceBounds bounds = {found.score, found.score};
  if (a.is_bits == 0) {
    bounds = bounds_for(a.is_l2 != 0, a.offset, fetch(a.queries + query), row, found.score);
  }
  const std::size_t at = std::size_t{query} * a.capacity + number;
  DeviceSurvivor kept = found;
  kept.lower = bounds.lower;
  store(a.survivors + at, kept);
  store(a.keys + at, key_of(bounds.upper));
}

// The whole warp, after survivors [before, after) of the query were kept by it (or by its block).
__device__ __forceinline__ void refine_if_due(const ScanArguments& a, unsigned query, unsigned want,
                                              unsigned before, unsigned after) {
  if (want == 0) return;
  unsigned due = 0;
  if (lane_of() == 0) {
    const unsigned next = fetch_fresh(&a.states[query].next);
    due = before < next && after >= next ? 1 : 0;
  }
  if (__shfl_sync(0xffffffffu, due, 0) == 0) return;
  lower_threshold(a, query, want, after);
  if (lane_of() == 0) store(&a.states[query].next, 2 * after);
}

}  // namespace vecserve::engine::gpu
