// The sums of the reference scorer for AVX-512: its eight sums are one register. Called by
// exact_distance, where the machine has them. Any thread; pure. Always holds: one IEEE operation
// for each of the reference's, in its order, never fused (the file is compiled so); coordinates
// past the last come as zeros, which change no sum; nothing here is seen outside but the table.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/kernels_exact.h"

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kSums = 8;

enum class Kind { square, product, absolute };

template <Kind kind>
__m512d add_terms(__m512d sums, __m256 query, __m256 row) {
  const __m512d q = _mm512_cvtps_pd(query);
  const __m512d x = _mm512_cvtps_pd(row);
  if constexpr (kind == Kind::product) return _mm512_add_pd(sums, _mm512_mul_pd(q, x));
  const __m512d difference = _mm512_sub_pd(q, x);
  if constexpr (kind == Kind::absolute) return _mm512_add_pd(sums, _mm512_abs_pd(difference));
  return _mm512_add_pd(sums, _mm512_mul_pd(difference, difference));
}

template <Kind kind>
double sum(const float* query, const std::byte* bytes, std::uint32_t dim) {
  const auto* const row = reinterpret_cast<const float*>(bytes);
  __m512d sums = _mm512_setzero_pd();
  std::uint32_t i = 0;
  for (; i + kSums <= dim; i += kSums) {
    sums = add_terms<kind>(sums, _mm256_loadu_ps(query + i), _mm256_loadu_ps(row + i));
  }
  if (i < dim) {
    const auto left = static_cast<__mmask8>((1U << (dim - i)) - 1);
    sums = add_terms<kind>(sums, _mm256_maskz_loadu_ps(left, query + i),
                           _mm256_maskz_loadu_ps(left, row + i));
  }
  alignas(64) double s[kSums];
  _mm512_store_pd(s, sums);
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace

constinit const ExactSums kAvx512ExactSums = {
    .supported = supported,
    .square = sum<Kind::square>,
    .product = sum<Kind::product>,
    .absolute = sum<Kind::absolute>,
};

}  // namespace vecserve::engine
