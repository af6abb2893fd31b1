// The scan for many queries: tiles of 64 rows by 64 queries on the matrix units, each warp's with
// an instruction of its own. Comes after group_tile.cuh. Device code; blocks of four warps, two by
// two, each 32 rows by 32 queries. Always holds: rows that no mask of the group has are never read.
#pragma once

#include "engine/gpu/group_tile.cuh"
#include "engine/gpu/scan_types.h"

namespace vecserve::engine::gpu {

inline constexpr unsigned kStep = 64;   // bytes of each row and query multiplied at a time
inline constexpr unsigned kPitch = 80;  // from row to row in shared memory: no two in one bank

// Shared memory of a block behind that of its tile.
inline constexpr unsigned kRowsAt = kTileEnd;
inline constexpr unsigned kQueriesAt = kRowsAt + kTileRows * kPitch;
static_assert(kGroupSharedBytes == kQueriesAt + kGroupQueries * kPitch);

// What one thread carries from device to shared memory at each step.
struct Cargo {
  uint4 rows[2];
  uint4 queries[2];
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

// The products of a tile, tested.
__device__ __forceinline__ void multiply_tile_of(const ScanArguments& a, const GroupPlace& place,
                                                 std::uint64_t any) {
  int sums[2][4][4] = {};
  Cargo cargo = load_cargo(a, place, any, 0);
  for (unsigned from = 0; from < a.stride; from += kStep) {
    put_cargo(cargo);
    __syncthreads();
    if (from + kStep < a.stride) cargo = load_cargo(a, place, any, from + kStep);
    multiply_step(sums);
    __syncthreads();
  }
  const unsigned warp = threadIdx.x / 32;
  test_products<2, 4>(a, place, warp / 2 * 32, warp % 2 * 32,
                      [&](unsigned m, unsigned n, unsigned i) { return sums[m][n][i]; });
}

__device__ __forceinline__ void group_scan(const ScanArguments& a) {
  each_tile(a, [&](const GroupPlace& place) {
    scan_tile(
        a, place, [] { __syncthreads(); },
        [&](std::uint64_t any) { multiply_tile_of(a, place, any); });
  });
}

}  // namespace vecserve::engine::gpu
