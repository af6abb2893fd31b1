// The scan for one query or a few where blocks have sketches: each lane tests the sketch of one
// row, first stripe, then fine record; what passes is gathered, and of the coarse plane only those
// rows are read, four at a time with eight lanes to each. Comes after few_scan.cuh, whose way it
// takes for blocks without sketches. Device code, one warp independent of all others. Always holds:
// a row that a sketch rules out is further than the threshold, by the test of
// scan/sketch_kernels.h, whose kScoreError has room for any order of operations; of a row that was
// ruled out, or is in no mask, nothing further is read.
#pragma once

#include "engine/gpu/few_scan.cuh"
#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

inline constexpr unsigned kTellEvery = 8;  // blocks, of which one counts what passes
inline constexpr unsigned kSketchWords = sizeof(DeviceSketchQuery) / 4;
inline constexpr unsigned kLowAt = 64 / 4;  // words of a DeviceSketchQuery
inline constexpr unsigned kNumbersAt = 128 / 4;

// The numbers of a query, out of shared memory.
struct SketchNumbers {
  float steps[2];
  float first_base;
  float first_twice_left;
  float all_base;
  float all_twice_left;
  float reach_first;
  float reach_all;
  float shift;
  float factor;
};

// What the tests compare with, for a threshold of the distance: not below reach_of() of the host.
// Infinity where that cannot be said.
__device__ __forceinline__ float sketch_root(float shift, float factor, float threshold) {
  const float moved = factor * threshold;
  const float square = shift + moved + (shift + fabsf(moved)) * kSlop;
  if (square <= 0.0f) return 0.0f;
  return square <= kFloatMax ? sqrtf(square) * (1.0f + kSlop) : __uint_as_float(0x7f800000u);
}

__device__ __forceinline__ float sketch_reach(float root, float of_query) {
  return (root + of_query) * (1.0f + 2.0f * kSlop);
}

__device__ __forceinline__ bool sketch_near(float kept, float reach) {
  return !(kept > reach * reach);
}

// Sixteen axes of one row with the query's, whose codes have two bytes.
__device__ __forceinline__ int sixteen_axes(const unsigned (&codes)[4], Shared<unsigned> query,
                                            unsigned first_word) {
  int high = 0;
  int low = 0;
  VECSERVE_UNROLL
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned high_codes = query[first_word + i];
    const unsigned low_codes = query[kLowAt + first_word + i];
    high = __dp4a(static_cast<int>(codes[i]), static_cast<int>(high_codes), high);
    low = __dp4a(static_cast<int>(codes[i]), static_cast<int>(low_codes), low);
  }
  return 128 * high + low;
}

