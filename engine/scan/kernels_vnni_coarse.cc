// Coarse kernels for AVX-512 with VNNI. Called by the cascade for rows of a block, where the
// machine has them. Any thread; pure. One query: codes of a row and of the query side by side, the
// sums of sixteen rows brought into one register. Batches: sixteen queries to a register, four
// codes of a row times all of them in one instruction. Always holds: nothing here is seen outside
// but the table, so that no linker takes this code for another machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "engine/scan/coarse_tables.h"
#include "engine/scan/kernels_vnni_bounds.h"
#include "engine/scan/kernels_vnni_few.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 16;
constexpr std::uint32_t kTileRows = 12;  // times two panels: 24 sums, 2 of queries, 1 of a row
constexpr std::uint32_t kPrefetchBytes = 2'048;
constexpr std::uint32_t kAheadRows = 48;  // that are asked for, where they lie here and there

__m512i load(const void* at) {
  return _mm512_loadu_si512(at);
}

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

// ---- one query
// -----------------------------------------------------------------------------------

// Sixteen rows' numbers, each in its lane.
struct RowLanes {
  __m512 scale;
  __m512 square;  // l2
  __m512 residual;
  __m512 norm;  // dot, cosine
};

template <bool l2>
RowLanes rows_from(const CoarseRows& rows, std::uint32_t first) {
  RowLanes lanes;
  lanes.scale = _mm512_loadu_ps(rows.scales + first);
  lanes.residual = _mm512_loadu_ps(rows.residuals + first);
  lanes.square = l2 ? _mm512_loadu_ps(rows.squares + first) : _mm512_setzero_ps();
  lanes.norm = l2 ? _mm512_setzero_ps() : _mm512_loadu_ps(rows.norms + first);
  return lanes;
}

template <bool l2>
RowLanes rows_at(const CoarseRows& rows, __m512i index) {
  RowLanes lanes;
  lanes.scale = _mm512_i32gather_ps(index, rows.scales, 4);
  lanes.residual = _mm512_i32gather_ps(index, rows.residuals, 4);
  lanes.square = l2 ? _mm512_i32gather_ps(index, rows.squares, 4) : _mm512_setzero_ps();
  lanes.norm = l2 ? _mm512_setzero_ps() : _mm512_i32gather_ps(index, rows.norms, 4);
  return lanes;
}

// Which of sixteen rows survive, given their sums of products with the bias still in them.
template <bool l2>
__mmask16 survivors(const RowLanes& rows, const CoarseLimit& limit, __m512i sums, __m512& score) {
  const __m512i dots = _mm512_sub_epi32(sums, _mm512_set1_epi32(limit.bias));
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(dots), rows.scale);
  const __m512 scale = _mm512_set1_ps(limit.scale);
  if constexpr (l2) {
    const __m512 squares = _mm512_add_ps(rows.square, _mm512_set1_ps(limit.square));
    const __m512 kept =
        _mm512_fmsub_ps(squares, _mm512_set1_ps(1.0f - kScoreError), _mm512_set1_ps(kScoreFloor));
    const __m512 reach = _mm512_add_ps(_mm512_set1_ps(limit.reach), rows.residual);
    score = _mm512_fnmadd_ps(scaled, scale, squares);
    return _mm512_cmp_ps_mask(_mm512_fnmadd_ps(scaled, scale, kept), _mm512_mul_ps(reach, reach),
                              _CMP_NGT_UQ);
  } else {
    const float left = limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
    const __m512 reach =
        _mm512_fmadd_ps(_mm512_set1_ps(left), rows.norm, _mm512_set1_ps(limit.reach + kScoreFloor));
    score = _mm512_sub_ps(_mm512_setzero_ps(), _mm512_mul_ps(scaled, scale));
    return _mm512_cmp_ps_mask(
        score, _mm512_fmadd_ps(_mm512_set1_ps(limit.coarse_norm), rows.residual, reach),
        _CMP_NGT_UQ);
  }
}

