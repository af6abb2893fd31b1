// What comes between and after scans on the device, one warp for each query: thresholds from the
// survivors so far, and the survivors below the final threshold packed for the way to the host.
// Comes after survivors.cuh. Device code. Always holds: packing leaves out only rows that are
// further than the threshold; the order of what it packs means nothing.
#pragma once

#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

// At the least so many more survivors than rows wanted until the threshold is looked for again.
inline constexpr unsigned kMoreSurvivors = 64;

__device__ __forceinline__ void refine(const ScanArguments& a) {
  const unsigned query = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (query >= a.query_count) return;
  const unsigned want = fetch(&a.queries[query].want);
  const unsigned count = fetch_fresh(&a.states[query].count);
  if (want != 0) lower_threshold(a, query, want, count);
  __syncwarp();
  if (lane_of() != 0) return;
  const unsigned base = a.restart != 0 ? 0 : count;
  store(&a.states[query].count, base);
  store(&a.states[query].next, (base > want ? base : want) + want + kMoreSurvivors);
}

__device__ __forceinline__ void pack(const ScanArguments& a) {
  const unsigned query = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (query >= a.query_count) return;
  const unsigned count = fetch(&a.states[query].count);
  const unsigned kept = count < a.capacity ? count : a.capacity;
  const float threshold = value_of(fetch(&a.states[query].threshold));
  for (unsigned first = 0; first < kept; first += 32) {
    const unsigned number = first + lane_of();
    DeviceSurvivor survivor = {0, 0, 0.0f, 0.0f};
    bool in = number < kept;
    if (in) {
      survivor = fetch(a.survivors + std::size_t{query} * a.capacity + number);
      in = !(survivor.lower > threshold);
    }
    const unsigned votes = __ballot_sync(0xffffffffu, in);
    unsigned base = 0;
    if (lane_of() == 0 && votes != 0) {
      base = atomicAdd(&a.totals->packed, static_cast<unsigned>(__popc(votes)));
    }
    base = __shfl_sync(0xffffffffu, base, 0);
    const unsigned at = base + static_cast<unsigned>(__popc(votes & ((1u << lane_of()) - 1)));
    if (in && at < a.packed_capacity) {
      const PackedSurvivor packed = {query, survivor.block, survivor.position, survivor.score};
      store(a.packed + at, packed);
    }
  }
}

}  // namespace vecserve::engine::gpu
