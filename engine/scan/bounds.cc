// The error analysis of the float kernels. Called for every tile, between kernel and selection;
// plain loops that compilers vectorise. Any thread; pure. Always holds: rounding to nearest with
// denormals kept, the default of every platform (results that are flushed to zero are covered too).
// u = 2^-24 is the unit roundoff of a float.
//
// Every stored type converts to float exactly. Let m = dim / lanes + 24: at most dim / lanes + 16
// additions touch a term (kernels.h), at most 3 roundings make it (a difference counts twice in a
// square), and the rest covers the double-precision reference, whose own error of dim * 2^-53 <=
// 2^-37 is below u. With g = m u / (1 - m u) (Higham, Accuracy and Stability, lemma 3.1):
//
//  l2, l1   The terms t are not negative: computed = sum t (1 + e), |e| <= g, so the true sum is at
//           least computed * (1 - g). An infinite sum went past the largest float on the way, so
//           the true one is at least that float * (1 - g). No NaN can arise.
//  dot      |computed - true| <= g sum |q_i x_i| <= g |q| |x| (Cauchy-Schwarz). Partial sums may
//           overflow and cancel, so what is not finite says nothing: -infinity.
//  cosine   As dot, divided by P' = |q|' |x|', the norms as stored: rounded up by a factor of at
//  most
//           1 + 2^-22 each time they are normal, hence P <= P' <= P (1 + 2^-21). As |true| <= P,
//           true / P <= true / P' + 2^-21 <= (computed + absolute) / P' + g + 2^-21.
//
// Upwards the same errors count. For l2 and l1 the true sum is at most computed / (1 - g) <=
// computed * (1 + g + 2 g^2), and 2 g^2 is below u. For cosine true / P >= true / P' - 2^-21, since
// |true| <= P <= P'.
//
// The few float operations below add less than 16 u of the magnitudes at hand, and so do the
// rounded constants. A product that underflows loses at most 2^-126 even where denormals are
// flushed; dim of them stay below dim * 2^-120.
#include "engine/scan/bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vecserve::engine {
namespace {

constexpr double kUnit = 0x1p-24;
constexpr float kFloatMax = std::numeric_limits<float>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Norms outside are too near the ends of the float range for the relative errors assumed above.
constexpr float kNormMin = 0x1p-100f;
constexpr double kNormMax = 0x1p100;

float up(double value) {
  const auto nearest = static_cast<float>(value);
  return static_cast<double>(nearest) >= value ? nearest : std::nextafter(nearest, kInfinity);
}

void bound_sums(const ScoreBound& bound, std::uint32_t count, float* sums) {
  for (std::uint32_t r = 0; r < count; ++r) {
    const float finite = sums[r] < kFloatMax ? sums[r] : kFloatMax;
    const float lower = finite * bound.factor - bound.absolute;
    sums[r] = lower > 0.0f ? lower : 0.0f;
  }
}

void bound_dots(const ScoreBound& bound, const float* norms, std::uint32_t count, float* sums) {
  for (std::uint32_t r = 0; r < count; ++r) {
    const float lower = -sums[r] - (bound.per_norm * norms[r] + bound.absolute);
    // False for NaN as well.
    sums[r] = std::fabs(lower) <= kFloatMax ? lower : -kInfinity;
  }
}

void bound_cosines(const ScoreBound& bound, const float* norms, std::uint32_t count, float* sums) {
  for (std::uint32_t r = 0; r < count; ++r) {
    const float cosine = (sums[r] * bound.inverse + bound.absolute) / norms[r];
    const float lower = (1.0f - cosine) - bound.per_norm;
    const bool proven = (norms[r] >= kNormMin) & (norms[r] <= kFloatMax) & (lower <= 2.0f);
    sums[r] = (proven & (lower > 0.0f)) ? lower : 0.0f;
  }
}

}  // namespace

ScoreBound make_bound(const RowShape& shape, const KernelTable& table, double query_norm) {
  const double roundings = static_cast<double>(shape.dim) / table.lanes + 24.0;
  const double relative = roundings * kUnit / (1.0 - roundings * kUnit) + 16.0 * kUnit;
  const double lost = shape.dim * 0x1p-120;
  ScoreBound bound;
  bound.metric = shape.metric;
  switch (shape.metric) {
    case Metric::l2:
    case Metric::l1:
      bound.factor = static_cast<float>(1.0 - relative);
      bound.absolute = up(lost);
      break;
    case Metric::dot:
      bound.per_norm = up(relative * query_norm);
      bound.absolute = up(lost);
      break;
    case Metric::cosine:
      bound.per_norm = up(relative + 0x1p-21 + 16.0 * kUnit);
      if (query_norm >= static_cast<double>(kNormMin) && query_norm <= kNormMax) {
        bound.inverse = static_cast<float>(1.0 / query_norm);
        bound.absolute = up(lost / query_norm);
      } else {
        bound.absolute = kInfinity;  // makes every cosine infinite and so every bound 0
      }
      break;
    case Metric::hamming:
      break;
  }
  return bound;
}

void lower_bounds(const ScoreBound& bound, const float* norms, std::uint32_t count, float* sums) {
  switch (bound.metric) {
    case Metric::l2:
    case Metric::l1:
      bound_sums(bound, count, sums);
      break;
    case Metric::dot:
      bound_dots(bound, norms, count, sums);
      break;
    case Metric::cosine:
      bound_cosines(bound, norms, count, sums);
      break;
    case Metric::hamming:
      break;
  }
}

float upper_bound(const ScoreBound& bound, float norm, float sum) {
  switch (bound.metric) {
    case Metric::l2:
    case Metric::l1:
      return sum * (2.0f - bound.factor) + bound.absolute;
    case Metric::dot: {
      const float upper = -sum + (bound.per_norm * norm + bound.absolute);
      return std::fabs(upper) <= kFloatMax ? upper : kInfinity;  // NaN is not
    }
    case Metric::cosine: {
      const float cosine = (sum * bound.inverse - bound.absolute) / norm;
      const float upper = (1.0f - cosine) + bound.per_norm;
      const bool proven = norm >= kNormMin && norm <= kFloatMax && std::fabs(sum) <= kFloatMax;
      if (!proven || !(upper < 2.0f)) return 2.0f;
      return std::max(upper, 0.0f);
    }
    case Metric::hamming:
      break;
  }
  return sum;
}

}  // namespace vecserve::engine