// Rows and scores of the lanes in `mask` to `out`; how many.
std::uint32_t put(__mmask16 mask, __m512i index, __m512 score, Survivor* out) {
  const __m512i rows = _mm512_maskz_compress_epi32(mask, index);
  const __m512i scores = _mm512_castps_si512(_mm512_maskz_compress_ps(mask, score));
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second =
      _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  const auto count = static_cast<std::uint32_t>(__builtin_popcount(mask));
  const std::uint32_t words = (std::uint32_t{1} << count << count) - 1;  // two to a survivor
  _mm512_mask_storeu_epi32(out, static_cast<__mmask16>(count == 16 ? 0xffff : words),
                           _mm512_permutex2var_epi32(rows, first, scores));
  if (count > 8) {
    _mm512_mask_storeu_epi32(out + 8, static_cast<__mmask16>(count == 16 ? 0xffff : words >> 16),
                             _mm512_permutex2var_epi32(rows, second, scores));
  }
  return count;
}

// The sum of products of one row, in sixteen parts. `in_order`: the rows lie one after another.
template <bool in_order>
__m512i dot_of(const std::uint8_t* row, const std::int8_t* codes, std::size_t stride) {
  __m512i sum = _mm512_setzero_si512();
  for (std::size_t i = 0; i < stride; i += 64) {
    if constexpr (in_order) {
      _mm_prefetch(reinterpret_cast<const char*>(row + i + kPrefetchBytes), _MM_HINT_T1);
    }
    sum = _mm512_dpbusd_epi32(sum, load(row + i), load(codes + i));
  }
  return sum;
}

// A row that will be read soon, and that no hardware would guess. The rest of a long one follows.
void ask_for(const std::uint8_t* row, std::size_t stride) {
  const std::size_t bytes = stride < kPrefetchBytes ? stride : kPrefetchBytes;
  for (std::size_t i = 0; i < bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(row + i), _MM_HINT_T1);
  }
}

// Rows of sixteen that are not all eligible, gathered until there are many.
constexpr std::uint32_t kPendingMax = 512;
struct Pending {
  alignas(64) std::uint32_t rows[kPendingMax + kLanes];
  std::uint32_t count;
};

// The eligible ones among sixteen rows, without a branch: how many there are is anybody's guess.
void add(Pending& pending, std::uint32_t first, std::uint32_t bits) {
  const __m512i rows =
      _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  _mm512_storeu_si512(pending.rows + pending.count,
                      _mm512_maskz_compress_epi32(static_cast<__mmask16>(bits), rows));
  pending.count += static_cast<std::uint32_t>(__builtin_popcount(bits));
}

template <bool l2>
std::uint32_t scan_gathered(const CoarseRows& rows, const std::int8_t* codes,
                            const CoarseLimit& limit, const std::uint32_t* index,
                            std::uint32_t count, Survivor* out) {
  const auto there = static_cast<__mmask16>((std::uint32_t{1} << count) - 1);
  const __m512i picked =
      _mm512_mask_loadu_epi32(_mm512_set1_epi32(static_cast<int>(index[0])), there, index);
  __m512i sums[kLanes];
  for (std::uint32_t r = 0; r < kLanes; ++r) {
    sums[r] = r < count ? dot_of<false>(rows.codes + index[r] * rows.stride, codes, rows.stride)
                        : _mm512_setzero_si512();
  }
  __m512 score;
  const __mmask16 mask = survivors<l2>(rows_at<l2>(rows, picked), limit, add_up(sums), score);
  const auto kept = static_cast<__mmask16>(mask & there);
  return kept == 0 ? 0 : put(kept, picked, score, out);
}

// Sixteen at a time while the next ones come from memory. `all`: the last, too, who may be fewer.
template <bool l2>
std::uint32_t scan_pending(const CoarseRows& rows, const std::int8_t* codes,
                           const CoarseLimit& limit, Pending& pending, bool all, Survivor* out) {
  std::uint32_t found = 0;
  std::uint32_t asked = 0;
  std::uint32_t at = 0;
  while (at + (all ? 1 : kLanes) <= pending.count) {
    const std::uint32_t ahead = at + kAheadRows;
    for (; asked < (ahead < pending.count ? ahead : pending.count); ++asked) {
      ask_for(rows.codes + pending.rows[asked] * rows.stride, rows.stride);
    }
    const std::uint32_t left = pending.count - at;
    const std::uint32_t count = left < kLanes ? left : kLanes;
    found += scan_gathered<l2>(rows, codes, limit, pending.rows + at, count, out + found);
    at += count;
  }
  pending.count -= at;
  for (std::uint32_t i = 0; i < pending.count; ++i) pending.rows[i] = pending.rows[at + i];
  return found;
}

