// Bounds of survivors from their vectors: one warp for each row, its lanes side by side along it,
// so that a row that the coarse plane could not tell from the nearest costs one read of a few
// kilobytes wherever it lies. Comes between the last scan of a launch and its packing. Device code;
// each block has one query, in shared memory, and every query as many blocks. Always holds: lower
// <= reference distance <= upper, by the derivation in scan/bounds.cc, of a sum whose terms take
// part in no more than dim / kFullLanes + 16 additions; bounds only get closer, so that what a
// threshold left out stays out; a row whose lower bound is above its query's threshold is not read.
//
// Additions that a term takes part in: each lane has four sums. Of every sixteen bytes a sum takes
// one term of four-byte coordinates, two of two and four of one, and a lane every 32nd sixteen
// bytes: at most dim / 128 + 4. Two join the four sums, five those of the lanes.
#pragma once

#include "engine/gpu/scan_types.h"
#include "engine/gpu/score.cuh"
#include "engine/gpu/survivors.cuh"

namespace vecserve::engine::gpu {

// As bounds.cc has them.
inline constexpr float kFullNormMin = 0x1p-100f;

// The coordinates in a word: how many, and the i-th of them, exactly.
struct CodedF32 {
  static constexpr unsigned kPerWord = 1;
  static __device__ __forceinline__ float value(unsigned word, unsigned) {
    return __uint_as_float(word);
  }
};
struct CodedF16 {
  static constexpr unsigned kPerWord = 2;
  static __device__ __forceinline__ float value(unsigned word, unsigned i) {
    const unsigned half = word >> (16 * i);
    // Exponents of the two formats lie 112 apart, also of numbers that are not normal.
    const float magnitude = __uint_as_float((half & 0x7fffu) << 13) * 0x1p112f;
    return __uint_as_float(__float_as_uint(magnitude) | (half & 0x8000u) << 16);
  }
};
struct CodedBf16 {
  static constexpr unsigned kPerWord = 2;
  static __device__ __forceinline__ float value(unsigned word, unsigned i) {
    return __uint_as_float(word >> (16 * i) << 16);
  }
};
struct CodedI8 {
  static constexpr unsigned kPerWord = 4;
  static __device__ __forceinline__ float value(unsigned word, unsigned i) {
    return __int2float_rn(static_cast<int>(word << (24 - 8 * i)) >> 24);
  }
};
struct CodedU8 {
  static constexpr unsigned kPerWord = 4;
  static __device__ __forceinline__ float value(unsigned word, unsigned i) {
    return __int2float_rn(static_cast<int>(word >> (8 * i) & 0xffu));
  }
};

// Sixteen bytes of a row.
template <typename Coded>
__device__ __forceinline__ void add_chunk(bool is_l2, const uint4& bytes, Shared<float4> query,
                                          unsigned chunk, float (&sums)[4]) {
  const unsigned words[4] = {bytes.x, bytes.y, bytes.z, bytes.w};
  VECSERVE_UNROLL
  for (unsigned part = 0; part < Coded::kPerWord; ++part) {
    const float4 asked = query[chunk * Coded::kPerWord + part];
    const float four[4] = {asked.x, asked.y, asked.z, asked.w};
    VECSERVE_UNROLL
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned word = (4 * part + i) / Coded::kPerWord;
      const float x = Coded::value(words[word], (4 * part + i) % Coded::kPerWord);
      const float apart = four[i] - x;
      sums[word] += is_l2 ? apart * apart : four[i] * x;
    }
  }
}

// The whole warp; the sum to every lane.
template <typename Coded>
__device__ __forceinline__ float sum_row(const ScanArguments& a, const std::uint8_t* row,
                                         Shared<float4> query) {
  const bool is_l2 = a.is_l2 != 0;
  float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
  VECSERVE_UNROLL_TWICE
  for (unsigned chunk = lane_of(); chunk < a.full_chunks; chunk += 32) {
    const uint4 bytes = fetch(reinterpret_cast<const uint4*>(row) + chunk);
    add_chunk<Coded>(is_l2, bytes, query, chunk, sums);
  }
  float sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  for (unsigned step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, step);
  return sum;
}

__device__ __forceinline__ float sum_vector(const ScanArguments& a, const std::uint8_t* row,
                                            Shared<float4> query) {
  switch (static_cast<FullType>(a.full_type)) {
    case FullType::f16:
      return sum_row<CodedF16>(a, row, query);
    case FullType::bf16:
      return sum_row<CodedBf16>(a, row, query);
    case FullType::i8:
      return sum_row<CodedI8>(a, row, query);
    case FullType::u8:
      return sum_row<CodedU8>(a, row, query);
    case FullType::f32:
      break;
  }
  return sum_row<CodedF32>(a, row, query);
}

