// The scan of rows of bits: every warp takes 32 rows at a time, four lanes to a row, sixteen bytes
// each, and counts the bits that differ from those of up to four queries, whose group its block
// has. The count is the distance itself. Comes after few_scan.cuh. Device code, one warp
// independent of all others. Always holds: rows that no mask of the group has, or past the block's
// count, are never read; bytes are read up to the stride and no further.
#pragma once

#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/scan_types.h"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

__device__ __forceinline__ int differing_bits(const uint4& a, const uint4& b) {
  return __popc(a.x ^ b.x) + __popc(a.y ^ b.y) + __popc(a.z ^ b.z) + __popc(a.w ^ b.w);
}

// Of each query of the group, the distance of row t * 8 + g to the lane 4g + t.
__device__ __forceinline__ void count_rows(const ScanArguments& a, const std::uint8_t* bits,
                                           unsigned first, unsigned any, Shared<uint4> queries,
                                           int (&mine)[kFewQueries]) {
  const LaneRows lane = lane_rows(a, first, any);
  const unsigned chunks = lane.chunks;
  const unsigned t = lane.t;
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kFewQueries; ++q) mine[q] = 0;
  VECSERVE_UNROLL
  for (unsigned j = 0; j < 4; ++j) {
    const uint4* const bytes = row_of(lane, bits, j);
    int sums[kFewQueries] = {};
    for (unsigned at = t; at < chunks; at += 4) {
      const uint4 chunk = fetch(bytes + at);
      VECSERVE_UNROLL
      for (unsigned q = 0; q < kFewQueries; ++q) {
        sums[q] += differing_bits(chunk, queries[q * chunks + at]);
      }
    }
    VECSERVE_UNROLL
    for (unsigned q = 0; q < kFewQueries; ++q) {
      sums[q] += __shfl_xor_sync(0xffffffffu, sums[q], 1);
      sums[q] += __shfl_xor_sync(0xffffffffu, sums[q], 2);
      if (t == j) mine[q] = sums[q];
    }
  }
}

// One row per lane of one query: those within the threshold survive.
__device__ __forceinline__ void test_bits(const ScanArguments& a, unsigned query, unsigned eligible,
                                          const DeviceSurvivor& place, unsigned bit, int count) {
  DeviceSurvivor found = place;
  found.score = __int2float_rn(count);
  const float threshold = value_of(fetch_fresh(&a.states[query].threshold));
  const bool in = !(found.score > threshold) && (eligible >> bit & 1) != 0;
  const DeviceRow nothing = {0.0f, 0.0f, 0.0f, 0.0f};
  keep_rows(a, query, fetch(&a.queries[query].want), in, nothing, found);
}

// 32 rows, for the queries from first_query on.
__device__ __forceinline__ void scan_bits_half(const ScanArguments& a, unsigned half,
                                               unsigned first_query, Shared<uint4> queries) {
  const HalfTile at = half_tile(a, half);
  unsigned eligible[kFewQueries];
  const unsigned any = eligible_for<kFewQueries>(a, at, first_query, eligible);
  if (any == 0) return;
  int counts[kFewQueries];
  count_rows(a, at.page.codes, at.first, any, queries, counts);
  const unsigned bit = lane_of() % 4 * 8 + lane_of() / 4;
  const DeviceSurvivor place = {at.block, at.first + bit, 0.0f, 0.0f};
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kFewQueries; ++q) {
    if (eligible[q] != 0) test_bits(a, first_query + q, eligible[q], place, bit, counts[q]);
  }
}

// Shared memory: the group's queries.
__device__ __forceinline__ void bit_scan(const ScanArguments& a) {
  const unsigned groups = (a.query_count + kFewQueries - 1) / kFewQueries;
  const unsigned first_query = blockIdx.x % groups * kFewQueries;
  const unsigned lanes = gridDim.x / groups;  // blocks of each group
  const Shared<uint4> queries = share_queries<kFewQueries>(a, first_query);
  __syncthreads();
  if (blockIdx.x / groups >= lanes) return;  // all threads of the block alike
  const unsigned warps = lanes * (blockDim.x / 32);
  const unsigned warp = blockIdx.x / groups * (blockDim.x / 32) + threadIdx.x / 32;
  for (unsigned half = 2 * a.first_tile + warp; half < 2 * a.last_tile; half += warps) {
    scan_bits_half(a, half, first_query, queries);
  }
}

}  // namespace vecserve::engine::gpu
