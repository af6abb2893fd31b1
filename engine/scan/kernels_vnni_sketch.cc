// Sketch kernels for AVX-512 with VNNI. Called by the cascade for rows of a block, where the
// machine has them. Any thread; pure. First stripe: sixteen rows to a register, four axes to an
// instruction. Rows that pass are gathered and their records asked for; those of sixteen are
// multiplied one by one, a step later, and tested together. Always holds: nothing here is seen
// outside but the table, so that no linker takes this code for another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/sketch_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 16;

// Adds up each of sixteen registers; the sum of sums[i] is in lane i.
__m512i add_up(const __m512i (&sums)[kLanes]) {
  __m512i pairs[8];
  for (std::uint32_t i = 0; i < 8; ++i) {
    pairs[i] = _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2 * i], sums[2 * i + 1]),
                                _mm512_unpackhi_epi32(sums[2 * i], sums[2 * i + 1]));
  }
  __m512i fours[4];  // four rows in each quarter, still to be added over the quarters
  for (std::uint32_t i = 0; i < 4; ++i) {
    fours[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(pairs[2 * i], pairs[2 * i + 1]),
                                _mm512_unpackhi_epi64(pairs[2 * i], pairs[2 * i + 1]));
  }
  __m512i eights[2];
  for (std::uint32_t i = 0; i < 2; ++i) {
    eights[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0x88),
                                 _mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0xdd));
  }
  return _mm512_add_epi32(_mm512_shuffle_i32x4(eights[0], eights[1], 0x88),
                          _mm512_shuffle_i32x4(eights[0], eights[1], 0xdd));
}

// The query's codes of the first stripe, four axes to a register, each lane the same; what its sums
// begin with, and what they are multiplied with.
struct FirstCodes {
  __m512i high[4];
  __m512i low[4];
  __m512i bias;
  __m512 step;
};

FirstCodes spread(const SketchProbe& probe) {
  FirstCodes codes;
  for (std::uint32_t group = 0; group < 4; ++group) {
    std::int32_t four;
    __builtin_memcpy(&four, probe.high + group * 4, sizeof(four));
    codes.high[group] = _mm512_set1_epi32(four);
    __builtin_memcpy(&four, probe.low + group * 4, sizeof(four));
    codes.low[group] = _mm512_set1_epi32(four);
  }
  codes.bias = _mm512_set1_epi32(-probe.bias[0]);
  codes.step = _mm512_set1_ps(probe.steps[0]);
  return codes;
}

// Dot products of sixteen rows times the step.
__m512 first_dots(const std::uint8_t* stripe, const FirstCodes& codes) {
  __m512i high = _mm512_setzero_si512();
  __m512i low = codes.bias;
  for (std::uint32_t group = 0; group < 4; ++group) {
    const __m512i rows = _mm512_loadu_si512(stripe + group * 64);
    high = _mm512_dpbusd_epi32(high, rows, codes.high[group]);
    low = _mm512_dpbusd_epi32(low, rows, codes.low[group]);
  }
  const __m512i dots = _mm512_add_epi32(_mm512_slli_epi32(high, 7), low);
  return _mm512_mul_ps(_mm512_cvtepi32_ps(dots), codes.step);
}

// Score less error of sixteen rows, given their dots.
__m512 kept_of(__m512 base, __m512 left, const SketchLimit& limit, __m512 dots) {
  const __m512 bases =
      _mm512_fmadd_ps(base, _mm512_set1_ps(1.0f - kScoreError), _mm512_set1_ps(limit.base));
  return _mm512_fnmadd_ps(_mm512_set1_ps(limit.twice_left), left, _mm512_sub_ps(bases, dots));
}

__mmask16 near(__m512 kept, __m512 row_reach, float reach) {
  const __m512 most = _mm512_add_ps(_mm512_set1_ps(reach), row_reach);
  return _mm512_cmp_ps_mask(kept, _mm512_mul_ps(most, most), _CMP_NGT_UQ);
}

// Of sixteen rows. The second operand of the maximum is what a NaN becomes.
__m512 bound_of(__m512 kept, __m512 row_reach) {
  return _mm512_sub_ps(_mm512_sqrt_ps(_mm512_max_ps(kept, _mm512_setzero_ps())), row_reach);
}

