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
constexpr std::uint32_t kLineFloats = 16;  // of a line of memory

enum class Kind { square, product, absolute, own };

template <Kind kind>
__m256d add_terms(__m256d sums, __m128 query, __m128 row) {
  const __m256d q = _mm256_cvtps_pd(query);
  const __m256d x = _mm256_cvtps_pd(row);
  if constexpr (kind == Kind::product) return _mm256_add_pd(sums, _mm256_mul_pd(q, x));
  if constexpr (kind == Kind::own) return _mm256_add_pd(sums, _mm256_mul_pd(x, x));
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
void add_part(__m256d& low, __m256d& high, const float* query, const float* row,
              std::uint32_t left) {
  if (left >= 2 * kLanes) {
    low = add_terms<kind>(low, _mm_loadu_ps(query), _mm_loadu_ps(row));
    high = add_terms<kind>(high, _mm_loadu_ps(query + kLanes), _mm_loadu_ps(row + kLanes));
    return;
  }
  const std::uint32_t first = left < kLanes ? left : kLanes;
  low = add_terms<kind>(low, load_some(query, first), load_some(row, first));
  const std::uint32_t more = left - first;
  high = add_terms<kind>(high, load_some(query + first, more), load_some(row + first, more));
}

// The additions of one row wait for each other, those of several do not.
template <Kind kind, std::uint32_t kRows>
void sum(const float* query, const std::byte* const* rows, std::uint32_t dim,
         const std::byte* const* next, double* out) {
  __m256d low[kRows];
  __m256d high[kRows];
  for (std::uint32_t r = 0; r < kRows; ++r) low[r] = high[r] = _mm256_setzero_pd();
  constexpr std::uint32_t kMost = kExactAskedBytes / sizeof(float);
  const std::uint32_t asked = next == nullptr ? 0 : dim < kMost ? dim : kMost;
  for (std::uint32_t i = 0; i < dim; i += 2 * kLanes) {
    if (i % kLineFloats == 0 && i < asked) {
      for (std::uint32_t r = 0; r < kRows; ++r) {
        __builtin_prefetch(next[r] + std::size_t{i} * sizeof(float), 0, kSecondLevel);
      }
    }
    for (std::uint32_t r = 0; r < kRows; ++r) {
      add_part<kind>(low[r], high[r], query + i, reinterpret_cast<const float*>(rows[r]) + i,
                     dim - i);
    }
  }
  for (std::uint32_t r = 0; r < kRows; ++r) {
    alignas(32) double s[2 * kLanes];
    _mm256_store_pd(s, low[r]);
    _mm256_store_pd(s + kLanes, high[r]);
    out[r] = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
}

template <Kind kind>
void sums_of(const float* query, const std::byte* const* rows, std::uint32_t count,
             std::uint32_t dim, const std::byte* const* next, double* out) {
  if (count == kExactRows) {
    sum<kind, kExactRows>(query, rows, dim, next, out);
    return;
  }
  for (std::uint32_t r = 0; r < count; ++r) sum<kind, 1>(query, rows + r, dim, nullptr, out + r);
}

bool supported() {
  return __builtin_cpu_supports("avx2");
}

}  // namespace

constinit const ExactSums kAvx2ExactSums = {
    .supported = supported,
    .square = sums_of<Kind::square>,
    .product = sums_of<Kind::product>,
    .absolute = sums_of<Kind::absolute>,
    .own = sums_of<Kind::own>,
};

}  // namespace vecserve::engine
