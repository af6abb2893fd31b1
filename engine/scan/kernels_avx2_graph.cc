// Graph kernels for AVX2. Called by engine/graph for the neighbours of one node, where the machine
// has nothing wider. Any thread; pure. Codes become sixteen bits wide before they are multiplied,
// since the eight-bit product of AVX2 saturates.
// Always holds: nothing here is seen outside but the table, so that no linker takes this code for
// another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/graph_tables.h"

namespace vecserve::engine {

namespace {

bool supported() {
  return __builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0;
}

std::int32_t add_up(__m256i sums) {
  const __m128i four =
      _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

void score(const GraphProbe& probe, const std::uint8_t* const* records, std::uint32_t count,
           float* scores) {
  const std::size_t bytes = std::size_t{probe.lines} * kGraphLineBytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t* const record = records[i];
    __m256i sums = _mm256_setzero_si256();
    for (std::size_t at = 0; at < bytes; at += 16) {
      const __m256i row =
          _mm256_cvtepu8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(record + at)));
      const __m256i query =
          _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i*>(probe.codes + at)));
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(row, query));
    }
    float tail[3];
    __builtin_memcpy(tail, record + bytes - kGraphTailBytes, sizeof(tail));
    const auto dot = static_cast<float>(add_up(sums) - probe.bias);
    scores[i] = tail[0] - probe.twice_scale * tail[1] * dot - probe.twice_left * tail[2];
  }
}

float add_up(__m256 sums) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(sums), _mm256_extractf128_ps(sums, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

void products(const float* axes, std::uint32_t count, const float* y, std::uint32_t length,
              float* out) {
  constexpr std::uint32_t kRows = 4;
  for (std::uint32_t a = 0; a < count; a += kRows) {
    const float* const four = axes + std::size_t{a} * length;
    __m256 sums[kRows] = {_mm256_setzero_ps(), _mm256_setzero_ps(), _mm256_setzero_ps(),
                          _mm256_setzero_ps()};
    for (std::size_t i = 0; i < length; i += 8) {
      const __m256 of_y = _mm256_load_ps(y + i);
      for (std::uint32_t row = 0; row < kRows; ++row) {
        const __m256 axis = _mm256_load_ps(four + std::size_t{row} * length + i);
        sums[row] = _mm256_fmadd_ps(axis, of_y, sums[row]);
      }
    }
    for (std::uint32_t row = 0; row < kRows; ++row) out[a + row] = add_up(sums[row]);
  }
}

}  // namespace

const GraphKernels kAvx2GraphKernels = {"avx2", supported, score, products};

}  // namespace vecserve::engine