// One lane, one row that has passed the first test: the second one, by all axes.
__device__ __forceinline__ bool passes_fine(const ScanArguments& a, const DeviceSketch& sketch,
                                            unsigned position, Shared<unsigned> query,
                                            const SketchNumbers& numbers, float root, float dots) {
  const uint4* const record =
      reinterpret_cast<const uint4*>(sketch.fine + std::size_t{position} * a.fine_stride);
  int dot = 0;
  for (unsigned part = 0; part < a.fine_codes / 16; ++part) {
    const uint4 bytes = fetch(record + part);
    const unsigned codes[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
    dot += sixteen_axes(codes, query, 4 + 4 * part);
  }
  const uint4 tail = fetch(record + a.fine_codes / 16);
  const float base = __uint_as_float(tail.x);
  const float left = __uint_as_float(tail.y);
  const float row_reach = __uint_as_float(tail.z);
  const float kept = base * (1.0f - kDeviceScoreError) + numbers.all_base -
                     (dots + numbers.steps[1] * __int2float_rn(dot)) -
                     numbers.all_twice_left * left;
  return sketch_near(kept, sketch_reach(root, numbers.reach_all) + row_reach);
}

// The whole warp: coarse rows of those of the 32 rows whose bit is set in `passed`.
__device__ __forceinline__ void read_passed(const ScanArguments& a, unsigned query,
                                            const HalfTile& at, unsigned passed,
                                            Shared<uint4> codes, unsigned threshold) {
  const unsigned chunks = a.stride / 16;
  const unsigned part = lane_of() % 8;
  while (passed != 0) {
    unsigned bit = 32;  // of the row of these eight lanes; 32: they have none
    for (unsigned i = 0; i < 4 && passed != 0; ++i) {
      const unsigned next = static_cast<unsigned>(__ffs(static_cast<int>(passed))) - 1;
      passed &= passed - 1;
      if (lane_of() / 8 == i) bit = next;
    }
    int sum = 0;
    DeviceRow row = {0.0f, 0.0f, 0.0f, 0.0f};
    if (bit < 32) {
      const uint4* const bytes =
          reinterpret_cast<const uint4*>(at.page.codes + std::size_t{at.first + bit} * a.stride);
      if (part == 0) row = fetch(at.page.rows + at.first + bit);
      VECSERVE_UNROLL_TWICE
      for (unsigned chunk = part; chunk < chunks; chunk += 8) {
        const uint4 mine = fetch(bytes + chunk);
        const uint4 other = codes[query * chunks + chunk];
        sum = __dp4a(static_cast<int>(mine.x), static_cast<int>(other.x), sum);
        sum = __dp4a(static_cast<int>(mine.y), static_cast<int>(other.y), sum);
        sum = __dp4a(static_cast<int>(mine.z), static_cast<int>(other.z), sum);
        sum = __dp4a(static_cast<int>(mine.w), static_cast<int>(other.w), sum);
      }
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    sum += __shfl_xor_sync(0xffffffffu, sum, 4);
    const unsigned mine = part == 0 && bit < 32 ? 1u : 0u;
    const DeviceSurvivor place = {at.block, at.first + bit, 0.0f, 0.0f};
    test_rows(a, query, mine, place, 0, row, sum, threshold);
  }
}

// What a lane knows of the row whose sketch it tests.
struct SketchRow {
  unsigned codes[4];
  float base;
  float left;
  float reach;
};

__device__ __forceinline__ SketchRow fetch_sketch(const DeviceSketch& sketch, unsigned position) {
  SketchRow row;
  const unsigned* const words = reinterpret_cast<const unsigned*>(sketch.first) +
                                std::size_t{position / 16} * 64 + position % 16;
  VECSERVE_UNROLL
  for (unsigned i = 0; i < 4; ++i) row.codes[i] = fetch(words + 16 * i);
  row.base = fetch(sketch.numbers + position);
  row.left = fetch(sketch.numbers + sketch.padded + position);
  row.reach = fetch(sketch.numbers + 2 * std::size_t{sketch.padded} + position);
  return row;
}

// How many rows a warp has looked at, and how many passed; all lanes count alike.
struct SiftCounts {
  unsigned sifted;
  unsigned passed_first;
  unsigned passed_all;
};

__device__ __forceinline__ SketchNumbers numbers_of(Shared<unsigned> query) {
  SketchNumbers numbers;
  numbers.steps[0] = __uint_as_float(query[kNumbersAt]);
  numbers.steps[1] = __uint_as_float(query[kNumbersAt + 1]);
  numbers.first_base = __uint_as_float(query[kNumbersAt + 2]);
  numbers.first_twice_left = __uint_as_float(query[kNumbersAt + 3]);
  numbers.all_base = __uint_as_float(query[kNumbersAt + 4]);
  numbers.all_twice_left = __uint_as_float(query[kNumbersAt + 5]);
  numbers.reach_first = __uint_as_float(query[kNumbersAt + 6]);
  numbers.reach_all = __uint_as_float(query[kNumbersAt + 7]);
  numbers.shift = __uint_as_float(query[kNumbersAt + 8]);
  numbers.factor = __uint_as_float(query[kNumbersAt + 9]);
  return numbers;
}

// The whole warp: which of its rows sketches let pass for one query.
__device__ __forceinline__ unsigned sift_rows(const ScanArguments& a, const DeviceSketch& sketch,
                                              unsigned position, unsigned eligible,
                                              const SketchRow& row, Shared<unsigned> query,
                                              float threshold, SiftCounts& counts) {
  const SketchNumbers numbers = numbers_of(query);
  const float root = sketch_root(numbers.shift, numbers.factor, threshold);
  const float dots = numbers.steps[0] * __int2float_rn(sixteen_axes(row.codes, query, 0));
  const float kept = row.base * (1.0f - kDeviceScoreError) + numbers.first_base - dots -
                     numbers.first_twice_left * row.left;
  bool in = (eligible >> lane_of() & 1) != 0 &&
            sketch_near(kept, sketch_reach(root, numbers.reach_first) + row.reach);
  unsigned votes = __ballot_sync(0xffffffffu, in);
  counts.sifted += static_cast<unsigned>(__popc(eligible));
  counts.passed_first += static_cast<unsigned>(__popc(votes));
  if (votes != 0 && a.fine_codes != 0) {
    if (in) in = passes_fine(a, sketch, position, query, numbers, root, dots);
    votes = __ballot_sync(0xffffffffu, in);
  }
  counts.passed_all += static_cast<unsigned>(__popc(votes));
  return votes;
}

// 32 rows of a block that has a sketch.
template <unsigned kQueries>
__device__ __forceinline__ void sift_half(const ScanArguments& a, const DeviceSketch& sketch,
                                          unsigned half, Shared<uint4> codes, SiftCounts& counts) {
  const HalfTile at = half_tile(a, half);
  unsigned eligible[kQueries];
  const unsigned any = eligible_for<kQueries>(a, at, 0, eligible);
  if (any == 0) return;
  const unsigned position = at.first + lane_of();
  SketchRow row = {};
  if ((any >> lane_of() & 1) != 0) row = fetch_sketch(sketch, position);
  VECSERVE_UNROLL
  for (unsigned q = 0; q < kQueries; ++q) {
    if (eligible[q] == 0) continue;
    const Shared<unsigned> query =
        shared_at<unsigned>(std::size_t{kQueries} * a.stride + q * sizeof(DeviceSketchQuery));
    const unsigned threshold = fetch_fresh(&a.states[q].threshold);
    const unsigned passed =
        sift_rows(a, sketch, position, eligible[q], row, query, value_of(threshold), counts);
    if (passed != 0) read_passed(a, q, at, passed, codes, threshold);
  }
}

// Shared memory: the queries' codes, then what sketches need of them.
template <unsigned kQueries>
__device__ __forceinline__ void sift_scan(const ScanArguments& a) {
  const Shared<uint4> codes = share_queries<kQueries>(a, 0);
  const Shared<uint4> sketch_queries = shared_at<uint4>(std::size_t{kQueries} * a.stride);
  for (unsigned i = threadIdx.x; i < a.query_count * kSketchWords / 4; i += blockDim.x) {
    sketch_queries[i] = fetch(reinterpret_cast<const uint4*>(a.sketch_queries) + i);
  }
  __syncthreads();
  const unsigned warps = gridDim.x * (blockDim.x / 32);
  const unsigned warp = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  SiftCounts counts = {0, 0, 0};
  for (unsigned half = 2 * a.first_tile + warp; half < 2 * a.last_tile; half += warps) {
    const DeviceSketch sketch = fetch(a.sketches + half / 2 / a.tiles_per_block);
    if (sketch.first == nullptr) {
      scan_rows<kQueries>(a, half, codes);
    } else {
      sift_half<kQueries>(a, sketch, half, codes, counts);
    }
  }
  // Some of the warps tell: of all of them the last would wait for the others at one address.
  if (blockIdx.x % kTellEvery != 0 || lane_of() != 0 || counts.sifted == 0) return;
  atomicAdd(&a.totals->sifted, counts.sifted);
  atomicAdd(&a.totals->passed_first, counts.passed_first);
  atomicAdd(&a.totals->passed_all, counts.passed_all);
}

}  // namespace vecserve::engine::gpu
