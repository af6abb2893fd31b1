// The scan for many queries: tiles of 64 rows by 64 queries on the matrix units, the test of every
// product in its registers, so that scores never go to memory. Comes after survivors.cuh. Device
// code; blocks of four warps, two by two, each 32 rows by 32 queries. Always holds: a block takes
// one group of queries and every so many-th tile; blocks of the same tile run side by side, so that
// its rows come from memory once; rows that no mask of the group has are never read.
#pragma once

#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

inline constexpr unsigned kStep = 64;   // bytes of each row and query multiplied at a time
inline constexpr unsigned kPitch = 80;  // from row to row in shared memory: no two in one bank

// Shared memory of a block, by offsets in bytes.
inline constexpr unsigned kRowsAt = 0;
inline constexpr unsigned kQueriesAt = kRowsAt + kTileRows * kPitch;
inline constexpr unsigned kRowDataAt = kQueriesAt + kGroupQueries * kPitch;
inline constexpr unsigned kMasksAt = kRowDataAt + kTileRows * 16;
inline constexpr unsigned kReachAt = kMasksAt + kGroupQueries * 8;
inline constexpr unsigned kCountsAt = kReachAt + kGroupQueries * 4;
inline constexpr unsigned kAnyAt = kCountsAt + kGroupQueries * 4;
static_assert(kGroupSharedBytes == kAnyAt + 16);

// What one thread carries from device to shared memory at each step.
struct Cargo {
  uint4 rows[2];
  uint4 queries[2];
};

struct GroupPlace {
  unsigned first_query;
  unsigned block;
  unsigned first;  // row of the block
  DeviceBlock page;
};

// `any`: the rows of the tile that some query may find; the others multiply as zeros.
__device__ __forceinline__ Cargo load_cargo(const ScanArguments& a, const GroupPlace& place,
                                            std::uint64_t any, unsigned from) {
  Cargo cargo;
  VECSERVE_UNROLL
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned index = threadIdx.x + i * kScanThreads;
    const unsigned line = index / 4;
    const unsigned byte = from + index % 4 * 16;
    const unsigned row = place.first + line;
    const unsigned query = place.first_query + line;
    cargo.rows[i] = cargo.queries[i] = make_uint4(0, 0, 0, 0);
    if ((any >> line & 1) != 0) {
      cargo.rows[i] = fetch(
          reinterpret_cast<const uint4*>(place.page.codes + std::size_t{row} * a.stride + byte));
    }
    if (query < a.query_count) {
      cargo.queries[i] =
          fetch(reinterpret_cast<const uint4*>(a.codes + std::size_t{query} * a.stride + byte));
    }
  }
  return cargo;
}

__device__ __forceinline__ void put_cargo(const Cargo& cargo) {
  VECSERVE_UNROLL
  for (unsigned i = 0; i < 2; ++i) {
    const unsigned index = threadIdx.x + i * kScanThreads;
    const unsigned offset = index / 4 * kPitch + index % 4 * 16;
    shared_at<uint4>(kRowsAt + offset)[0] = cargo.rows[i];
    shared_at<uint4>(kQueriesAt + offset)[0] = cargo.queries[i];
  }
}

// One step of products: 32 rows by 32 queries of each warp.
__device__ __forceinline__ void multiply_step(int (&sums)[2][4][4]) {
  const unsigned g = lane_of() / 4;
  const unsigned t = lane_of() % 4;
  const unsigned warp = threadIdx.x / 32;
  const Shared<unsigned> rows = shared_at<unsigned>(kRowsAt + (warp / 2 * 32 + g) * kPitch + 4 * t);
  const Shared<unsigned> queries =
      shared_at<unsigned>(kQueriesAt + (warp % 2 * 32 + g) * kPitch + 4 * t);
  VECSERVE_UNROLL
  for (unsigned half = 0; half < 2; ++half) {
    unsigned a[2][4];
    unsigned b[4][2];
    VECSERVE_UNROLL
    for (unsigned m = 0; m < 2; ++m) {
      a[m][0] = rows[m * 16 * (kPitch / 4) + half * 8];
      a[m][1] = rows[(m * 16 + 8) * (kPitch / 4) + half * 8];
      a[m][2] = rows[m * 16 * (kPitch / 4) + half * 8 + 4];
      a[m][3] = rows[(m * 16 + 8) * (kPitch / 4) + half * 8 + 4];
    }
    VECSERVE_UNROLL
    for (unsigned n = 0; n < 4; ++n) {
      b[n][0] = queries[n * 8 * (kPitch / 4) + half * 8];
      b[n][1] = queries[n * 8 * (kPitch / 4) + half * 8 + 4];
    }
    VECSERVE_UNROLL
    for (unsigned m = 0; m < 2; ++m) {
      VECSERVE_UNROLL
      for (unsigned n = 0; n < 4; ++n) multiply_tile(sums[m][n], a[m], b[n]);
    }
  }
}

