// Coarse kernels for a few queries with AVX-512 VNNI. Called by the batch kernels of
// kernels_vnni_coarse.cc. Any thread; pure. Rows are taken sixteen at a time; queries in groups of
// eight, four, two and one, each group with as many rows as make sixteen sums, which end up in one
// register: lane r * queries + q. So no multiplication is wasted on queries that are not there.
// Always holds: nothing here is seen outside but the two functions.
#include "engine/scan/kernels_vnni_few.h"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLanes = 16;

__m512i load(const void* at) {
  return _mm512_loadu_si512(at);
}

// Sums two registers into one, lanes of both in turn.
__m512i add_pair(__m512i a, __m512i b) {
  return _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
}

// Adds up each of the sixteen registers whose pairs these are; the sum of register i is in lane i.
__m512i add_up(const __m512i* pairs) {
  __m512i fours[4];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < 4; ++i) {
    fours[i] = _mm512_add_epi32(_mm512_unpacklo_epi64(pairs[2 * i], pairs[2 * i + 1]),
                                _mm512_unpackhi_epi64(pairs[2 * i], pairs[2 * i + 1]));
  }
  __m512i eights[2];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < 2; ++i) {
    eights[i] = _mm512_add_epi32(_mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0x88),
                                 _mm512_shuffle_i32x4(fours[2 * i], fours[2 * i + 1], 0xdd));
  }
  return _mm512_add_epi32(_mm512_shuffle_i32x4(eights[0], eights[1], 0x88),
                          _mm512_shuffle_i32x4(eights[0], eights[1], 0xdd));
}

// What the test needs of the queries of one group, repeated over the lanes.
struct QueryLanes {
  __m512i bias;
  __m512 scale;
  __m512 square;
  __m512 kept;   // l2: the square less its share of the error; else limit and floor
  __m512 reach;  // l2: reach; else what multiplies the norms
  __m512 coarse_norm;
};

template <bool l2>
QueryLanes lanes_of(const CoarseLimit* limits, std::uint32_t group) {
  alignas(64) std::int32_t bias[kLanes];
  alignas(64) float numbers[5][kLanes];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    const CoarseLimit& limit = limits[lane % group];
    bias[lane] = limit.bias;
    numbers[0][lane] = l2 ? limit.scale : -limit.scale;
    numbers[1][lane] = limit.square;
    numbers[2][lane] =
        l2 ? limit.square * (1.0f - kScoreError) - kScoreFloor : limit.reach + kScoreFloor;
    numbers[3][lane] =
        l2 ? limit.reach : limit.residual + kScoreError * (limit.coarse_norm + limit.residual);
    numbers[4][lane] = limit.coarse_norm;
  }
  return {load(bias),
          _mm512_load_ps(numbers[0]),
          _mm512_load_ps(numbers[1]),
          _mm512_load_ps(numbers[2]),
          _mm512_load_ps(numbers[3]),
          _mm512_load_ps(numbers[4])};
}

// Sixteen rows, past the last of which it is repeated.
struct Rows {
  const std::uint8_t* at[kLanes];
  std::uint32_t index[kLanes];
  std::uint32_t count;
  __m512 scale;
  __m512 square;  // l2
  __m512 residual;
  __m512 norm;  // dot, cosine
};

__m512 pick(const float* numbers, const std::uint32_t (&index)[kLanes]) {
  return _mm512_i32gather_ps(load(index), numbers, 4);
}

// Sums of products of all lanes: row r of the group's, query q of them in lane r * group + q.
// `ask`: for the rows sixteen further on as well, a line at a time, as reading several rows side by
// side is nothing that the hardware foresees. Past the last row it is in vain.
template <std::uint32_t group, bool ask>
__m512i dots_of(const std::uint8_t* const* at, const std::int8_t* codes, std::size_t stride) {
  constexpr std::uint32_t kRows = kLanes / group;
  __m512i sums[kLanes];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < kLanes; ++i) sums[i] = _mm512_setzero_si512();
  for (std::size_t i = 0; i < stride; i += 64) {
    __m512i row[kRows];
#pragma GCC unroll 16
    for (std::uint32_t r = 0; r < kRows; ++r) {
      row[r] = load(at[r] + i);
      if constexpr (ask) {
        _mm_prefetch(reinterpret_cast<const char*>(at[r] + kLanes * stride + i), _MM_HINT_T1);
      }
    }
#pragma GCC unroll 16
    for (std::uint32_t q = 0; q < group; ++q) {
      const __m512i query = load(codes + q * stride + i);
#pragma GCC unroll 16
      for (std::uint32_t r = 0; r < kRows; ++r) {
        asm("vpdpbusd %2, %1, %0" : "+v"(sums[r * group + q]) : "v"(row[r]), "v"(query));
      }
    }
  }
  // The first step is made here: handed on as they are, the compiler would keep the sums in memory.
  __m512i pairs[8];
#pragma GCC unroll 16
  for (std::uint32_t i = 0; i < 8; ++i) pairs[i] = add_pair(sums[2 * i], sums[2 * i + 1]);
  return add_up(pairs);
}

// Which lanes survive.
template <bool l2>
__mmask16 survivors(const QueryLanes& queries, __m512i sums, __m512 row_scale, __m512 row_square,
                    __m512 residual, __m512 norm, __m512& score) {
  const __m512 dots = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, queries.bias));
  const __m512 scaled = _mm512_mul_ps(dots, row_scale);
  if constexpr (l2) {
    const __m512 kept =
        _mm512_fmadd_ps(row_square, _mm512_set1_ps(1.0f - kScoreError), queries.kept);
    const __m512 reach = _mm512_add_ps(queries.reach, residual);
    score = _mm512_fnmadd_ps(scaled, queries.scale, _mm512_add_ps(queries.square, row_square));
    return _mm512_cmp_ps_mask(_mm512_fnmadd_ps(scaled, queries.scale, kept),
                              _mm512_mul_ps(reach, reach), _CMP_NGT_UQ);
  } else {
    const __m512 reach = _mm512_fmadd_ps(queries.reach, norm, queries.kept);
    score = _mm512_mul_ps(scaled, queries.scale);
    return _mm512_cmp_ps_mask(score, _mm512_fmadd_ps(queries.coarse_norm, residual, reach),
                              _CMP_NGT_UQ);
  }
}

