// Sketch kernels in portable C++: the plain meaning of sketch_kernels.h. Called by the cascade
// where nothing faster is there, and by tests as the reference. Any thread; pure. Always holds: one
// row at a time, in the order of its axes.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/scan/sketch_tables.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kFirst = 16;

std::int32_t query_code(const SketchProbe& probe, std::uint32_t axis) {
  return 128 * probe.high[axis] + probe.low[axis];
}

float first_dot(const SketchRows& rows, const SketchProbe& probe, std::uint32_t r) {
  const std::uint8_t* const codes = rows.first + std::size_t{r / 16} * 256 + r % 16 * 4;
  std::int32_t dot = -probe.bias[0];
  for (std::uint32_t axis = 0; axis < kFirst; ++axis) {
    dot += codes[axis / 4 * 64 + axis % 4] * query_code(probe, axis);
  }
  return probe.steps[0] * static_cast<float>(dot);
}

// Score less error by the first stripe, and by both.
float first_kept(const SketchRows& rows, const SketchProbe& probe, std::uint32_t r, float dots) {
  return rows.bases[r] * (1.0f - kScoreError) + probe.first.base - dots -
         probe.first.twice_left * rows.lefts[r];
}

float fine_kept(const SketchProbe& probe, const std::uint8_t* record, std::uint32_t codes,
                const float (&numbers)[3], float dots) {
  std::int32_t dot = -probe.bias[1];
  for (std::uint32_t i = 0; i < codes; ++i) {
    dot += record[i] * query_code(probe, kFirst + i);
  }
  return numbers[0] * (1.0f - kScoreError) + probe.all.base -
         (dots + probe.steps[1] * static_cast<float>(dot)) - probe.all.twice_left * numbers[1];
}

bool near(float kept, float reach) {
  return !(kept > reach * reach);
}

float bound_of(float kept, float row_reach) {
  return (kept > 0.0f ? std::sqrt(kept) : 0.0f) - row_reach;
}

void measure(const SketchRows& rows, const SketchProbe& probe, float* bounds, float* least) {
  for (std::uint32_t r = 0; r < rows.count; ++r) {
    if (r % 64 == 0) least[r / 64] = std::numeric_limits<float>::infinity();
    bounds[r] = bound_of(first_kept(rows, probe, r, first_dot(rows, probe, r)), rows.reaches[r]);
    least[r / 64] = std::min(least[r / 64], bounds[r]);
  }
}

SketchCount sift(const SketchRows& rows, const SketchProbe& probe, SketchReach reach,
                 SketchSurvivor* out) {
  SketchCount count;
  for (std::uint32_t r = 0; r < rows.count; ++r) {
    if ((rows.eligible[r / 64] >> (r % 64) & 1) == 0) continue;
    const float dots = first_dot(rows, probe, r);
    float kept = first_kept(rows, probe, r, dots);
    float row_reach = rows.reaches[r];
    if (!near(kept, reach.first + row_reach)) continue;
    ++count.first;
    if (rows.fine_codes != 0) {
      const std::uint8_t* const record = rows.fine + std::size_t{r} * rows.fine_stride;
      float numbers[3];
      std::memcpy(numbers, record + rows.fine_codes, sizeof(numbers));
      kept = fine_kept(probe, record, rows.fine_codes, numbers, dots);
      row_reach = numbers[2];
      if (!near(kept, reach.all + row_reach)) continue;
    }
    out[count.all++] = {r, bound_of(kept, row_reach)};
  }
  return count;
}

bool supported() {
  return true;
}

}  // namespace

constinit const SketchKernels kGenericSketchKernels = {
    .name = "generic",
    .supported = supported,
    .measure = measure,
    .sift = sift,
};

}  // namespace vecserve::engine
