// What the two scans for many queries share: which tiles a block has, what it keeps of a tile
// beside the products, and the test of every product in its registers, so that scores never go to
// memory. Comes between survivors.cuh, and group_scan.cuh and warpgroup_scan.cuh, which differ in
// how they multiply. Device code; the 128 threads of a block that multiply, which meet at a barrier
// of theirs. Always holds: a block takes one group of queries and every so many-th tile; blocks of
// the same tile run side by side, so that its rows come from memory once; of a tile whose rows no
// mask of the group has nothing is multiplied.
#pragma once

#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

// Shared memory of a block, by offsets in bytes; what multiplies has its own behind it.
inline constexpr unsigned kRowDataAt = 0;
inline constexpr unsigned kMasksAt = kRowDataAt + kTileRows * 16;
inline constexpr unsigned kReachAt = kMasksAt + kGroupQueries * 8;
inline constexpr unsigned kCountsAt = kReachAt + kGroupQueries * 4;
inline constexpr unsigned kAnyAt = kCountsAt + kGroupQueries * 4;
inline constexpr unsigned kTileEnd = kAnyAt + 16;

struct GroupPlace {
  unsigned first_query;
  unsigned block;
  unsigned first;  // row of the block
  DeviceBlock page;
};

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

// Tests products in registers: product(m, n, i) of a lane is that of the row first_bit + 16m + 8
// (i / 2) + lane / 4 of the tile with the query first_line + 8n + 2 (lane % 4) + i % 2 of the
// group.
template <unsigned kRowTiles, unsigned kQueryTiles, typename Product>
__device__ __forceinline__ void test_products(const ScanArguments& a, const GroupPlace& place,
                                              unsigned first_bit, unsigned first_line,
                                              const Product& product) {
  const Shared<std::uint64_t> masks = shared_at<std::uint64_t>(kMasksAt);
  const Shared<float> reaches = shared_at<float>(kReachAt);
  const Shared<DeviceRow> rows = shared_at<DeviceRow>(kRowDataAt);
  VECSERVE_UNROLL
  for (unsigned n = 0; n < kQueryTiles; ++n) {
    VECSERVE_UNROLL
    for (unsigned column = 0; column < 2; ++column) {
      const unsigned line = first_line + n * 8 + lane_of() % 4 * 2 + column;
      const std::uint64_t mask = masks[line];
      if (mask == 0) continue;
      const unsigned query = place.first_query + line;
      const DeviceQuery probe = fetch(a.queries + query);
      const float reach = reaches[line];
      VECSERVE_UNROLL
      for (unsigned r = 0; r < 2 * kRowTiles; ++r) {
        const unsigned bit = first_bit + r * 8 + lane_of() / 4;
        const DeviceRow row = rows[bit];
        DeviceSurvivor found = {place.block, place.first + bit, 0.0f, 0.0f};
        const int sum = product(r / 2, n, r % 2 * 2 + column);
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

// One tile: multiply_and_test(any), where `any` are the rows of the tile that some query may find,
// between what is needed before and after it. sync() is a barrier of the threads that call this.
template <typename Sync, typename Multiply>
__device__ __forceinline__ void scan_tile(const ScanArguments& a, const GroupPlace& place,
                                          const Sync& sync, const Multiply& multiply_and_test) {
  if (threadIdx.x < 2) shared_at<unsigned>(kAnyAt)[threadIdx.x] = 0;
  sync();
  prepare_tile(a, place);
  sync();
  const unsigned low = shared_at<unsigned>(kAnyAt)[0];
  const unsigned high = shared_at<unsigned>(kAnyAt)[1];
  const std::uint64_t any = std::uint64_t{high} << 32 | low;
  if (any == 0) return sync();
  multiply_and_test(any);
  sync();
  refine_group(a, place);
  sync();
}

// The tiles of this block, one after another: tile(place). None for a block without a group.
template <typename Tile>
__device__ __forceinline__ void each_tile(const ScanArguments& a, const Tile& tile) {
  const unsigned groups = (a.query_count + kGroupQueries - 1) / kGroupQueries;
  const unsigned lanes = gridDim.x / groups;  // blocks of each group
  GroupPlace place;
  place.first_query = blockIdx.x % groups * kGroupQueries;
  if (blockIdx.x / groups >= lanes) return;  // all threads of the block alike
  for (unsigned at = a.first_tile + blockIdx.x / groups; at < a.last_tile; at += lanes) {
    place.block = at / a.tiles_per_block;
    place.first = at % a.tiles_per_block * kTileRows;
    place.page = fetch(a.blocks + place.block);
    if (place.first < place.page.count) tile(place);
  }
}

}  // namespace vecserve::engine::gpu
