// Graph kernels for AVX-512 with VNNI. Called by engine/graph for the neighbours of one node, where
// the machine has them. Any thread; pure. Four records at a time, so that their sums are added up
// across the registers together.
// Always holds: nothing here is seen outside but the table, so that no linker takes this code for
// another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/graph_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kRows = 4;

bool supported() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512vnni") != 0 &&
         __builtin_cpu_supports("avx512bw") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0;
}

// The sum over each of four registers, in the order of the registers.
__m128i add_up(const __m512i (&sums)[kRows]) {
  __m256i halves[kRows];
  for (std::uint32_t i = 0; i < kRows; ++i) {
    halves[i] =
        _mm256_add_epi32(_mm512_castsi512_si256(sums[i]), _mm512_extracti64x4_epi64(sums[i], 1));
  }
  const __m256i pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(halves[0], halves[1]),
                                          _mm256_hadd_epi32(halves[2], halves[3]));
  return _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
}

__m128 score_four(const GraphProbe& probe, const std::uint8_t* const (&rows)[kRows]) {
  __m512i sums[kRows] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                         _mm512_setzero_si512()};
  for (std::uint32_t line = 0; line < probe.lines; ++line) {
    const std::size_t at = std::size_t{line} * kGraphLineBytes;
    const __m512i query = _mm512_load_si512(probe.codes + at);
    for (std::uint32_t i = 0; i < kRows; ++i) {
      sums[i] = _mm512_dpbusd_epi32(sums[i], _mm512_load_si512(rows[i] + at), query);
    }
  }
  const std::size_t tail = std::size_t{probe.lines} * kGraphLineBytes - 16;
  __m128 numbers[kRows];
  for (std::uint32_t i = 0; i < kRows; ++i) {
    numbers[i] = _mm_load_ps(reinterpret_cast<const float*>(rows[i] + tail));
  }
  // The first column is codes; then squares, scales, lefts.
  _MM_TRANSPOSE4_PS(numbers[0], numbers[1], numbers[2], numbers[3]);
  const __m128i dots = _mm_sub_epi32(add_up(sums), _mm_set1_epi32(probe.bias));
  const __m128 scales = _mm_mul_ps(numbers[2], _mm_set1_ps(probe.twice_scale));
  const __m128 near = _mm_fnmadd_ps(scales, _mm_cvtepi32_ps(dots), numbers[1]);
  return _mm_fnmadd_ps(_mm_set1_ps(probe.twice_left), numbers[3], near);
}

void score(const GraphProbe& probe, const std::uint8_t* const* records, std::uint32_t count,
           float* scores) {
  std::uint32_t i = 0;
  for (; i + kRows <= count; i += kRows) {
    const std::uint8_t* const rows[kRows] = {records[i], records[i + 1], records[i + 2],
                                             records[i + 3]};
    _mm_storeu_ps(scores + i, score_four(probe, rows));
  }
  if (i == count) return;
  const std::uint32_t left = count - i;
  const std::uint8_t* const rows[kRows] = {records[i], records[left > 1 ? i + 1 : i],
                                           records[left > 2 ? i + 2 : i], records[i]};
  _mm_mask_storeu_ps(scores + i, static_cast<__mmask8>((1U << left) - 1U), score_four(probe, rows));
}

}  // namespace

const GraphKernels kVnniGraphKernels = {"vnni", supported, score};

}  // namespace vecserve::engine