// Rows of which the first stripe is tested at a time. Records of those that pass are asked for, and
// read when the next so many are tested: by then they are there. They are asked for into the second
// level cache, which waits for more lines at a time than the first.
constexpr std::uint32_t kStepRows = 256;
// Rows that passed the first stripe, with their dots; of those without a second, their bounds.
// Those of one step wait while the next is tested; less than sixteen stay longer, as sixteen are
// tested together. Those that are done go when there is no more room for all rows of a step.
constexpr std::uint32_t kPassedRows = 4 * kStepRows;
struct Passed {
  alignas(64) std::uint32_t rows[kPassedRows + kLanes];
  alignas(64) float numbers[kPassedRows + kLanes];
  std::uint32_t count = 0;
};

// Writes those of sixteen rows that have a bit behind the first `at`; how many there are.
std::uint32_t put(Passed& passed, std::uint32_t at, std::uint32_t first, std::uint32_t bits,
                  __m512 numbers) {
  const auto mask = static_cast<__mmask16>(bits);
  const __m512i lanes =
      _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  _mm512_storeu_si512(passed.rows + at, _mm512_maskz_compress_epi32(mask, lanes));
  _mm512_storeu_ps(passed.numbers + at, _mm512_maskz_compress_ps(mask, numbers));
  return static_cast<std::uint32_t>(__builtin_popcount(bits));
}

// The query's codes of the second stripe.
struct FineCodes {
  __mmask64 used;
  __m512i high;
  __m512i low;
};

FineCodes fine_codes(const SketchRows& rows, const SketchProbe& probe) {
  const __mmask64 used = (__mmask64{1} << rows.fine_codes) - 1;
  return {used, _mm512_maskz_loadu_epi8(used, probe.high + kLanes),
          _mm512_maskz_loadu_epi8(used, probe.low + kLanes)};
}

// Tests the rows that passed from `at` on, at most sixteen, by all axes; survivors to `out`.
std::uint32_t test_fine(const SketchRows& rows, const SketchProbe& probe, const FineCodes& codes,
                        float reach, const Passed& passed, std::uint32_t at, SketchSurvivor* out) {
  const std::uint32_t left = passed.count - at;
  const std::uint32_t used = left < kLanes ? left : kLanes;
  __m512i sums[kLanes];
  alignas(64) float numbers[3][kLanes];
  for (std::uint32_t i = 0; i < kLanes; ++i) {
    const std::uint32_t r = passed.rows[at + (i < used ? i : 0)];
    const std::uint8_t* const record = rows.fine + std::size_t{r} * rows.fine_stride;
    const __m512i row = _mm512_maskz_loadu_epi8(codes.used, record);
    const __m512i zero = _mm512_setzero_si512();
    sums[i] = _mm512_add_epi32(_mm512_slli_epi32(_mm512_dpbusd_epi32(zero, row, codes.high), 7),
                               _mm512_dpbusd_epi32(zero, row, codes.low));
    float three[3];
    __builtin_memcpy(three, record + rows.fine_codes, sizeof(three));
    numbers[0][i] = three[0];
    numbers[1][i] = three[1];
    numbers[2][i] = three[2];
  }
  const __m512i dots = _mm512_sub_epi32(add_up(sums), _mm512_set1_epi32(probe.bias[1]));
  const __m512 total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), _mm512_set1_ps(probe.steps[1]),
                                       _mm512_loadu_ps(passed.numbers + at));
  const __m512 kept =
      kept_of(_mm512_load_ps(numbers[0]), _mm512_load_ps(numbers[1]), probe.all, total);
  const __m512 row_reach = _mm512_load_ps(numbers[2]);
  alignas(64) float bounds[kLanes];
  _mm512_store_ps(bounds, bound_of(kept, row_reach));
  std::uint32_t bits = near(kept, row_reach, reach);
  bits &= (std::uint32_t{1} << used) - 1;
  std::uint32_t found = 0;
  for (; bits != 0; bits &= bits - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(bits));
    out[found++] = {passed.rows[at + lane], bounds[lane]};
  }
  return found;
}

// Rows of the last stripe that are there.
std::uint32_t there(const SketchRows& rows, std::uint32_t first) {
  const std::uint32_t left = rows.count - first;
  return left < kLanes ? (std::uint32_t{1} << left) - 1 : 0xffffu;
}