// The group of queries from `first` over all sixteen rows.
template <bool l2, std::uint32_t group, bool ask>
void scan_group(const Rows& rows, std::size_t stride, const QueryLanes& lanes, std::uint32_t first,
                const CoarseBatch& queries) {
  constexpr std::uint32_t kRows = kLanes / group;
  alignas(64) std::int32_t spread[kLanes];
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    spread[lane] = static_cast<std::int32_t>(lane / group);
  }
  for (std::uint32_t part = 0; part < rows.count; part += kRows) {
    const __m512i sums =
        dots_of<group, ask>(rows.at + part, queries.codes + first * stride, stride);
    const __m512i row =
        _mm512_add_epi32(load(spread), _mm512_set1_epi32(static_cast<std::int32_t>(part)));
    __m512 score;
    const __mmask16 mask = survivors<l2>(lanes, sums, _mm512_permutexvar_ps(row, rows.scale),
                                         _mm512_permutexvar_ps(row, rows.square),
                                         _mm512_permutexvar_ps(row, rows.residual),
                                         _mm512_permutexvar_ps(row, rows.norm), score);
    const std::uint32_t here = rows.count - part < kRows ? rows.count - part : kRows;
    std::uint32_t left = mask & ((std::uint32_t{1} << here * group) - 1);
    if (left == 0) continue;
    alignas(64) float scores[kLanes];
    _mm512_store_ps(scores, score);
    for (; left != 0; left &= left - 1) {
      const auto lane = static_cast<std::uint32_t>(__builtin_ctz(left));
      const std::uint32_t q = first + lane % group;
      queries.out[q * queries.out_stride + queries.counts[q]++] = {rows.index[part + lane / group],
                                                                   scores[lane]};
    }
  }
}

// Groups of eight, four, two and one make any number up to kVnniFewQueries.
struct Groups {
  std::uint32_t size[8];
  std::uint32_t first[8];
  QueryLanes lanes[8];
  std::uint32_t count;
};

template <bool l2>
void make_groups(const CoarseBatch& queries, Groups& groups) {
  groups.count = 0;
  std::uint32_t first = 0;
  for (std::uint32_t size = 8; size > 0; size /= 2) {
    for (; queries.query_count - first >= size; first += size) {
      groups.size[groups.count] = size;
      groups.first[groups.count] = first;
      groups.lanes[groups.count] = lanes_of<l2>(queries.limits + first, size);
      ++groups.count;
    }
  }
}

template <bool l2, bool ask>
void scan_sized(const Rows& rows, std::size_t stride, const Groups& groups, std::uint32_t g,
                const CoarseBatch& queries) {
  const QueryLanes& lanes = groups.lanes[g];
  const std::uint32_t first = groups.first[g];
  switch (groups.size[g]) {
    case 8:
      return scan_group<l2, 8, ask>(rows, stride, lanes, first, queries);
    case 4:
      return scan_group<l2, 4, ask>(rows, stride, lanes, first, queries);
    case 2:
      return scan_group<l2, 2, ask>(rows, stride, lanes, first, queries);
    default:
      return scan_group<l2, 1, ask>(rows, stride, lanes, first, queries);
  }
}

template <bool l2>
void scan_rows(const CoarseRows& from, Rows& rows, const Groups& groups,
               const CoarseBatch& queries) {
  for (std::uint32_t r = rows.count; r < kLanes; ++r) {
    rows.at[r] = rows.at[0];
    rows.index[r] = rows.index[0];
  }
  rows.scale = pick(from.scales, rows.index);
  rows.residual = pick(from.residuals, rows.index);
  rows.square = l2 ? pick(from.squares, rows.index) : _mm512_setzero_ps();
  rows.norm = l2 ? _mm512_setzero_ps() : pick(from.norms, rows.index);
  scan_sized<l2, true>(rows, from.stride, groups, 0, queries);
  for (std::uint32_t g = 1; g < groups.count; ++g) {
    scan_sized<l2, false>(rows, from.stride, groups, g, queries);
  }
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

template <bool l2>
void few(const CoarseRows& from, const CoarseBatch& queries) {
  for (std::uint32_t q = 0; q < queries.query_count; ++q) queries.counts[q] = 0;
  Groups groups;
  make_groups<l2>(queries, groups);
  Rows rows;
  rows.count = 0;
  for (std::uint32_t first = 0; first < from.count; first += kLanes) {
    for (std::uint32_t left = eligible_bits(from, first); left != 0; left &= left - 1) {
      const std::uint32_t r = first + static_cast<std::uint32_t>(__builtin_ctz(left));
      rows.index[rows.count] = r;
      rows.at[rows.count] = from.codes + r * from.stride;
      if (++rows.count < kLanes) continue;
      scan_rows<l2>(from, rows, groups, queries);
      rows.count = 0;
    }
  }
  if (rows.count != 0) scan_rows<l2>(from, rows, groups, queries);
}

}  // namespace

void vnni_few_l2(const CoarseRows& rows, const CoarseBatch& queries) {
  few<true>(rows, queries);
}

void vnni_few_dot(const CoarseRows& rows, const CoarseBatch& queries) {
  few<false>(rows, queries);
}

}  // namespace vecserve::engine
