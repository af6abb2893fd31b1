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

bool passes_fine(const SketchRows& rows, const SketchProbe& probe, std::uint32_t r, float dots) {
  const std::uint8_t* const record = rows.fine + std::size_t{r} * rows.fine_stride;
  std::int32_t dot = -probe.bias[1];
  for (std::uint32_t i = 0; i < rows.fine_codes; ++i) {
    dot += record[i] * query_code(probe, kFirst + i);
  }
  float numbers[3];
  std::memcpy(numbers, record + rows.fine_codes, sizeof(numbers));
  const float kept = numbers[0] * (1.0f - kScoreError) + probe.all.base -
                     (dots + probe.steps[1] * static_cast<float>(dot)) -
                     probe.all.twice_left * numbers[1];
  const float most = probe.all.reach + numbers[2];
  return !(kept > most * most);
}

void measure(const SketchRows& rows, const SketchProbe& probe, float* bounds, float* dots,
             float* least) {
  for (std::uint32_t r = 0; r < rows.count; ++r) {
    if (r % 64 == 0) least[r / 64] = std::numeric_limits<float>::infinity();
    dots[r] = first_dot(rows, probe, r);
    const float kept = rows.bases[r] * (1.0f - kScoreError) + probe.first.base - dots[r] -
                       probe.first.twice_left * rows.lefts[r];
    bounds[r] = std::sqrt(std::max(kept, 0.0f)) - rows.reaches[r];
    least[r / 64] = std::min(least[r / 64], bounds[r]);
  }
}

std::uint32_t sift(const SketchRows& rows, const SketchProbe& probe, float reach,
                   const float* bounds, const float* dots, std::uint64_t* survivors) {
  std::uint32_t passed = 0;
  for (std::uint32_t word = 0; word * 64 < rows.count; ++word) {
    std::uint64_t kept = 0;
    const std::uint32_t left = rows.count - word * 64;
    std::uint64_t bits = rows.eligible[word];
    if (left < 64) bits &= (std::uint64_t{1} << left) - 1;
    for (; bits != 0; bits &= bits - 1) {
      const auto r = word * 64 + static_cast<std::uint32_t>(__builtin_ctzll(bits));
      if (bounds[r] > reach) continue;
      ++passed;
      if (rows.fine_codes != 0 && !passes_fine(rows, probe, r, dots[r])) continue;
      kept |= bits & (~bits + 1);
    }
    survivors[word] = kept;
  }
  return passed;
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