void measure(const SketchRows& rows, const SketchProbe& probe, float* bounds, float* least) {
  const FirstCodes codes = spread(probe);
  const __m512 all = _mm512_set1_ps(__builtin_inff());
  __m512 least_of = all;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    const __m512 mine = first_dots(rows.first + std::size_t{first} * kLanes, codes);
    const __m512 kept = kept_of(_mm512_loadu_ps(rows.bases + first),
                                _mm512_loadu_ps(rows.lefts + first), probe.first, mine);
    const __m512 bound = bound_of(kept, _mm512_loadu_ps(rows.reaches + first));
    _mm512_storeu_ps(bounds + first, bound);
    const auto mask = static_cast<__mmask16>(there(rows, first));
    least_of = _mm512_mask_min_ps(least_of, mask, least_of, bound);
    if (first % 64 == 48 || first + kLanes >= rows.count) {
      least[first / 64] = _mm512_reduce_min_ps(least_of);
      least_of = all;
    }
  }
}

// The first test of the rows [from, to); those that pass come behind the others. Nothing is read
// again for each step that stays the same: what is written could be anything to the compiler.
void test_first(const SketchRows& given, const SketchProbe& probe, const FirstCodes& given_codes,
                float reach, std::uint32_t from, std::uint32_t to, Passed& passed) {
  const SketchRows rows = given;
  const FirstCodes codes = given_codes;
  const SketchLimit limit = probe.first;
  std::uint32_t count = passed.count;
  for (std::uint32_t first = from; first < to; first += kLanes) {
    auto bits = static_cast<std::uint32_t>(rows.eligible[first / 64] >> (first % 64));
    bits &= there(rows, first);
    if (bits == 0) continue;
    const __m512 dots = first_dots(rows.first + std::size_t{first} * kLanes, codes);
    const __m512 row_reach = _mm512_loadu_ps(rows.reaches + first);
    const __m512 kept = kept_of(_mm512_loadu_ps(rows.bases + first),
                                _mm512_loadu_ps(rows.lefts + first), limit, dots);
    bits &= near(kept, row_reach, reach);
    // Without a branch: among sixteen rows there is one that passes about every other time.
    const __m512 numbers = rows.fine_codes != 0 ? dots : bound_of(kept, row_reach);
    count += put(passed, count, first, bits, numbers);
  }
  passed.count = count;
}

// Forgets the first `gone` rows.
void forget(Passed& passed, std::uint32_t gone) {
  for (std::uint32_t i = gone; i < passed.count; i += kLanes) {
    _mm512_storeu_si512(passed.rows + i - gone, _mm512_loadu_si512(passed.rows + i));
    _mm512_storeu_ps(passed.numbers + i - gone, _mm512_loadu_ps(passed.numbers + i));
  }
  passed.count -= gone;
}

SketchCount sift(const SketchRows& rows, const SketchProbe& probe, SketchReach reach,
                 SketchSurvivor* out) {
  SketchCount count;
  const FirstCodes first = spread(probe);
  const FineCodes fine = fine_codes(rows, probe);
  Passed passed;
  std::uint32_t at = 0;  // those before are done
  for (std::uint32_t from = 0; from < rows.count; from += kStepRows) {
    if (passed.count > kPassedRows - kStepRows) {
      forget(passed, at);
      at = 0;
    }
    const std::uint32_t left = rows.count - from;
    const std::uint32_t to = from + (left < kStepRows ? left : kStepRows);
    const std::uint32_t asked = passed.count;
    test_first(rows, probe, first, reach.first, from, to, passed);
    count.first += passed.count - asked;
    if (rows.fine_codes == 0) {
      for (; at < passed.count; ++at) out[count.all++] = {passed.rows[at], passed.numbers[at]};
      continue;
    }
    for (std::uint32_t i = asked; i < passed.count; ++i) {
      _mm_prefetch(
          reinterpret_cast<const char*>(rows.fine + std::size_t{passed.rows[i]} * rows.fine_stride),
          _MM_HINT_T1);
    }
    const std::uint32_t until = to == rows.count ? passed.count : asked & ~(kLanes - 1);
    for (; at < until; at += kLanes) {
      count.all += test_fine(rows, probe, fine, reach.all, passed, at, out + count.all);
    }
  }
  return count;
}

bool supported() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

constinit const SketchKernels kVnniSketchKernels = {
    .name = "avx512_vnni",
    .supported = supported,
    .measure = measure,
    .sift = sift,
};

}  // namespace vecserve::engine
