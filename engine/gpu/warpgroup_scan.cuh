// The scan for many queries on sm_90a: tiles of 64 rows by 64 queries, all of a tile by one
// instruction of four warps. A fifth warp copies rows to a ring of stages in shared memory ahead of
// them, row by row, with nobody carrying bytes; the group's queries lie in shared memory from the
// first tile to the last, in core matrices without swizzling, where the instruction finds them by a
// descriptor. Rows go from their stage to registers, in which the instruction takes the left
// matrix: pages keep them row after row, which is no form that a descriptor knows. Comes after
// group_tile.cuh, whose test it uses. Device code. Always holds: rows that no mask of the group has
// are never read, in their place one that some mask has is copied once more; when a copy does not
// arrive, the scan ends all the same, the group is given up, and nothing that was not copied is
// looked at.
#pragma once

#include "engine/gpu/group_tile.cuh"
#include "engine/gpu/scan_types.h"

namespace vecserve::engine::gpu {

inline constexpr unsigned kSegment = 256;                 // bytes of each row in a stage
inline constexpr unsigned kSegmentPitch = kSegment + 16;  // no two rows of eight in one bank
inline constexpr unsigned kStages = 3;

// Shared memory of a block behind that of its tile.
inline constexpr unsigned kFilledAt = kTileEnd;  // gates: the rows of a stage are there,
inline constexpr unsigned kEmptiedAt = kFilledAt + kStages * 8;  // and have been taken by all warps
inline constexpr unsigned kStagesAt = kEmptiedAt + kStages * 8;
inline constexpr unsigned kStageBytes = kTileRows * kSegmentPitch;
inline constexpr unsigned kWideQueriesAt = kStagesAt + kStages * kStageBytes;
static_assert(kStagesAt % 16 == 0 && kWideQueriesAt % 16 == 0);
static_assert(kWarpgroupSharedBytes == kWideQueriesAt);

// Queries in shared memory: of each sixteen bytes, those of all queries one after another.
inline constexpr unsigned kChunkPitch = kGroupQueries * 16;
inline constexpr unsigned kEightQueries = 8 * 16;

// Of 32 bytes of all queries, from the given one on: where eight queries' sixteen bytes lie, how
// far the next sixteen bytes are, and how far the next eight queries; no swizzling.
__device__ __forceinline__ std::uint64_t queries_descriptor(unsigned from) {
  const auto field = [](unsigned bytes) { return std::uint64_t{(bytes & 0x3ffff) >> 4}; };
  const unsigned at = shared_address(kWideQueriesAt + from / 16 * kChunkPitch);
  return field(at) | field(kChunkPitch) << 16 | field(kEightQueries) << 32;
}

// The stage that is next, for the warp that fills them or for one that empties them.
struct Ring {
  unsigned stage = 0;
  unsigned round = 0;
  bool broken = false;  // a wait was in vain

