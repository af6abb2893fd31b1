// Coarse kernels for AVX2. Called by the cascade for rows of a block, where the machine has nothing
// wider. Any thread; pure. Codes are widened to 16 bits and multiplied in pairs: two products of
// bytes fit the 32 bits of their sum, whereas the instruction for bytes would cut it off at 16.
// Always holds: nothing here is seen outside but the table, so that no linker takes this code for
// another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/coarse_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 8;
constexpr std::uint32_t kPanel = 16;    // queries of a panel, handled in two halves
constexpr std::uint32_t kTileRows = 5;  // times two: 10 sums, and what they are made from
constexpr std::uint32_t kPrefetchBytes = 2'048;

__m256i widen_row(const std::uint8_t* at) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

__m256i widen_query(const std::int8_t* at) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

// The eligible rows among the eight from `first`.
std::uint32_t eligible_bits(const CoarseRows& rows, std::uint32_t first) {
  std::uint32_t bits = 0xff;
  if (rows.eligible != nullptr) {
    bits &= static_cast<std::uint32_t>(rows.eligible[first / 64] >> (first % 64));
  }
  const std::uint32_t left = rows.count - first;
  return left < kLanes ? bits & ((std::uint32_t{1} << left) - 1) : bits;
}

// ---- one query
// -----------------------------------------------------------------------------------

// Rows that are tested together.
struct Picked {
  std::uint32_t index[kLanes];
  std::uint32_t count;
};

__m256 pick(const float* numbers, const Picked& picked) {
  alignas(32) float lanes[kLanes];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) lanes[lane] = numbers[picked.index[lane]];
  return _mm256_load_ps(lanes);
}

// Adds up each of eight registers; the sum of sums[i] is in lane i.
__m256i add_up(const __m256i (&sums)[kLanes]) {
  const __m256i low =
      _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));
  const __m256i high =
      _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                          _mm256_permute2x128_si256(low, high, 0x31));
}

__m256i dots_of(const CoarseRows& rows, const Picked& picked, const std::int8_t* codes) {
  __m256i sums[kLanes];
  for (std::uint32_t r = 0; r < kLanes; ++r) sums[r] = _mm256_setzero_si256();
  for (std::uint32_t r = 0; r < picked.count; ++r) {
    const std::uint8_t* const row = rows.codes + picked.index[r] * rows.stride;
    __m256i even = _mm256_setzero_si256();
    __m256i odd = _mm256_setzero_si256();
    for (std::size_t i = 0; i < rows.stride; i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(row + i + kPrefetchBytes), _MM_HINT_T1);
      for (std::size_t j = i; j < i + 64; j += 32) {
        even =
            _mm256_add_epi32(even, _mm256_madd_epi16(widen_row(row + j), widen_query(codes + j)));
        odd = _mm256_add_epi32(
            odd, _mm256_madd_epi16(widen_row(row + j + 16), widen_query(codes + j + 16)));
      }
    }
    sums[r] = _mm256_add_epi32(even, odd);
  }
  return add_up(sums);
}

// Tests the picked rows; those past the count repeat the first, for nothing.
template <bool l2>
std::uint32_t scan(const CoarseRows& rows, const std::int8_t* codes, const CoarseLimit& limit,
                   Picked& picked, Survivor* out) {
  for (std::uint32_t r = picked.count; r < kLanes; ++r) picked.index[r] = picked.index[0];
  const __m256i dots =
      _mm256_sub_epi32(dots_of(rows, picked, codes), _mm256_set1_epi32(limit.bias));
  const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(dots), pick(rows.scales, picked));
  const __m256 scale = _mm256_set1_ps(limit.scale);
  const __m256 residual = pick(rows.residuals, picked);
  __m256 score;
  __m256 kept;
  if constexpr (l2) {
    const __m256 squares = _mm256_add_ps(pick(rows.squares, picked), _mm256_set1_ps(limit.square));
    const __m256 low =
        _mm256_fmsub_ps(squares, _mm256_set1_ps(1.0f - kScoreError), _mm256_set1_ps(kScoreFloor));
    const __m256 reach = _mm256_add_ps(_mm256_set1_ps(limit.reach), residual);
    score = _mm256_fnmadd_ps(scaled, scale, squares);
    kept = _mm256_cmp_ps(_mm256_fnmadd_ps(scaled, scale, low), _mm256_mul_ps(reach, reach),
                         _CMP_NGT_UQ);
  } else {
    const float left = limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
    const __m256 reach = _mm256_fmadd_ps(_mm256_set1_ps(left), pick(rows.norms, picked),
                                         _mm256_set1_ps(limit.reach + kScoreFloor));
    score = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_mul_ps(scaled, scale));
    kept = _mm256_cmp_ps(score, _mm256_fmadd_ps(_mm256_set1_ps(limit.coarse_norm), residual, reach),
                         _CMP_NGT_UQ);
  }
  const auto mask = static_cast<std::uint32_t>(_mm256_movemask_ps(kept)) &
                    ((std::uint32_t{1} << picked.count) - 1);
  if (mask == 0) return 0;
  alignas(32) float scores[kLanes];
  _mm256_store_ps(scores, score);
  std::uint32_t found = 0;
  for (std::uint32_t bits = mask; bits != 0; bits &= bits - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(bits));
    out[found++] = {picked.index[lane], scores[lane]};
  }
  return found;
}