// What lower_bound() and upper_bound() of the host are.
__device__ __forceinline__ DeviceBounds full_bounds(bool is_l2, bool is_cosine,
                                                    const DeviceFullQuery& query, float norm,
                                                    float sum) {
  const float infinity = __uint_as_float(0x7f800000u);
  DeviceBounds bounds;
  if (is_l2) {
    const float finite = sum < kFloatMax ? sum : kFloatMax;
    bounds.lower = fmaxf(finite * query.factor - query.absolute, 0.0f);
    bounds.upper = sum * (2.0f - query.factor) + query.absolute;
    return bounds;
  }
  if (is_cosine) {
    const float least = (1.0f - (sum * query.inverse + query.absolute) / norm) - query.per_norm;
    const float most = (1.0f - (sum * query.inverse - query.absolute) / norm) + query.per_norm;
    const bool proven = norm >= kFullNormMin && norm <= kFloatMax && fabsf(sum) <= kFloatMax;
    bounds.lower = proven && least <= 2.0f ? fmaxf(least, 0.0f) : 0.0f;
    bounds.upper = proven && most < 2.0f ? fmaxf(most, 0.0f) : 2.0f;
    return bounds;
  }
  const float slack = query.per_norm * norm + query.absolute;
  bounds.lower = -sum - slack;
  bounds.upper = -sum + slack;
  if (!(fabsf(bounds.lower) <= kFloatMax)) bounds.lower = -infinity;
  if (!(fabsf(bounds.upper) <= kFloatMax)) bounds.upper = infinity;
  return bounds;
}

// The query's floats to the beginning of shared memory.
__device__ __forceinline__ Shared<float4> share_floats(const ScanArguments& a, unsigned query) {
  const Shared<float4> floats = shared_at<float4>(0);
  const unsigned parts = a.full_width / 4;
  const float4* const from =
      reinterpret_cast<const float4*>(a.full_floats) + std::size_t{query} * parts;
  for (unsigned i = threadIdx.x; i < parts; i += blockDim.x) floats[i] = fetch(from + i);
  return floats;
}

// The whole warp: the survivor kept under that number. One lane has its lower bound, and writes.
__device__ __forceinline__ void sharpen_one(const ScanArguments& a, unsigned query, unsigned number,
                                            unsigned block, unsigned position, bool writes,
                                            float lower, Shared<float4> floats) {
  const DeviceFull full = fetch(a.fulls + block);
  const float sum = sum_vector(a, full.vectors + std::size_t{position} * a.full_stride, floats);
  if (!writes) return;
  const float norm = full.norms == nullptr ? 0.0f : fetch(full.norms + position);
  const DeviceBounds bounds =
      full_bounds(a.is_l2 != 0, a.offset != 0.0f, fetch(a.full_queries + query), norm, sum);
  const std::size_t at = std::size_t{query} * a.capacity + number;
  store(&a.survivors[at].score, sum);
  store(&a.survivors[at].lower, fmaxf(lower, bounds.lower));
  const unsigned key = key_of(bounds.upper);
  if (key < fetch_fresh(a.keys + at)) store(a.keys + at, key);
}

__device__ __forceinline__ void sharpen(const ScanArguments& a) {
  const unsigned query = blockIdx.x % a.query_count;
  const unsigned place = blockIdx.x / a.query_count;
  const unsigned of_block = blockDim.x / 32;
  const unsigned lanes = gridDim.x / a.query_count;  // blocks of each query
  const unsigned count = fetch(&a.states[query].count);
  const unsigned kept = count < a.capacity ? count : a.capacity;
  if (place * of_block >= kept) return;  // all threads of the block alike
  const Shared<float4> floats = share_floats(a, query);
  __syncthreads();
  const float threshold = value_of(fetch(&a.states[query].threshold));
  const DeviceSurvivor* const mine = a.survivors + std::size_t{query} * a.capacity;
  const unsigned warps = lanes * of_block;
  unsigned read = 0;
  // Neighbours go to different warps: mostly there are fewer survivors than warps.
  for (unsigned first = place * of_block + threadIdx.x / 32; first < kept; first += 32 * warps) {
    const unsigned number = first + lane_of() * warps;
    unsigned block = 0;
    unsigned position = 0;
    float lower = 0.0f;
    bool in = number < kept;
    if (in) {
      block = fetch_fresh(&mine[number].block);
      position = fetch_fresh(&mine[number].position);
      lower = fetch_fresh(&mine[number].lower);
      in = !(lower > threshold) && position < fetch(&a.fulls[block].count);
    }
    unsigned votes = __ballot_sync(0xffffffffu, in);
    read += static_cast<unsigned>(__popc(votes));
    while (votes != 0) {
      const unsigned from = static_cast<unsigned>(__ffs(static_cast<int>(votes))) - 1;
      votes &= votes - 1;
      const unsigned its_block = __shfl_sync(0xffffffffu, block, from);
      const unsigned its_position = __shfl_sync(0xffffffffu, position, from);
      sharpen_one(a, query, first + from * warps, its_block, its_position, lane_of() == from, lower,
                  floats);
    }
  }
  if (lane_of() == 0 && read != 0) atomicAdd(&a.totals->sharpened, read);
}

}  // namespace vecserve::engine::gpu
