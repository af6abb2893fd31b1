// Sketch kernels for AVX2. Called by the cascade for rows of a block, where the machine has nothing
// wider. Any thread; pure. Codes are widened to 16 bits and multiplied in pairs with the query's 16
// bits: eight rows to a register in the first stripe, one record after the other in the second.
// Always holds: nothing here is seen outside but the table, so that no linker takes this code for
// another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/sketch_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 8;
constexpr std::uint32_t kFirst = 16;

// y of four axes, as often as a register holds them.
struct FirstCodes {
  __m256i four[4];
};

std::int16_t query_code(const SketchProbe& probe, std::uint32_t axis) {
  return static_cast<std::int16_t>(128 * probe.high[axis] + probe.low[axis]);
}

FirstCodes spread(const SketchProbe& probe) {
  FirstCodes codes;
  for (std::uint32_t group = 0; group < 4; ++group) {
    std::int16_t four[4];
    for (std::uint32_t i = 0; i < 4; ++i) four[i] = query_code(probe, group * 4 + i);
    std::int64_t word;
    __builtin_memcpy(&word, four, sizeof(word));
    codes.four[group] = _mm256_set1_epi64x(word);
  }
  return codes;
}

// Dot products of eight rows times the step; `stripe` is at the first of them.
__m256 first_dots(const std::uint8_t* stripe, const FirstCodes& codes, const SketchProbe& probe) {
  __m256i even = _mm256_setzero_si256();  // rows 0 to 3, two sums each
  __m256i odd = _mm256_setzero_si256();   // rows 4 to 7
  for (std::uint32_t group = 0; group < 4; ++group) {
    const auto* const at = reinterpret_cast<const __m128i*>(stripe + group * 64);
    even = _mm256_add_epi32(
        even, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(at)), codes.four[group]));
    odd = _mm256_add_epi32(
        odd, _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(at + 1)), codes.four[group]));
  }
  // hadd works within halves: rows 0 1 4 5, then 2 3 6 7.
  const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(even, odd), 0xd8);
  const __m256i dots = _mm256_sub_epi32(sums, _mm256_set1_epi32(probe.bias[0]));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(dots), _mm256_set1_ps(probe.steps[0]));
}

float bound_of(float kept, float row_reach) {
  // The second operand is what a NaN becomes.
  const __m128 root = _mm_sqrt_ss(_mm_max_ss(_mm_set_ss(kept), _mm_setzero_ps()));
  return _mm_cvtss_f32(root) - row_reach;
}

// The second stripe's query, 16 axes to a register.
struct FineCodes {
  __m256i sixteen[3];
};

FineCodes spread_fine(const SketchProbe& probe, std::uint32_t codes) {
  FineCodes fine;
  for (std::uint32_t i = 0; i < 3; ++i) {
    alignas(32) std::int16_t values[16] = {};
    for (std::uint32_t j = 0; j < 16 && i * 16 + j < codes; ++j) {
      values[j] = query_code(probe, kFirst + i * 16 + j);
    }
    fine.sixteen[i] = _mm256_load_si256(reinterpret_cast<const __m256i*>(values));
  }
  return fine;
}

// Tests row r by all axes; survivors go to `out`.
bool passes_fine(const SketchRows& rows, const SketchProbe& probe, const FineCodes& fine,
                 std::uint32_t r, float reach, float dots, SketchSurvivor& out) {
  const std::uint8_t* const record = rows.fine + std::size_t{r} * rows.fine_stride;
  __m256i sum = _mm256_setzero_si256();
  for (std::uint32_t i = 0; i * 16 < rows.fine_codes; ++i) {
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(record + i * 16));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepu8_epi16(codes), fine.sixteen[i]));
  }
  const __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  const __m128i pair = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  const __m128i one = _mm_add_epi32(pair, _mm_shuffle_epi32(pair, 0xb1));
  const std::int32_t dot = _mm_cvtsi128_si32(one) - probe.bias[1];
  float numbers[3];
  __builtin_memcpy(numbers, record + rows.fine_codes, sizeof(numbers));
  const float kept = numbers[0] * (1.0f - kScoreError) + probe.all.base -
                     (dots + probe.steps[1] * static_cast<float>(dot)) -
                     probe.all.twice_left * numbers[1];
  const float most = reach + numbers[2];
  if (kept > most * most) return false;
  out = {r, bound_of(kept, numbers[2])};
  return true;
}