template <bool l2>
std::uint32_t scan_whole(const CoarseRows& rows, const std::int8_t* codes, const CoarseLimit& limit,
                         std::uint32_t first, Survivor* out) {
  __m512i sums[kLanes];
  for (std::uint32_t r = 0; r < kLanes; ++r) {
    sums[r] = dot_of<true>(rows.codes + (first + r) * rows.stride, codes, rows.stride);
  }
  __m512 score;
  const __mmask16 mask = survivors<l2>(rows_from<l2>(rows, first), limit, add_up(sums), score);
  if (mask == 0) return 0;
  const __m512i lanes =
      _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(first)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  return put(mask, lanes, score, out);
}

// The eligible rows among the sixteen from `first`.
std::uint32_t eligible_bits(const CoarseRows& rows, std::uint32_t first) {
  std::uint32_t bits = 0xffff;
  if (rows.eligible != nullptr) {
    bits &= static_cast<std::uint32_t>(rows.eligible[first / 64] >> (first % 64));
  }
  const std::uint32_t left = rows.count - first;
  return left < kLanes ? bits & ((std::uint32_t{1} << left) - 1) : bits;
}

// At the beginning of 64 rows of which none is eligible: goes to the last sixteen of them.
bool skip_word(const CoarseRows& rows, std::uint32_t& first) {
  if (rows.eligible == nullptr || first % 64 != 0 || rows.eligible[first / 64] != 0) return false;
  first += 64 - kLanes;
  return true;
}

template <bool l2>
std::uint32_t one(const CoarseRows& rows, const std::int8_t* codes, const CoarseLimit& limit,
                  Survivor* out) {
  Pending pending;
  pending.count = 0;
  std::uint32_t found = 0;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    if (skip_word(rows, first)) continue;
    const std::uint32_t bits = eligible_bits(rows, first);
    if (bits == 0xffff) {
      found += scan_whole<l2>(rows, codes, limit, first, out + found);
      continue;
    }
    add(pending, first, bits);
    if (pending.count < kPendingMax) continue;
    found += scan_pending<l2>(rows, codes, limit, pending, false, out + found);
  }
  return found + scan_pending<l2>(rows, codes, limit, pending, true, out + found);
}

// ---- batches
// -------------------------------------------------------------------------------------

// The limits of all queries of a call, a register for each panel of sixteen.
struct QueryLanes {
  __m512i bias[4];  // negated
  __m512 scale[4];  // dot, cosine: negated
  __m512 square[4];
  __m512 kept[4];   // l2: the square less its share of the error; else limit and floor
  __m512 reach[4];  // l2: reach; else what multiplies the norms
  __m512 coarse_norm[4];
  __mmask16 used[4];
};

template <bool l2>
void spread(const CoarseBatch& queries, QueryLanes& lanes) {
  for (std::uint32_t panel = 0; panel * kLanes < queries.query_count; ++panel) {
    alignas(64) std::int32_t bias[kLanes] = {};
    alignas(64) float numbers[5][kLanes] = {};
    const std::uint32_t left = queries.query_count - panel * kLanes;
    const std::uint32_t used = left < kLanes ? left : kLanes;
    for (std::uint32_t lane = 0; lane < used; ++lane) {
      const CoarseLimit& limit = queries.limits[panel * kLanes + lane];
      bias[lane] = -limit.bias;
      numbers[0][lane] = l2 ? limit.scale : -limit.scale;
      numbers[1][lane] = limit.square;
      numbers[2][lane] =
          l2 ? limit.square * (1.0f - kScoreError) - kScoreFloor : limit.reach + kScoreFloor;
      numbers[3][lane] =
          l2 ? limit.reach : limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
      numbers[4][lane] = limit.coarse_norm;
    }
    lanes.bias[panel] = load(bias);
    lanes.scale[panel] = _mm512_load_ps(numbers[0]);
    lanes.square[panel] = _mm512_load_ps(numbers[1]);
    lanes.kept[panel] = _mm512_load_ps(numbers[2]);
    lanes.reach[panel] = _mm512_load_ps(numbers[3]);
    lanes.coarse_norm[panel] = _mm512_load_ps(numbers[4]);
    lanes.used[panel] = static_cast<__mmask16>((std::uint32_t{1} << used) - 1);
  }
}