template <bool l2>
std::uint32_t one(const CoarseRows& rows, const std::int8_t* codes, const CoarseLimit& limit,
                  Survivor* out) {
  Picked picked;
  picked.count = 0;
  std::uint32_t found = 0;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    for (std::uint32_t left = eligible_bits(rows, first); left != 0; left &= left - 1) {
      picked.index[picked.count++] = first + static_cast<std::uint32_t>(__builtin_ctz(left));
      if (picked.count < kLanes) continue;
      found += scan<l2>(rows, codes, limit, picked, out + found);
      picked.count = 0;
    }
  }
  return picked.count == 0 ? found : found + scan<l2>(rows, codes, limit, picked, out + found);
}

// ---- batches
// -------------------------------------------------------------------------------------

// The limits of all queries of a call, a register for each eight.
struct QueryLanes {
  __m256i bias[8];
  __m256 scale[8];  // dot, cosine: negated
  __m256 square[8];
  __m256 kept[8];   // l2: the square less its share of the error; else limit and floor
  __m256 reach[8];  // l2: reach; else what multiplies the norms
  __m256 coarse_norm[8];
  std::uint32_t used[8];
};

template <bool l2>
void spread(const CoarseBatch& queries, QueryLanes& lanes) {
  for (std::uint32_t half = 0; half * kLanes < (queries.query_count + 15) / 16 * 16; ++half) {
    alignas(32) std::int32_t bias[kLanes] = {};
    alignas(32) float numbers[5][kLanes] = {};
    std::uint32_t used = 0;
    for (; used < kLanes && half * kLanes + used < queries.query_count; ++used) {
      const CoarseLimit& limit = queries.limits[half * kLanes + used];
      bias[used] = limit.bias;
      numbers[0][used] = l2 ? limit.scale : -limit.scale;
      numbers[1][used] = limit.square;
      numbers[2][used] =
          l2 ? limit.square * (1.0f - kScoreError) - kScoreFloor : limit.reach + kScoreFloor;
      numbers[3][used] =
          l2 ? limit.reach : limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
      numbers[4][used] = limit.coarse_norm;
    }
    lanes.bias[half] = _mm256_load_si256(reinterpret_cast<const __m256i*>(bias));
    lanes.scale[half] = _mm256_load_ps(numbers[0]);
    lanes.square[half] = _mm256_load_ps(numbers[1]);
    lanes.kept[half] = _mm256_load_ps(numbers[2]);
    lanes.reach[half] = _mm256_load_ps(numbers[3]);
    lanes.coarse_norm[half] = _mm256_load_ps(numbers[4]);
    lanes.used[half] = (std::uint32_t{1} << used) - 1;
  }
}

// Tests the sums of one row and eight queries, and appends where they survive.
template <bool l2>
void test_row(const CoarseRows& rows, std::uint32_t r, const QueryLanes& lanes, std::uint32_t half,
              __m256i sums, const CoarseBatch& queries) {
  const __m256 dots = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, lanes.bias[half]));
  const __m256 scaled = _mm256_mul_ps(dots, _mm256_set1_ps(rows.scales[r]));
  const __m256 residual = _mm256_set1_ps(rows.residuals[r]);
  __m256 kept;
  if constexpr (l2) {
    const __m256 low = _mm256_fmadd_ps(_mm256_set1_ps(rows.squares[r]),
                                       _mm256_set1_ps(1.0f - kScoreError), lanes.kept[half]);
    const __m256 reach = _mm256_add_ps(lanes.reach[half], residual);
    kept = _mm256_cmp_ps(_mm256_fnmadd_ps(scaled, lanes.scale[half], low),
                         _mm256_mul_ps(reach, reach), _CMP_NGT_UQ);
  } else {
    const __m256 reach =
        _mm256_fmadd_ps(lanes.reach[half], _mm256_set1_ps(rows.norms[r]), lanes.kept[half]);
    kept = _mm256_cmp_ps(_mm256_mul_ps(scaled, lanes.scale[half]),
                         _mm256_fmadd_ps(lanes.coarse_norm[half], residual, reach), _CMP_NGT_UQ);
  }
  const std::uint32_t mask =
      static_cast<std::uint32_t>(_mm256_movemask_ps(kept)) & lanes.used[half];
  if (mask == 0) [[likely]]
    return;
  alignas(32) float scores[kLanes];
  const __m256 score =
      l2 ? _mm256_fnmadd_ps(scaled, lanes.scale[half],
                            _mm256_add_ps(lanes.square[half], _mm256_set1_ps(rows.squares[r])))
         : _mm256_mul_ps(scaled, lanes.scale[half]);
  _mm256_store_ps(scores, score);
  for (std::uint32_t left = mask; left != 0; left &= left - 1) {
    const auto lane = static_cast<std::uint32_t>(__builtin_ctz(left));
    const std::uint32_t q = half * kLanes + lane;
    queries.out[q * queries.out_stride + queries.counts[q]++] = {r, scores[lane]};
  }
}

