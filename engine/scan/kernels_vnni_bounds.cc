// See kernels_vnni_bounds.h. Called by the coarse passes through the table of the VNNI kernels, for
// what survived. Any thread; pure. Always holds: one IEEE operation in doubles for each of
// bounds_of's, in its order, never fused (as all files are compiled); nothing here is seen outside
// but the three functions.
#include "engine/scan/kernels_vnni_bounds.h"

#include <immintrin.h>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 8;

enum class Kind { l2, dot, cosine };

// Eight survivors, past the last of which there are rows 0.
struct Some {
  __m256i rows;
  __m256 scores;
};

Some load(const Survivor* survivors, std::uint32_t count) {
  const auto words = static_cast<__mmask16>((std::uint32_t{1} << 2 * count) - 1);
  const __m512i pairs = _mm512_maskz_loadu_epi32(words, survivors);
  return {_mm512_cvtepi64_epi32(pairs),
          _mm256_castsi256_ps(_mm512_cvtepi64_epi32(_mm512_srli_epi64(pairs, 32)))};
}

__m512d numbers_of(const float* numbers, __m256i rows) {
  return _mm512_cvtps_pd(_mm256_i32gather_ps(numbers, rows, 4));
}

__m512d all(double value) {
  return _mm512_set1_pd(value);
}

// The same steps as in coarse_bounds.cc; an infinite value stays what it is.
__m256 round_up(__m512d value) {
  const __m512d more =
      _mm512_add_pd(_mm512_mul_pd(_mm512_abs_pd(value), all(0x1p-23)), all(0x1p-149));
  const __mmask8 infinite =
      _mm512_cmp_pd_mask(_mm512_abs_pd(value), all(__builtin_inf()), _CMP_EQ_OQ);
  return _mm512_cvtpd_ps(_mm512_mask_mov_pd(_mm512_add_pd(value, more), infinite, value));
}

__m256 round_down(__m512d value) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m512d negated = _mm512_xor_pd(value, all(-0.0));
  return _mm256_xor_ps(round_up(negated), sign);
}

struct Bounds {
  __m512d lower;
  __m512d upper;
};

constexpr double kUnit = static_cast<double>(kScoreError) + kBoundsSlack;
constexpr double kLeast = static_cast<double>(kScoreFloor);

Bounds l2_bounds(const CoarseRows& rows, const CoarseLimit& limit, __m256i index, __m512d value,
                 __m512d residual_r) {
  const __m512d squares =
      _mm512_add_pd(numbers_of(rows.squares, index), all(static_cast<double>(limit.square)));
  const __m512d error = _mm512_add_pd(_mm512_mul_pd(all(kUnit), squares), all(kLeast));
  const __m512d reach = _mm512_add_pd(residual_r, all(static_cast<double>(limit.residual)));
  const __m512d zero = _mm512_setzero_pd();
  const __m512d near =
      _mm512_sub_pd(_mm512_sqrt_pd(_mm512_max_pd(_mm512_sub_pd(value, error), zero)), reach);
  const __m512d far =
      _mm512_add_pd(_mm512_sqrt_pd(_mm512_max_pd(_mm512_add_pd(value, error), zero)), reach);
  const __mmask8 beyond = _mm512_cmp_pd_mask(near, zero, _CMP_GT_OQ);
  return {
      _mm512_maskz_mul_pd(beyond, _mm512_mul_pd(near, near), all(1.0 - kBoundsSlack)),
      _mm512_add_pd(_mm512_mul_pd(_mm512_mul_pd(far, far), all(1.0 + kBoundsSlack)), all(kLeast))};
}

template <bool cosine>
Bounds dot_bounds(const CoarseRows& rows, const CoarseLimit& limit, __m256i index, __m512d value,
                  __m512d residual_r) {
  const __m512d norm_r = numbers_of(rows.norms, index);
  const auto norm_q = static_cast<double>(limit.coarse_norm);
  const auto residual_q = static_cast<double>(limit.residual);
  const __m512d parts =
      _mm512_add_pd(_mm512_mul_pd(all(norm_q), residual_r), _mm512_mul_pd(all(residual_q), norm_r));
  const __m512d rounding = _mm512_mul_pd(all(kUnit * (norm_q + residual_q)), norm_r);
  const __m512d error = _mm512_add_pd(_mm512_add_pd(parts, rounding), all(kLeast));
  if constexpr (!cosine) return {_mm512_sub_pd(value, error), _mm512_add_pd(value, error)};
  const __m512d distance = _mm512_add_pd(all(1.0), value);
  const __m512d slack = all(kBoundsSlack);
  return {_mm512_max_pd(_mm512_sub_pd(_mm512_sub_pd(distance, error), slack), _mm512_setzero_pd()),
          _mm512_min_pd(_mm512_add_pd(_mm512_add_pd(distance, error), slack), all(2.0))};
}

template <Kind kind>
void bounds(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
            std::uint32_t count, float* lower, float* upper) {
  for (std::uint32_t at = 0; at < count; at += kLanes) {
    const std::uint32_t left = count - at;
    const Some some = load(survivors + at, left < kLanes ? left : kLanes);
    const __m512d value = _mm512_cvtps_pd(some.scores);
    const __m512d residual = numbers_of(rows.residuals, some.rows);
    const Bounds found = kind == Kind::l2 ? l2_bounds(rows, limit, some.rows, value, residual)
                                          : dot_bounds<kind == Kind::cosine>(rows, limit, some.rows,
                                                                             value, residual);
    // Neither infinite nor no number: x - x is 0.
    const __m512d zero = _mm512_setzero_pd();
    const __mmask8 finite = _mm512_cmp_pd_mask(_mm512_sub_pd(value, value), zero, _CMP_EQ_OQ) &
                            _mm512_cmp_pd_mask(_mm512_sub_pd(residual, residual), zero, _CMP_EQ_OQ);
    const __m256 infinity = _mm256_set1_ps(__builtin_inff());
    _mm256_storeu_ps(lower + at, _mm256_mask_mov_ps(_mm256_set1_ps(-__builtin_inff()), finite,
                                                    round_down(found.lower)));
    _mm256_storeu_ps(upper + at, _mm256_mask_mov_ps(infinity, finite, round_up(found.upper)));
  }
}

}  // namespace

void vnni_bounds_l2(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                    std::uint32_t count, float* lower, float* upper) {
  bounds<Kind::l2>(rows, limit, survivors, count, lower, upper);
}

void vnni_bounds_dot(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                     std::uint32_t count, float* lower, float* upper) {
  bounds<Kind::dot>(rows, limit, survivors, count, lower, upper);
}

void vnni_bounds_cosine(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                        std::uint32_t count, float* lower, float* upper) {
  bounds<Kind::cosine>(rows, limit, survivors, count, lower, upper);
}

}  // namespace vecserve::engine
