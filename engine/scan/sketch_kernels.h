// Kernels of the sketch plane: how near each row of a block may be, judged by its first sixteen
// axes, and which rows may be near enough, judged by those and then by all axes. Comes below the
// cascade, which prepares probes, measures a sample of the rows to find a threshold, and hands what
// survives to the coarse kernels. A table is chosen together with the float kernels. Any thread;
// pure.
//
// For row r and probe p, with exact integers dot = sum(c_r * y_p) over a stripe's codes:
//   score = base_r + base_p - sum over stripes (step_p dot) - twice_left_p left_r
//   error = kScoreError (base_r + base_p) + slack_p
// r survives when score - error <= (reach_p + reach_r)^2, with the numbers of the first stripe and
// then with those of both. bound_r = sqrt(max(0, score - error)) - reach_r, with the numbers of
// either: a row is surely further than what the probe's reach stands for when its bound is above
// the reach, which the cascade rounds up by kBoundSlack. All in floats, in any order of operations.
// A NaN keeps the row; in a bound it counts as 0. Rows without a bit in `eligible` never survive.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/scan/coarse_kernels.h"

namespace vecserve::engine {

struct SketchRows {
  const std::uint8_t* first = nullptr;  // at a multiple of 16 rows
  const float* bases = nullptr;
  const float* lefts = nullptr;
  const float* reaches = nullptr;
  const std::uint8_t* fine = nullptr;
  std::uint32_t fine_codes = 0;  // 0: there is no second stripe
  std::uint32_t fine_stride = 0;
  const std::uint64_t* eligible = nullptr;  // bit r of word r / 64
  std::uint32_t count = 0;
};

// What the test of one stripe (or of both together) needs of a query.
struct SketchLimit {
  float base = 0.0f;  // less its share of the error, and the slack
  float twice_left = 0.0f;
};

// What a threshold comes to in the test of each stripe.
struct SketchReach {
  float first = 0.0f;
  float all = 0.0f;
};

// A query as the kernels read it. y = 128 high + low, |y| <= 16256; `bias` is 128 sum(y), what the
// bias of the rows' codes adds to a dot product.
struct SketchProbe {
  alignas(64) std::int8_t high[64] = {};  // first stripe, then second
  alignas(64) std::int8_t low[64] = {};
  float steps[2] = {};
  std::int32_t bias[2] = {};
  SketchLimit first;
  SketchLimit all;
};

// The root and the difference each round by 2^-24 of a number that is no larger than the reach
// where it decides anything, and kScoreError has room for the rest.
inline constexpr double kBoundSlack = 0x1p-20;

struct SketchSurvivor {
  std::uint32_t row = 0;
  float bound = 0.0f;  // by all axes
};

struct SketchCount {
  std::uint32_t first = 0;  // rows that survived the first test
  std::uint32_t all = 0;    // and the second
};

struct SketchKernels {
  const char* name = "";
  bool (*supported)() = nullptr;
  // Of all rows, eligible or not: their bounds, and the least bound of each 64 rows. `bounds` has
  // room for count rounded up to a multiple of 16.
  void (*measure)(const SketchRows&, const SketchProbe&, float* bounds, float* least) = nullptr;
  // The eligible rows that survive both tests, in order, to `out`, which has room for all rows.
  SketchCount (*sift)(const SketchRows&, const SketchProbe&, SketchReach reach,
                      SketchSurvivor* out) = nullptr;
};

[[nodiscard]] std::span<const SketchKernels* const> sketch_kernel_tables();

// As coarse_kernels_for.
[[nodiscard]] const SketchKernels& sketch_kernels_for(const char* float_table);

}  // namespace vecserve::engine
