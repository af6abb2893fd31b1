// The scan for one query or a few: every warp takes 32 rows at a time, four lanes to a row, sixteen
// bytes each, so that the coarse plane streams through at the speed of the memory; products of
// bytes, the test and the bounds happen in registers. Comes after survivors.cuh. Device code, one
// warp independent of all others. Always holds: rows that no query's mask has, or past the block's
// count, are never read from the plane, so that a filter saves what it leaves out; codes are read
// up to the stride and no further.
#pragma once

#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

// Which of the rows [first, first + 32) of a block the query's mask has.
__device__ __forceinline__ unsigned eligible_rows(const ScanArguments& a, unsigned mask,
                                                  unsigned block, unsigned first, unsigned count) {
  const std::uint64_t at = fetch(a.mask_at + std::size_t{mask} * a.block_count + block);
  if (at == kNoRows || first >= count) return 0;
  const unsigned left = count - first;
  const unsigned there = left >= 32 ? 0xffffffffu : (1u << left) - 1;
  if (at == kAllRows) return there;
  const std::uint64_t word = fetch(reinterpret_cast<const std::uint64_t*>(at) + first / kTileRows);
  return static_cast<unsigned>(word >> (first % kTileRows)) & there;
}

// 32 rows of a block, which is half of one of its tiles.
struct HalfTile {
  unsigned block;
  unsigned first;
  DeviceBlock page;
};

__device__ __forceinline__ HalfTile half_tile(const ScanArguments& a, unsigned half) {
  const unsigned block = half / 2 / a.tiles_per_block;
  const unsigned first = (half / 2 % a.tiles_per_block) * kTileRows + half % 2 * 32;
  return {block, first, fetch(a.blocks + block)};
}

// Of each query from first_query on, which of those rows it may have; returns those of any.
template <unsigned kQueries>
__device__ __forceinline__ unsigned eligible_for(const ScanArguments& a, const HalfTile& at,
                                                 unsigned first_query,
                                                 unsigned (&eligible)[kQueries]) {
  unsigned any = 0;
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kQueries; ++q) {
    const unsigned query = first_query + q;
    eligible[q] = 0;
    if (query < a.query_count) {
      const unsigned mask = fetch(&a.queries[query].mask);
      eligible[q] = eligible_rows(a, mask, at.block, at.first, at.page.count);
    }
    any |= eligible[q];
  }
  return any;
}

// How a warp divides 32 rows: four lanes to a row, eight rows at a time, sixteen bytes to a lane.
// In place of a row that is in no mask, one that is gets read once more, which comes from a cache.
struct LaneRows {
  unsigned first;   // row of the block
  unsigned any;     // which of the 32 are in a mask
  unsigned some;    // one of those
  unsigned g;       // this lane's row of each eight
  unsigned t;       // and which sixteen bytes of each sixty-four
  unsigned chunks;  // of sixteen bytes, in a row
};

__device__ __forceinline__ LaneRows lane_rows(const ScanArguments& a, unsigned first,
                                              unsigned any) {
  const unsigned some = static_cast<unsigned>(__ffs(static_cast<int>(any))) - 1;
  return {first, any, some, lane_of() / 4, lane_of() % 4, a.stride / 16};
}

// Of the j-th eight rows this lane's, from its first byte.
__device__ __forceinline__ const uint4* row_of(const LaneRows& at, const std::uint8_t* plane,
                                               unsigned j) {
  const unsigned bit = 8 * j + at.g;
  const unsigned row = at.first + ((at.any >> bit & 1) != 0 ? bit : at.some);
  return reinterpret_cast<const uint4*>(plane) + std::size_t{row} * at.chunks;
}

// Products of 32 rows with the queries: of each query, the sum of row t * 8 + g to the lane 4g + t.
template <unsigned kQueries>
__device__ __forceinline__ void multiply_rows(const ScanArguments& a, const std::uint8_t* codes,
                                              unsigned first, unsigned any, Shared<uint4> queries,
                                              int (&mine)[kQueries]) {
  const LaneRows lane = lane_rows(a, first, any);
  const unsigned chunks = lane.chunks;
  const unsigned t = lane.t;
  const uint4* rows[4];
  int sums[kQueries][4];
  for (unsigned j = 0; j < 4; ++j) {
    rows[j] = row_of(lane, codes, j) + t;
    for (unsigned q = 0; q < kQueries; ++q) sums[q][j] = 0;
  }
  VECSERVE_UNROLL_TWICE
  for (unsigned at = 0; at < chunks; at += 4) {
    uint4 bytes[4];
    VECSERVE_UNROLL
    for (unsigned j = 0; j < 4; ++j) bytes[j] = fetch(rows[j] + at);
    VECSERVE_UNROLL
    for (unsigned q = 0; q < kQueries; ++q) {
      const uint4 query = queries[q * chunks + at + t];
      VECSERVE_UNROLL
      for (unsigned j = 0; j < 4; ++j) {
        int sum = sums[q][j];
        sum = __dp4a(static_cast<int>(bytes[j].x), static_cast<int>(query.x), sum);
        sum = __dp4a(static_cast<int>(bytes[j].y), static_cast<int>(query.y), sum);
        sum = __dp4a(static_cast<int>(bytes[j].z), static_cast<int>(query.z), sum);
        sums[q][j] = __dp4a(static_cast<int>(bytes[j].w), static_cast<int>(query.w), sum);
      }
    }
  }
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kQueries; ++q) {
    VECSERVE_UNROLL
    for (unsigned j = 0; j < 4; ++j) {
      sums[q][j] += __shfl_xor_sync(0xffffffffu, sums[q][j], 1);
      sums[q][j] += __shfl_xor_sync(0xffffffffu, sums[q][j], 2);
    }
    const int low = t % 2 == 0 ? sums[q][0] : sums[q][1];
    const int high = t % 2 == 0 ? sums[q][2] : sums[q][3];
    mine[q] = t < 2 ? low : high;
  }
}

