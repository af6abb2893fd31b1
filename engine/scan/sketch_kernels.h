// Kernels of the sketch plane: how near each row of a block may be, judged by its first sixteen
// axes, and which of those that may be near enough still are, judged by all of them. Comes below
// the cascade, which prepares probes, keeps what the first kernel writes, and hands what survives
// to the coarse kernels. A table is chosen together with the float kernels. Any thread; pure.
//
// For row r and probe p, with exact integers dot = sum(c_r * y_p) over a stripe's codes:
//   score = base_r + base_p - sum over stripes (step_p dot) - twice_left_p left_r
//   error = kScoreError (base_r + base_p) + slack_p
// With the numbers of the first stripe, bound_r = sqrt(max(0, score - error)) - reach_r: a row is
// surely further than what the probe's reach stands for when its bound is above the reach, which
// the cascade rounds up by kBoundSlack. With those of both stripes, r survives when
// score - error <= (reach_p + reach_r)^2. All in floats, in any order of operations. A NaN keeps
// the row. Rows without a bit in `eligible` never survive.
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
  float reach = 0.0f;  // follows the threshold
};

// A query as the kernels read it. y = 128 high + low, |y| <= 16256; `bias` is 128 sum(y), what the
// bias of the rows' codes adds to a dot product.
struct SketchProbe {
  alignas(64) std::int8_t high[64] = {};  // first stripe, then second
  alignas(64) std::int8_t low[64] = {};
  float steps[2] = {};
  std::int32_t bias[2] = {};
  SketchLimit first;  // its reach is an argument
  SketchLimit all;
};

// The root and the difference each round by 2^-24 of a number that is no larger than the reach
// where it decides anything, and kScoreError has room for the rest.
inline constexpr double kBoundSlack = 0x1p-20;

struct SketchKernels {
  const char* name = "";
  bool (*supported)() = nullptr;
  // Of all rows, eligible or not: their bounds, their dots (step times dot of the first stripe),
  // and the least bound of each 64 rows. `bounds` and `dots` have room for count rounded up to a
  // multiple of 16.
  void (*measure)(const SketchRows&, const SketchProbe&, float* bounds, float* dots,
                  float* least) = nullptr;
  // Which eligible rows have a bound of at most `reach`, and survive by all axes: sets and clears
  // (count + 63) / 64 words of `survivors`. Returns how many had.
  std::uint32_t (*sift)(const SketchRows&, const SketchProbe&, float reach, const float* bounds,
                        const float* dots, std::uint64_t* survivors) = nullptr;
};

[[nodiscard]] std::span<const SketchKernels* const> sketch_kernel_tables();

// As coarse_kernels_for.
[[nodiscard]] const SketchKernels& sketch_kernels_for(const char* float_table);

}  // namespace vecserve::engine