// Masks, reaches and row data of a tile to shared memory; says through kAnyAt which rows are
// eligible for some query.
__device__ __forceinline__ void prepare_tile(const ScanArguments& a, const GroupPlace& place) {
  const unsigned line = threadIdx.x % kTileRows;
  if (threadIdx.x < kGroupQueries) {
    const unsigned query = place.first_query + line;
    std::uint64_t mask = 0;
    float reach = 0.0f;
    unsigned count = 0;
    if (query < a.query_count) {
      const DeviceQuery probe = fetch(a.queries + query);
      const unsigned count_rows = place.page.count;
      mask = eligible_rows(a, probe.mask, place.block, place.first, count_rows);
      mask |= std::uint64_t{eligible_rows(a, probe.mask, place.block, place.first + 32, count_rows)}
              << 32;
      reach = reach_for(a.is_l2 != 0, a.offset, probe,
                        value_of(fetch_fresh(&a.states[query].threshold)));
      count = fetch_fresh(&a.states[query].count);
    }
    shared_at<std::uint64_t>(kMasksAt)[line] = mask;
    shared_at<float>(kReachAt)[line] = reach;
    shared_at<unsigned>(kCountsAt)[line] = count;
    const auto low = static_cast<unsigned>(mask);
    const auto high = static_cast<unsigned>(mask >> 32);
    if (low != 0) shared_or(shared_at<unsigned>(kAnyAt), low);
    if (high != 0) shared_or(shared_at<unsigned>(kAnyAt + 4), high);
  } else {
    DeviceRow row = {0.0f, 0.0f, 0.0f, 0.0f};
    if (place.first + line < place.page.count) row = fetch(place.page.rows + place.first + line);
    shared_at<DeviceRow>(kRowDataAt)[line] = row;
  }
}

// Tests all products of a warp.
__device__ __forceinline__ void test_tile(const ScanArguments& a, const GroupPlace& place,
                                          const int (&sums)[2][4][4]) {
  const unsigned warp = threadIdx.x / 32;
  const Shared<std::uint64_t> masks = shared_at<std::uint64_t>(kMasksAt);
  const Shared<float> reaches = shared_at<float>(kReachAt);
  const Shared<DeviceRow> rows = shared_at<DeviceRow>(kRowDataAt);
  VECSERVE_UNROLL
  for (unsigned n = 0; n < 4; ++n) {
    VECSERVE_UNROLL
    for (unsigned column = 0; column < 2; ++column) {
      const unsigned line = warp % 2 * 32 + n * 8 + lane_of() % 4 * 2 + column;
      const std::uint64_t mask = masks[line];
      if (mask == 0) continue;
      const unsigned query = place.first_query + line;
      const DeviceQuery probe = fetch(a.queries + query);
      const float reach = reaches[line];
      VECSERVE_UNROLL
      for (unsigned r = 0; r < 4; ++r) {
        const unsigned bit = warp / 2 * 32 + r * 8 + lane_of() / 4;
        const DeviceRow row = rows[bit];
        DeviceSurvivor found = {place.block, place.first + bit, 0.0f, 0.0f};
        const int sum = sums[r / 2][n][r % 2 * 2 + column];
        if (!survives(a.is_l2 != 0, probe, row, sum, reach, found.score)) continue;
        if ((mask >> bit & 1) == 0) continue;
        keep(a, query, atomicAdd(&a.states[query].count, 1u), row, found);
      }
    }
  }
}

// Thresholds of the group's queries that are due; warps take turns. Survivors of other blocks may
// have come in between, which makes it due a little early or late and nothing else.
__device__ __forceinline__ void refine_group(const ScanArguments& a, const GroupPlace& place) {
  const Shared<unsigned> counts = shared_at<unsigned>(kCountsAt);
  for (unsigned line = threadIdx.x / 32; line < kGroupQueries; line += kScanThreads / 32) {
    const unsigned query = place.first_query + line;
    if (query >= a.query_count) return;
    const unsigned before = counts[line];
    unsigned after = 0;
    if (lane_of() == 0) after = fetch_fresh(&a.states[query].count);
    after = __shfl_sync(0xffffffffu, after, 0);
    if (after != before) refine_if_due(a, query, fetch(&a.queries[query].want), before, after);
  }
}

__device__ __forceinline__ void scan_tile(const ScanArguments& a, const GroupPlace& place) {
  if (threadIdx.x < 2) shared_at<unsigned>(kAnyAt)[threadIdx.x] = 0;
  __syncthreads();
  prepare_tile(a, place);
  __syncthreads();
  const unsigned low = shared_at<unsigned>(kAnyAt)[0];
  const unsigned high = shared_at<unsigned>(kAnyAt)[1];
  const std::uint64_t any = std::uint64_t{high} << 32 | low;
  if (any == 0) {
    __syncthreads();
    return;
  }
  int sums[2][4][4] = {};
  Cargo cargo = load_cargo(a, place, any, 0);
  for (unsigned from = 0; from < a.stride; from += kStep) {
    put_cargo(cargo);
    __syncthreads();
    if (from + kStep < a.stride) cargo = load_cargo(a, place, any, from + kStep);
    multiply_step(sums);
    __syncthreads();
  }
  test_tile(a, place, sums);
  __syncthreads();
  refine_group(a, place);
  __syncthreads();
}

__device__ __forceinline__ void group_scan(const ScanArguments& a) {
  const unsigned groups = (a.query_count + kGroupQueries - 1) / kGroupQueries;
  const unsigned lanes = gridDim.x / groups;  // blocks of each group
  GroupPlace place;
  place.first_query = blockIdx.x % groups * kGroupQueries;
  if (blockIdx.x / groups >= lanes) return;  // all threads of the block alike
  for (unsigned tile = a.first_tile + blockIdx.x / groups; tile < a.last_tile; tile += lanes) {
    place.block = tile / a.tiles_per_block;
    place.first = tile % a.tiles_per_block * kTileRows;
    place.page = fetch(a.blocks + place.block);
    if (place.first < place.page.count) scan_tile(a, place);
  }
}

}  // namespace vecserve::engine::gpu