  __device__ __forceinline__ void next() {
    stage = stage + 1 == kStages ? 0 : stage + 1;
    round += stage == 0 ? 1 : 0;
  }
  // Until the stage was filled in this round, or emptied in the one before.
  __device__ __forceinline__ void wait_filled() {
    if (!broken) broken = !gate_wait(kFilledAt + stage * 8, round % 2);
  }
  __device__ __forceinline__ void wait_emptied() {
    if (!broken) broken = !gate_wait(kEmptiedAt + stage * 8, (round + 1) % 2);
  }
};

__device__ __forceinline__ void make_gates() {
  if (threadIdx.x != 0) return;
  for (unsigned stage = 0; stage < kStages; ++stage) {
    gate_init(kFilledAt + stage * 8, 1);
    gate_init(kEmptiedAt + stage * 8, kScanThreads / 32);
  }
}

// The codes of the group's queries to where the descriptors find them.
__device__ __forceinline__ void place_queries(const ScanArguments& a, unsigned first_query) {
  const unsigned chunks = a.stride / 16;
  for (unsigned i = threadIdx.x; i < kGroupQueries * chunks; i += blockDim.x) {
    const unsigned line = i % kGroupQueries;
    const unsigned chunk = i / kGroupQueries;
    uint4 bytes = make_uint4(0, 0, 0, 0);
    if (first_query + line < a.query_count) {
      bytes = fetch(reinterpret_cast<const uint4*>(a.codes) +
                    std::size_t{first_query + line} * chunks + chunk);
    }
    shared_at<uint4>(kWideQueriesAt)[chunk * kGroupQueries + line] = bytes;
  }
}

// The whole warp: the rows of a tile that some query of the group may find, as prepare_tile() says.
__device__ __forceinline__ std::uint64_t any_rows(const ScanArguments& a, const GroupPlace& place) {
  unsigned low = 0;
  unsigned high = 0;
  for (unsigned line = lane_of(); line < kGroupQueries; line += 32) {
    const unsigned query = place.first_query + line;
    if (query >= a.query_count) break;
    const unsigned mask = fetch(&a.queries[query].mask);
    low |= eligible_rows(a, mask, place.block, place.first, place.page.count);
    high |= eligible_rows(a, mask, place.block, place.first + 32, place.page.count);
  }
  for (unsigned step = 16; step > 0; step /= 2) {
    low |= __shfl_xor_sync(0xffffffffu, low, step);
    high |= __shfl_xor_sync(0xffffffffu, high, step);
  }
  return std::uint64_t{high} << 32 | low;
}

// The warp that copies: the rows of a tile, stage by stage.
__device__ __forceinline__ void fill_stages(const ScanArguments& a, const GroupPlace& place,
                                            Ring& ring) {
  const std::uint64_t any = any_rows(a, place);
  if (any == 0) return;
  const auto low = static_cast<unsigned>(any);
  const auto high = static_cast<unsigned>(any >> 32);
  const unsigned some = static_cast<unsigned>(low != 0 ? __ffs(static_cast<int>(low)) - 1
                                                       : __ffs(static_cast<int>(high)) + 31);
  for (unsigned from = 0; from < a.stride; from += kSegment, ring.next()) {
    ring.wait_emptied();
    if (ring.broken) return;
    const unsigned left = a.stride - from;
    const unsigned bytes = left < kSegment ? left : kSegment;
    const unsigned gate = kFilledAt + ring.stage * 8;
    if (lane_of() == 0) gate_expect(gate, kTileRows * bytes);
    __syncwarp();
    for (unsigned line = lane_of(); line < kTileRows; line += 32) {
      const unsigned row = place.first + ((any >> line & 1) != 0 ? line : some);
      copy_beside(kStagesAt + ring.stage * kStageBytes + line * kSegmentPitch,
                  place.page.codes + std::size_t{row} * a.stride + from, bytes, gate);
    }
  }
}

// One of the four warps: its sixteen rows of the next stage to registers, of which it is then free.
template <unsigned kCount>
__device__ __forceinline__ void take_rows(Ring& ring, RowBytes (&rows)[kCount]) {
  const unsigned line = threadIdx.x / 32 * 16 + lane_of() / 4;
  const Shared<unsigned> words = shared_at<unsigned>(kStagesAt + ring.stage * kStageBytes +
                                                     line * kSegmentPitch + lane_of() % 4 * 4);
  constexpr unsigned kEightRows = 8 * kSegmentPitch / 4;
  ring.wait_filled();
  VECSERVE_UNROLL
  for (unsigned p = 0; p < kCount; ++p) {
    VECSERVE_UNROLL
    for (unsigned i = 0; i < 4; ++i) {
      unsigned bytes = 0;
      if (!ring.broken) bytes = words[i % 2 * kEightRows + p * 8 + i / 2 * 4];
      rows[p].set(i, bytes);
    }
  }
  __syncwarp();
  if (lane_of() == 0) gate_arrive(kEmptiedAt + ring.stage * 8);
  ring.next();
}

// 32 * kCount bytes of all rows and queries, in a row: nothing comes between the instructions.
template <unsigned kCount>
__device__ __forceinline__ void multiply_stage(WideSums& sums, Ring& ring, unsigned from) {
  RowBytes rows[kCount];
  take_rows(ring, rows);
  products_fence(sums, rows);
  VECSERVE_UNROLL
  for (unsigned p = 0; p < kCount; ++p) {
    products_multiply(sums, rows[p], queries_descriptor(from + p * 32));
  }
  products_commit();
  products_wait(sums);
}

// The four warps: the products of a tile, tested.
__device__ __forceinline__ void multiply_stages(const ScanArguments& a, const GroupPlace& place,
                                                Ring& ring) {
  WideSums sums;
  sums.clear();
  unsigned from = 0;
  for (; from + kSegment <= a.stride; from += kSegment) {
    multiply_stage<kSegment / 32>(sums, ring, from);
  }
  static_assert(kSegment == 4 * 64, "what is left over is one of these");
  const unsigned left = a.stride - from;
  if (left == 64) multiply_stage<2>(sums, ring, from);
  if (left == 128) multiply_stage<4>(sums, ring, from);
  if (left == 192) multiply_stage<6>(sums, ring, from);
  test_products<1, 8>(a, place, threadIdx.x / 32 * 16, 0,
                      [&](unsigned, unsigned n, unsigned i) { return sums.get(n * 4 + i); });
}

__device__ __forceinline__ void warpgroup_scan(const ScanArguments& a) {
  const unsigned groups = (a.query_count + kGroupQueries - 1) / kGroupQueries;
  const unsigned first_query = blockIdx.x % groups * kGroupQueries;
  make_gates();
  place_queries(a, first_query);
  fence_async();
  __syncthreads();
  Ring ring;
  if (threadIdx.x >= kScanThreads) {
    each_tile(a, [&](const GroupPlace& place) { fill_stages(a, place, ring); });
  } else {
    each_tile(a, [&](const GroupPlace& place) {
      scan_tile(
          a, place, [] { sync_threads(1, kScanThreads); },
          [&](std::uint64_t) { multiply_stages(a, place, ring); });
    });
  }
  if (ring.broken) atomicMax(&a.states[first_query].given_up, 1u);
}

}  // namespace vecserve::engine::gpu