// The whole warp: keeps the rows that are `in`, one per lane, of one query.
__device__ __forceinline__ void keep_rows(const ScanArguments& a, unsigned query, unsigned want,
                                          bool in, const DeviceRow& row,
                                          const DeviceSurvivor& found) {
  const unsigned votes = __ballot_sync(0xffffffffu, in);
  if (votes == 0) return;
  unsigned before = 0;
  if (lane_of() == 0) {
    before = atomicAdd(&a.states[query].count, static_cast<unsigned>(__popc(votes)));
  }
  before = __shfl_sync(0xffffffffu, before, 0);
  const unsigned below = votes & ((1u << lane_of()) - 1);
  if (in) keep(a, query, before + static_cast<unsigned>(__popc(below)), row, found);
  refine_if_due(a, query, want, before, before + static_cast<unsigned>(__popc(votes)));
}

// The whole warp: tests one row per lane and keeps the survivors of one query.
__device__ __forceinline__ void test_rows(const ScanArguments& a, unsigned query, unsigned eligible,
                                          const DeviceSurvivor& place, unsigned bit,
                                          const DeviceRow& row, int sum, unsigned threshold) {
  const bool is_l2 = a.is_l2 != 0;
  const DeviceQuery probe = fetch(a.queries + query);
  DeviceSurvivor found = place;
  const float reach = reach_for(is_l2, a.offset, probe, value_of(threshold));
  const bool in =
      survives(is_l2, probe, row, sum, reach, found.score) && (eligible >> bit & 1) != 0;
  keep_rows(a, query, probe.want, in, row, found);
}

template <unsigned kQueries>
__device__ __forceinline__ void scan_rows(const ScanArguments& a, unsigned half,
                                          Shared<uint4> queries) {
  const HalfTile at = half_tile(a, half);
  unsigned eligible[kQueries];
  const unsigned any = eligible_for<kQueries>(a, at, 0, eligible);
  if (any == 0) return;
  unsigned thresholds[kQueries];  // asked for before they are needed
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kQueries; ++q) {
    thresholds[q] = q < a.query_count ? fetch_fresh(&a.states[q].threshold) : 0;
  }
  const unsigned bit = lane_of() % 4 * 8 + lane_of() / 4;
  const unsigned position = at.first + bit;
  DeviceRow row = {0.0f, 0.0f, 0.0f, 0.0f};
  if ((any >> bit & 1) != 0) row = fetch(at.page.rows + position);
  int sums[kQueries];
  multiply_rows<kQueries>(a, at.page.codes, at.first, any, queries, sums);
  const DeviceSurvivor place = {at.block, position, 0.0f, 0.0f};
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kQueries; ++q) {
    if (eligible[q] == 0) continue;
    test_rows(a, q, eligible[q], place, bit, row, sums[q], thresholds[q]);
  }
}

// The codes of the queries from first_query on to the beginning of shared memory.
template <unsigned kQueries>
__device__ __forceinline__ Shared<uint4> share_queries(const ScanArguments& a,
                                                       unsigned first_query) {
  const Shared<uint4> queries = shared_at<uint4>(0);
  const unsigned chunks = a.stride / 16;
  const uint4* const codes =
      reinterpret_cast<const uint4*>(a.codes) + std::size_t{first_query} * chunks;
  for (unsigned i = threadIdx.x; i < kQueries * chunks; i += blockDim.x) {
    const bool real = first_query + i / chunks < a.query_count;
    queries[i] = real ? fetch(codes + i) : make_uint4(0, 0, 0, 0);
  }
  return queries;
}

template <unsigned kQueries>
__device__ __forceinline__ void few_scan(const ScanArguments& a) {
  const Shared<uint4> queries = share_queries<kQueries>(a, 0);
  __syncthreads();
  const unsigned warps = gridDim.x * (blockDim.x / 32);
  const unsigned warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  for (unsigned half = 2 * a.first_tile + warp; half < 2 * a.last_tile; half += warps) {
    scan_rows<kQueries>(a, half, queries);
  }
}

}  // namespace vecserve::engine::gpu