// Rows of one tile; past the last one the first is repeated.
struct Tile {
  const std::uint8_t* at[kTileRows];
  std::uint32_t index[kTileRows];
  std::uint32_t count;
};

// Pair sums: of four queries in each register, the first two and the last two codes of each four
// apart. hadd brings them together, within the halves of registers; the rest is order.
__m256i add_pairs(__m256i first, __m256i second) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(first, second), 0xd8);
}

// The rows of a tile with the eight queries of a half panel. Loops are unrolled whole, or else the
// compiler keeps the sums in memory.
template <bool l2>
void scan_half(const CoarseRows& rows, const Tile& tile, std::size_t length,
               const QueryLanes& lanes, std::uint32_t half, const CoarseBatch& queries) {
  const std::int8_t* const packed =
      queries.packed + half / 2 * kPanel * rows.stride + std::size_t{half % 2} * 32;
  const std::uint8_t* const ahead = tile.at[kTileRows - 1] + rows.stride;
  // Four codes to 16 bits each, twice in each half of the register.
  const __m256i apart = _mm256_set1_epi64x(static_cast<long long>(0x8003800280018000));
  __m256i sums[kTileRows][2];
#pragma GCC unroll 8
  for (std::uint32_t r = 0; r < kTileRows; ++r) {
    sums[r][0] = _mm256_setzero_si256();
    sums[r][1] = _mm256_setzero_si256();
  }
  for (std::size_t i = 0; i < length; i += 4) {
    // The rows after these, as far as they lie next to each other.
    _mm_prefetch(reinterpret_cast<const char*>(ahead + i * kTileRows), _MM_HINT_T0);
    const __m256i first = widen_query(packed + i * kPanel);
    const __m256i second = widen_query(packed + i * kPanel + 16);
#pragma GCC unroll 8
    for (std::uint32_t r = 0; r < kTileRows; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, tile.at[r] + i, sizeof(four));
      const __m256i row = _mm256_shuffle_epi8(_mm256_set1_epi32(four), apart);
      sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(row, first));
      sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(row, second));
    }
  }
#pragma GCC unroll 8
  for (std::uint32_t r = 0; r < kTileRows; ++r) {
    if (r >= tile.count) return;
    test_row<l2>(rows, tile.index[r], lanes, half, add_pairs(sums[r][0], sums[r][1]), queries);
  }
}

template <bool l2>
void scan_queries(const CoarseRows& rows, Tile& tile, const QueryLanes& lanes,
                  const CoarseBatch& queries) {
  for (std::uint32_t r = tile.count; r < kTileRows; ++r) tile.at[r] = tile.at[0];
  const std::size_t length = rows.dim == 0 ? rows.stride : (std::size_t{rows.dim} + 3) / 4 * 4;
  for (std::uint32_t half = 0; half * kLanes < queries.query_count; ++half) {
    scan_half<l2>(rows, tile, length, lanes, half, queries);
  }
}

template <bool l2>
void batch(const CoarseRows& rows, const CoarseBatch& queries) {
  QueryLanes lanes;
  spread<l2>(queries, lanes);
  for (std::uint32_t q = 0; q < queries.query_count; ++q) queries.counts[q] = 0;
  Tile tile;
  tile.count = 0;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    for (std::uint32_t left = eligible_bits(rows, first); left != 0; left &= left - 1) {
      const std::uint32_t r = first + static_cast<std::uint32_t>(__builtin_ctz(left));
      tile.index[tile.count] = r;
      tile.at[tile.count] = rows.codes + r * rows.stride;
      if (++tile.count < kTileRows) continue;
      scan_queries<l2>(rows, tile, lanes, queries);
      tile.count = 0;
    }
  }
  if (tile.count != 0) scan_queries<l2>(rows, tile, lanes, queries);
}

bool supported() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

}  // namespace

constinit const CoarseKernels kAvx2CoarseKernels = {
    .name = "avx2",
    .supported = supported,
    .one_l2 = one<true>,
    .one_dot = one<false>,
    .batch_l2 = batch<true>,
    .batch_dot = batch<false>,
};

}  // namespace vecserve::engine
