// The arithmetic of the coarse plane on the device: from an exact product of codes to a score, the
// test that rules a row out, and bounds of its distance. The same test as in scan/coarse_kernels.h,
// whose kScoreError has room for any order of operations; what more the bounds here need is derived
// below. Device code; the includer provides CUDA's names. Always holds: a row that is ruled out is
// further than the threshold; lower <= reference distance <= upper, up to infinities.
//
// kSlop: a bound is made with fewer than 16 roundings, each off by at most 2^-24 of the largest
// value in it, so 2^-20 of that is more than all of them. kScoreFloor (2^-100) covers what products
// of tiny numbers lose. The score's own error is kScoreError of the squares (or of the norms'
// product), taken an eighth larger to cover the roundings of the error itself.
#pragma once

#include "engine/gpu/scan_types.h"

namespace vecserve::engine::gpu {

inline constexpr float kDeviceScoreError = 0x1p-18f;   // kScoreError
inline constexpr float kDeviceScoreFloor = 0x1p-100f;  // kScoreFloor
inline constexpr float kBoundError = kDeviceScoreError * 1.125f;
inline constexpr float kSlop = 0x1p-20f;
inline constexpr float kFloatMax = 0x1.fffffep127f;

// Unsigned integers in the order of the floats; not for NaN.
__device__ __forceinline__ unsigned key_of(float value) {
  const unsigned bits = __float_as_uint(value);
  return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}

__device__ __forceinline__ float value_of(unsigned key) {
  return __uint_as_float(key ^ ((key >> 31) != 0 ? 0x80000000u : 0xffffffffu));
}

// What scores are compared with, for a threshold of the distance; not below reach_of() of the host.
__device__ __forceinline__ float reach_for(bool is_l2, float offset, const DeviceQuery& query,
                                           float threshold) {
  if (is_l2) {
    return (sqrtf(fmaxf(threshold, 0.0f)) + query.residual) * (1.0f + kSlop) + kDeviceScoreFloor;
  }
  const float score = threshold - offset;
  return score + (fabsf(threshold) + offset) * kSlop + kDeviceScoreFloor;
}

// Whether the row may be within the reach; a comparison with a NaN keeps it.
__device__ __forceinline__ bool survives(bool is_l2, const DeviceQuery& query, const DeviceRow& row,
                                         int sum, float reach, float& score) {
  const float product = __int2float_rn(sum) * row.scale * query.scale;
  if (is_l2) {
    const float squares = row.square + query.square;
    const float most = reach + row.residual;
    score = squares - product;
    return !(squares * (1.0f - kDeviceScoreError) - product - kDeviceScoreFloor > most * most);
  }
  const float left = query.residual + kDeviceScoreError * (query.coarse_norm + query.residual);
  const float slack = query.coarse_norm * row.residual + left * row.norm + kDeviceScoreFloor;
  score = -product;
  return !(score > reach + slack);
}

struct DeviceBounds {
  float lower;
  float upper;
};

__device__ __forceinline__ DeviceBounds bounds_for(bool is_l2, float offset,
                                                   const DeviceQuery& query, const DeviceRow& row,
                                                   float score) {
  DeviceBounds bounds;
  if (is_l2) {
    const float error = (row.square + query.square) * kBoundError + 2.0f * kDeviceScoreFloor;
    const float reach = (query.residual + row.residual) * (1.0f + kSlop);
    const float far = sqrtf(fmaxf(score + error, 0.0f)) + reach;
    const float near = sqrtf(fmaxf(score - error, 0.0f)) * (1.0f - kSlop) - reach;
    bounds.upper = far * far * (1.0f + kSlop) + kDeviceScoreFloor;
    bounds.lower =
        near > 0.0f ? fmaxf(near * near * (1.0f - kSlop) - kDeviceScoreFloor, 0.0f) : 0.0f;
  } else {
    const float left = query.residual + kBoundError * (query.coarse_norm + query.residual);
    const float slack = query.coarse_norm * row.residual + left * row.norm;
    const float error = (slack + fabsf(score) + offset) * kSlop + slack + 2.0f * kDeviceScoreFloor;
    bounds.upper = offset + score + error;
    bounds.lower = offset + score - error;
  }
  // Also where something above was not a number.
  if (!(bounds.upper <= kFloatMax) || !(fabsf(score) <= kFloatMax)) {
    bounds.upper = __uint_as_float(0x7f800000u);
    bounds.lower = -bounds.upper;
  }
  return bounds;
}

}  // namespace vecserve::engine::gpu