// Rows of one tile; past the last one it is repeated.
struct Tile {
  const std::uint8_t* at[kTileRows];
  std::uint32_t index[kTileRows];
  std::uint32_t count;
};

// Survivors of a tile, of all its queries mixed: each row adds its own without a branch on which
// and how many they are, and they go to their queries' lists in a loop of one step each.
struct Mixed {
  static constexpr std::uint32_t kMost = 2 * kTileRows * kLanes;  // of two panels
  std::uint32_t queries[kMost + kLanes];
  std::uint32_t rows[kMost + kLanes];
  float scores[kMost + kLanes];
  std::uint32_t count;
};

void add(Mixed& mixed, std::uint32_t row, std::uint32_t panel, __mmask16 mask, __m512 score) {
  const __m512i queries =
      _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(panel * kLanes)),
                       _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
  _mm512_storeu_si512(mixed.queries + mixed.count, _mm512_maskz_compress_epi32(mask, queries));
  _mm512_storeu_si512(mixed.rows + mixed.count, _mm512_set1_epi32(static_cast<int>(row)));
  _mm512_storeu_ps(mixed.scores + mixed.count, _mm512_maskz_compress_ps(mask, score));
  mixed.count += static_cast<std::uint32_t>(__builtin_popcount(mask));
}

void hand_out(const Mixed& mixed, const CoarseBatch& queries) {
  for (std::uint32_t i = 0; i < mixed.count; ++i) {
    const std::uint32_t q = mixed.queries[i];
    queries.out[q * queries.out_stride + queries.counts[q]++] = {mixed.rows[i], mixed.scores[i]};
  }
}

// Tests the sums of one row and one panel, and adds those that survive.
template <bool l2>
void test_row(const CoarseRows& rows, std::uint32_t r, const QueryLanes& lanes, std::uint32_t panel,
              __m512 dots, Mixed& mixed) {
  const __m512 scaled = _mm512_mul_ps(dots, _mm512_set1_ps(rows.scales[r]));
  const __m512 residual = _mm512_set1_ps(rows.residuals[r]);
  __mmask16 mask;
  if constexpr (l2) {
    const __m512 kept = _mm512_fmadd_ps(_mm512_set1_ps(rows.squares[r]),
                                        _mm512_set1_ps(1.0f - kScoreError), lanes.kept[panel]);
    const __m512 reach = _mm512_add_ps(lanes.reach[panel], residual);
    mask = _mm512_cmp_ps_mask(_mm512_fnmadd_ps(scaled, lanes.scale[panel], kept),
                              _mm512_mul_ps(reach, reach), _CMP_NGT_UQ);
  } else {
    const __m512 reach =
        _mm512_fmadd_ps(lanes.reach[panel], _mm512_set1_ps(rows.norms[r]), lanes.kept[panel]);
    mask =
        _mm512_cmp_ps_mask(_mm512_mul_ps(scaled, lanes.scale[panel]),
                           _mm512_fmadd_ps(lanes.coarse_norm[panel], residual, reach), _CMP_NGT_UQ);
  }
  mask = static_cast<__mmask16>(mask & lanes.used[panel]);
  if (mask == 0) [[likely]]
    return;
  const __m512 score =
      l2 ? _mm512_fnmadd_ps(scaled, lanes.scale[panel],
                            _mm512_add_ps(lanes.square[panel], _mm512_set1_ps(rows.squares[r])))
         : _mm512_mul_ps(scaled, lanes.scale[panel]);
  add(mixed, r, panel, mask, score);
}

