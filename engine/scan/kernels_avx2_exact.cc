// The sums of the reference scorer for AVX2: its eight sums are two registers. Called by
// exact_distance, where the machine has no wider ones. Any thread; pure. Always holds: one IEEE
// operation for each of the reference's, in its order, never fused (the file is compiled so);
// coordinates past the last come as zeros, which change no sum; only the table is seen outside.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/kernels_exact.h"

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kLanes = 4;

enum class Kind { square, product, absolute };

template <Kind kind>
__m256d add_terms(__m256d sums, __m128 query, __m128 row) {
  const __m256d q = _mm256_cvtps_pd(query);
  const __m256d x = _mm256_cvtps_pd(row);
  if constexpr (kind == Kind::product) return _mm256_add_pd(sums, _mm256_mul_pd(q, x));
  const __m256d difference = _mm256_sub_pd(q, x);
  if constexpr (kind == Kind::absolute) {
    return _mm256_add_pd(sums, _mm256_andnot_pd(_mm256_set1_pd(-0.0), difference));
  }
  return _mm256_add_pd(sums, _mm256_mul_pd(difference, difference));
}

// The first `count` of four floats, zeros behind them.
__m128 load_some(const float* at, std::uint32_t count) {
  alignas(16) static constexpr std::int32_t kMasks[8] = {-1, -1, -1, -1, 0, 0, 0, 0};
  const auto* const from = reinterpret_cast<const __m128i*>(kMasks + kLanes - count);
  return _mm_maskload_ps(at, _mm_loadu_si128(from));
}

template <Kind kind>
double sum(const float* query, const std::byte* bytes, std::uint32_t dim) {
  const auto* const row = reinterpret_cast<const float*>(bytes);
  __m256d low = _mm256_setzero_pd();
  __m256d high = _mm256_setzero_pd();
  std::uint32_t i = 0;
  for (; i + 2 * kLanes <= dim; i += 2 * kLanes) {
    low = add_terms<kind>(low, _mm_loadu_ps(query + i), _mm_loadu_ps(row + i));
    high = add_terms<kind>(high, _mm_loadu_ps(query + i + kLanes), _mm_loadu_ps(row + i + kLanes));
  }
  if (i < dim) {
    const std::uint32_t first = dim - i < kLanes ? dim - i : kLanes;
    low = add_terms<kind>(low, load_some(query + i, first), load_some(row + i, first));
    const std::uint32_t more = dim - i - first;
    high =
        add_terms<kind>(high, load_some(query + i + first, more), load_some(row + i + first, more));
  }
  alignas(32) double s[2 * kLanes];
  _mm256_store_pd(s, low);
  _mm256_store_pd(s + kLanes, high);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

constinit const ExactSums kAvx2ExactSums = {
    .supported = supported,
    .square = sum<Kind::square>,
    .product = sum<Kind::product>,
    .absolute = sum<Kind::absolute>,
};

}  // namespace vecserve::engine
