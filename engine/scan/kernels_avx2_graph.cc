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

}  // namespace

const GraphKernels kAvx2GraphKernels = {"avx2", supported, score};

}  // namespace vecserve::engine
