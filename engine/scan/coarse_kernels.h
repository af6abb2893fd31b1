// Kernels of the coarse plane: dot products of eight-bit codes, fused with the test that rules rows
// out, so that scores never go to memory. Comes below the cascade, which prepares queries, keeps
// the limits and takes the survivors. A table is chosen together with the float kernels. Any
// thread; pure.
//
// For row r and query q, with exact integers dot = sum(c_r * d_q) (codes without their bias):
//   l2:           score = square_r + square_q - 2 scale_q scale_r dot
//                 r survives when score - error <= (reach_q + residual_r)^2,
//                 error = kScoreError (square_r + square_q) + kScoreFloor
//   dot, cosine:  score = -(scale_q scale_r dot)
//                 r survives when score - slack <= limit_q,
//                 slack = coarse_norm_q residual_r + residual_q norm_r
//                         + kScoreError (coarse_norm_q + residual_q) norm_r + kScoreFloor
// evaluated in floats, in any order of operations; kScoreError has room for that. A comparison with
// a NaN keeps the row. Rows without a bit in `eligible` never survive. Always holds: every row that
// survives in real arithmetic with half of kScoreError survives here, in whatever order; codes are
// read up to the row's stride and no further.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vecserve::engine {

// With u = 2^-24, the rounding of one operation. l2, in parts of square_r + square_q: the product
// of dot and scales 3u, the sum of squares and what is taken off it 2u, the difference 2u; the
// square of the other side 6u where it is no larger than any score, and where it is larger nothing
// is decided by it; the squares as stored 2u: 15u together. dot, in parts of (coarse_norm_q +
// residual_q) norm_r, where |x^| <= 2.01 norm_r: the product 7u, the slack 6u, the sum with the
// limit 5u: 18u. Half of this is 32u.
inline constexpr float kScoreError = 0x1p-18f;
// What underflow can add to any of them: far below one, far above the smallest float.
inline constexpr float kScoreFloor = 0x1p-100f;

// Bounds are made of floats in doubles: what those round, and the reference (coarse_bounds.cc).
inline constexpr double kBoundsSlack = 0x1p-34;

// Queries of one call at most; packed sixteen to a register.
inline constexpr std::uint32_t kCoarseQueries = 64;

// What the test needs of one query. One for each query of a batch, kept up to date by the cascade.
struct CoarseLimit {
  float scale = 0.0f;        // l2: 2 scale_q; dot, cosine: scale_q
  float square = 0.0f;       // l2 only
  float reach = 0.0f;        // l2: sqrt(limit) + residual_q, rounded up; else limit_q rounded up
  float residual = 0.0f;     // dot, cosine only: residual_q
  float coarse_norm = 0.0f;  // dot, cosine only
  std::int32_t bias = 0;     // 128 * sum(d_q)
};

struct CoarseRows {
  const std::uint8_t* codes = nullptr;
  std::size_t stride = 0;
  const float* scales = nullptr;
  const float* squares = nullptr;  // l2
  const float* residuals = nullptr;
  const float* norms = nullptr;             // dot, cosine
  const std::uint64_t* eligible = nullptr;  // bit r of word r / 64; null: all
  std::uint32_t count = 0;                  // at most 64 * 128
  std::uint32_t dim = 0;                    // codes that are not padding; 0: all of the stride
};

struct Survivor {
  std::uint32_t row;  // index within CoarseRows
  float score;
};

// Several queries at once. `packed`: see pack_queries. Survivors of query q go to
// out + q * out_stride, which has room for rows.count; counts[q] tells how many.
struct CoarseBatch {
  const std::int8_t* packed = nullptr;
  const CoarseLimit* limits = nullptr;
  std::uint32_t query_count = 0;
  Survivor* out = nullptr;
  std::size_t out_stride = 0;
  std::uint32_t* counts = nullptr;
  // The same queries one after another, each of the stride of the rows, zero padded and 64-byte
  // aligned: a table may prefer them where they are few. Null: there are only the packed ones.
  const std::int8_t* codes = nullptr;
};

// Queries as the batch kernels read them: in panels of sixteen queries, and within a panel four
// consecutive codes of each of the sixteen after one another (64 bytes), for each four coordinates
// of the stride: what one 512-bit instruction multiplies with four codes of a row. Panels are
// filled up with zero queries. `packed` has panels * 16 * stride bytes, 64-byte aligned.
void pack_queries(const std::int8_t* codes, std::size_t stride, std::uint32_t query_count,
                  std::int8_t* packed);

// Bounds of some survivors of one query: see coarse_bounds.h. `lower` and `upper` have room for the
// count rounded up to a multiple of 8.
using CoarseBoundsOf = void (*)(const CoarseRows&, const CoarseLimit&, const Survivor*,
                                std::uint32_t count, float* lower, float* upper);

struct CoarseKernels {
  const char* name = "";
  bool (*supported)() = nullptr;
  // One query: survivors of all rows to `out`, which has room for rows.count of them; returns how
  // many. `codes` has the stride of the rows, zero padded, 64-byte aligned.
  std::uint32_t (*one_l2)(const CoarseRows&, const std::int8_t* codes, const CoarseLimit&,
                          Survivor* out) = nullptr;
  std::uint32_t (*one_dot)(const CoarseRows&, const std::int8_t* codes, const CoarseLimit&,
                           Survivor* out) = nullptr;
  void (*batch_l2)(const CoarseRows&, const CoarseBatch&) = nullptr;
  void (*batch_dot)(const CoarseRows&, const CoarseBatch&) = nullptr;
  // What bounds_of says, to the bit. Null: there is no faster way than that.
  CoarseBoundsOf bounds_l2 = nullptr;
  CoarseBoundsOf bounds_dot = nullptr;
  CoarseBoundsOf bounds_cosine = nullptr;
};

// Best first; "generic" is the last and runs everywhere. Includes tables that this machine cannot
// run.
[[nodiscard]] std::span<const CoarseKernels* const> coarse_kernel_tables();

// The best of them for this machine that does not go beyond the float table of that name: generic
// goes with generic, avx2 with avx2, avx512 with whatever 512-bit table the machine has.
[[nodiscard]] const CoarseKernels& coarse_kernels_for(const char* float_table);

}  // namespace vecserve::engine
