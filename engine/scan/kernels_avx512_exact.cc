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
constexpr std::uint32_t kLineFloats = 16;  // of a line of memory

enum class Kind { square, product, absolute, own };

template <Kind kind>
__m512d add_terms(__m512d sums, __m256 query, __m256 row) {
  const __m512d q = _mm512_cvtps_pd(query);
  const __m512d x = _mm512_cvtps_pd(row);
  if constexpr (kind == Kind::product) return _mm512_add_pd(sums, _mm512_mul_pd(q, x));
  if constexpr (kind == Kind::own) return _mm512_add_pd(sums, _mm512_mul_pd(x, x));
  const __m512d difference = _mm512_sub_pd(q, x);
  if constexpr (kind == Kind::absolute) return _mm512_add_pd(sums, _mm512_abs_pd(difference));
  return _mm512_add_pd(sums, _mm512_mul_pd(difference, difference));
}

// The additions of one row wait for each other, those of several do not.
template <Kind kind, std::uint32_t kRows>
void sum(const float* query, const std::byte* const* rows, std::uint32_t dim,
         const std::byte* const* next, double* out) {
  const float* row[kRows];
  __m512d sums[kRows];
  for (std::uint32_t r = 0; r < kRows; ++r) {
    row[r] = reinterpret_cast<const float*>(rows[r]);
    sums[r] = _mm512_setzero_pd();
  }
  std::uint32_t i = 0;
  const auto add = [&] {
    const __m256 q = _mm256_loadu_ps(query + i);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      sums[r] = add_terms<kind>(sums[r], q, _mm256_loadu_ps(row[r] + i));
    }
    i += kSums;
  };
  constexpr std::uint32_t kMost = kExactAskedBytes / sizeof(float);
  const std::uint32_t asked = next == nullptr ? 0 : dim < kMost ? dim : kMost;
  while (i + kLineFloats <= asked) {
    for (std::uint32_t r = 0; r < kRows; ++r) {
      __builtin_prefetch(next[r] + std::size_t{i} * sizeof(float), 0, kSecondLevel);
    }
    add();
    add();
  }
  while (i + kSums <= dim) add();
  if (i < dim) {
    const auto left = static_cast<__mmask8>((1U << (dim - i)) - 1);
    const __m256 q = _mm256_maskz_loadu_ps(left, query + i);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      sums[r] = add_terms<kind>(sums[r], q, _mm256_maskz_loadu_ps(left, row[r] + i));
    }
  }
  for (std::uint32_t r = 0; r < kRows; ++r) {
    alignas(64) double s[kSums];
    _mm512_store_pd(s, sums[r]);
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
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

}  // namespace

constinit const ExactSums kAvx512ExactSums = {
    .supported = supported,
    .square = sums_of<Kind::square>,
    .product = sums_of<Kind::product>,
    .absolute = sums_of<Kind::absolute>,
    .own = sums_of<Kind::own>,
};

}  // namespace vecserve::engine