const std::uint8_t* stripe_of(const SketchRows& rows, std::uint32_t row) {
  return rows.first + std::size_t{row / 16} * 256 + row % 16 * 4;
}

// Rows of the last eight that are there.
std::uint32_t there(const SketchRows& rows, std::uint32_t first) {
  const std::uint32_t left = rows.count - first;
  return left < kLanes ? (std::uint32_t{1} << left) - 1 : 0xffu;
}

float least_of(__m256 values) {
  const __m128 four = _mm_min_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  const __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps(two, two, 1)));
}

// What the first stripe says of eight rows: score less error, given their dots.
__m256 first_kept(const SketchRows& rows, std::uint32_t first, const SketchLimit& limit,
                  __m256 dots) {
  const __m256 bases =
      _mm256_fmadd_ps(_mm256_loadu_ps(rows.bases + first), _mm256_set1_ps(1.0f - kScoreError),
                      _mm256_set1_ps(limit.base));
  return _mm256_fnmadd_ps(_mm256_set1_ps(limit.twice_left), _mm256_loadu_ps(rows.lefts + first),
                          _mm256_sub_ps(bases, dots));
}

void measure(const SketchRows& rows, const SketchProbe& probe, float* bounds, float* least) {
  const FirstCodes codes = spread(probe);
  const __m256 all = _mm256_set1_ps(__builtin_inff());
  __m256 lowest = all;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    const __m256 mine = first_dots(stripe_of(rows, first), codes, probe);
    const __m256 kept = first_kept(rows, first, probe.first, mine);
    const __m256 root = _mm256_sqrt_ps(_mm256_max_ps(kept, _mm256_setzero_ps()));
    const __m256 bound = _mm256_sub_ps(root, _mm256_loadu_ps(rows.reaches + first));
    _mm256_storeu_ps(bounds + first, bound);
    if (first + kLanes <= rows.count) {
      lowest = _mm256_min_ps(lowest, bound);
    } else {
      for (std::uint32_t r = first; r < rows.count; ++r) {
        lowest = _mm256_min_ps(lowest, _mm256_set1_ps(bounds[r]));
      }
    }
    if (first % 64 == 56 || first + kLanes >= rows.count) {
      least[first / 64] = least_of(lowest);
      lowest = all;
    }
  }
}

SketchCount sift(const SketchRows& rows, const SketchProbe& probe, SketchReach reach,
                 SketchSurvivor* out) {
  SketchCount count;
  const FirstCodes codes = spread(probe);
  const FineCodes fine = spread_fine(probe, rows.fine_codes);
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    auto bits = static_cast<std::uint32_t>(rows.eligible[first / 64] >> (first % 64));
    bits &= there(rows, first);
    if (bits == 0) continue;
    const __m256 mine = first_dots(stripe_of(rows, first), codes, probe);
    const __m256 kept = first_kept(rows, first, probe.first, mine);
    const __m256 most =
        _mm256_add_ps(_mm256_set1_ps(reach.first), _mm256_loadu_ps(rows.reaches + first));
    bits &= static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_cmp_ps(kept, _mm256_mul_ps(most, most), _CMP_NGT_UQ)));
    if (bits == 0) [[likely]]
      continue;
    alignas(32) float dots[kLanes];
    alignas(32) float kepts[kLanes];
    _mm256_store_ps(dots, mine);
    _mm256_store_ps(kepts, kept);
    count.first += static_cast<std::uint32_t>(__builtin_popcount(bits));
    for (; bits != 0; bits &= bits - 1) {
      const auto lane = static_cast<std::uint32_t>(__builtin_ctz(bits));
      const std::uint32_t r = first + lane;
      if (rows.fine_codes == 0) {
        out[count.all++] = {r, bound_of(kepts[lane], rows.reaches[r])};
      } else if (passes_fine(rows, probe, fine, r, reach.all, dots[lane], out[count.all])) {
        ++count.all;
      }
    }
  }
  return count;
}

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

}  // namespace

constinit const SketchKernels kAvx2SketchKernels = {
    .name = "avx2",
    .supported = supported,
    .measure = measure,
    .sift = sift,
};

}  // namespace vecserve::engine