// Dot products of the rows of a tile with `panels` panels, to out[row * panels + panel]. Loops of
// constant length only, and none that copies: or else the compiler keeps the sums in memory.
template <std::uint32_t panels>
void sum_tile(const Tile& tile, const std::int8_t* packed, std::size_t panel_bytes,
              std::size_t length, const __m512i* bias, __m512* out) {
  const std::uint8_t* const ahead = tile.at[kTileRows - 1] + panel_bytes / kLanes;
  __m512i sums[kTileRows][panels];
#pragma GCC unroll 16
  for (std::uint32_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (std::uint32_t p = 0; p < panels; ++p) sums[r][p] = bias[p];
  }
  for (std::size_t i = 0; i < length; i += 4) {
    // The rows after these, as far as they lie next to each other.
    _mm_prefetch(reinterpret_cast<const char*>(ahead + i * kTileRows), _MM_HINT_T0);
    __m512i query[panels];

#pragma GCC unroll 16
    for (std::uint32_t p = 0; p < panels; ++p) {
      query[p] = load(packed + p * panel_bytes + i * kLanes);
    }
#pragma GCC unroll 16
    for (std::uint32_t r = 0; r < kTileRows; ++r) {
      std::int32_t four;
      __builtin_memcpy(&four, tile.at[r] + i, sizeof(four));
      const __m512i row = _mm512_set1_epi32(four);

#pragma GCC unroll 16
      for (std::uint32_t p = 0; p < panels; ++p) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sums[r][p]) : "v"(row), "v"(query[p]));
      }
    }
  }
#pragma GCC unroll 16
  for (std::uint32_t r = 0; r < kTileRows; ++r) {
#pragma GCC unroll 16
    for (std::uint32_t p = 0; p < panels; ++p) {
      out[r * panels + p] = _mm512_cvtepi32_ps(sums[r][p]);
    }
  }
}

// The rows of a tile with `panels` panels from `panel`.
template <bool l2, std::uint32_t panels>
void scan_tile(const CoarseRows& rows, const Tile& tile, std::size_t length,
               const QueryLanes& lanes, std::uint32_t panel, const CoarseBatch& queries) {
  const std::size_t panel_bytes = rows.stride * kLanes;
  __m512 dots[kTileRows * panels];
  sum_tile<panels>(tile, queries.packed + panel * panel_bytes, panel_bytes, length,
                   &lanes.bias[panel], dots);
  Mixed mixed;
  mixed.count = 0;
  for (std::uint32_t r = 0; r < tile.count; ++r) {
    for (std::uint32_t p = 0; p < panels; ++p) {
      test_row<l2>(rows, tile.index[r], lanes, panel + p, dots[r * panels + p], mixed);
    }
  }
  hand_out(mixed, queries);
}

template <bool l2>
void scan_queries(const CoarseRows& rows, Tile& tile, const QueryLanes& lanes,
                  const CoarseBatch& queries) {
  for (std::uint32_t r = tile.count; r < kTileRows; ++r) tile.at[r] = tile.at[0];
  const std::size_t length = rows.dim == 0 ? rows.stride : (std::size_t{rows.dim} + 3) / 4 * 4;
  const std::uint32_t panels = (queries.query_count + kLanes - 1) / kLanes;
  std::uint32_t panel = 0;
  for (; panel + 2 <= panels; panel += 2) {
    scan_tile<l2, 2>(rows, tile, length, lanes, panel, queries);
  }
  if (panel < panels) scan_tile<l2, 1>(rows, tile, length, lanes, panel, queries);
}

// A panel costs the same with one query as with sixteen; side by side each query costs its share
// and, whatever the length of a row, the adding up of its lanes. Measured: even at 6 queries for
// 128 dimensions, 9 for 256, 12 for 512 and 15 for 784.
bool few_enough(std::uint32_t queries, std::size_t stride) {
  return queries < kVnniFewQueries && queries <= 4 + stride / 64;
}

template <bool l2>
void batch(const CoarseRows& rows, const CoarseBatch& queries) {
  if (queries.codes != nullptr && few_enough(queries.query_count, rows.stride)) {
    return l2 ? vnni_few_l2(rows, queries) : vnni_few_dot(rows, queries);
  }
  QueryLanes lanes;
  spread<l2>(queries, lanes);
  for (std::uint32_t q = 0; q < queries.query_count; ++q) queries.counts[q] = 0;
  Tile tile;
  tile.count = 0;
  for (std::uint32_t first = 0; first < rows.count; first += kLanes) {
    if (skip_word(rows, first)) continue;
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
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

constinit const CoarseKernels kVnniCoarseKernels = {
    .name = "avx512_vnni",
    .supported = supported,
    .one_l2 = one<true>,
    .one_dot = one<false>,
    .batch_l2 = batch<true>,
    .batch_dot = batch<false>,
    .bounds_l2 = vnni_bounds_l2,
    .bounds_dot = vnni_bounds_dot,
    .bounds_cosine = vnni_bounds_cosine,
};

}  // namespace vecserve::engine
