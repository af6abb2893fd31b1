// See sketch_axes.h.
// see_row runs on the thread that fills planes, see_query on searching threads.
//
// Errors, with u = 2^-24. The coordinates along the axes are sums of `padded` products in eight
// lanes: each is off by at most (padded / 8 + 4) u |a| |y|, together by sqrt(count) times that:
// kSumSlack covers |a|. Q differs from A by less than the defect where that is below 1/4, so Q y
// from A y by less than defect (1 + defect) |y|. Taking off the mean rounds each coordinate by u of
// itself, and scaling (cosine, and queries of dot) by 2u more: input_error, a distance in R^d,
// which the map does not lengthen. |y| is summed in doubles. What the axes leave out is
// sqrt(|y|^2 - |Q y|^2) with |Q y| within the errors above of the computed one: an interval, whose
// middle is kept and half of whose width is its error.
#include "engine/rows/sketch_axes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/rows/coarse_plane.h"
#include "engine/rows/row_norm.h"

namespace vecserve::engine {

namespace {

using Eight [[gnu::vector_size(32)]] = float;

constexpr double kUnit = 0x1p-24;
constexpr double kSumSlack = 1.0 + 0x1p-10;
constexpr double kDoubleSlack = 0x1p-40;

// Four axes at a time, so that y is read once for them.
[[gnu::always_inline]] inline void along_four(const float* y, const float* axes, std::size_t stride,
                                              std::uint32_t padded, float* out) {
  Eight sums[4] = {};
  for (std::uint32_t i = 0; i < padded; i += 8) {
    Eight part;
    std::memcpy(&part, y + i, sizeof(part));
    for (std::uint32_t a = 0; a < 4; ++a) {
      Eight axis;
      std::memcpy(&axis, axes + a * stride + i, sizeof(axis));
      sums[a] += axis * part;
    }
  }
  for (std::uint32_t a = 0; a < 4; ++a) {
    const Eight& s = sums[a];
    out[a] = ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
  }
}

[[gnu::always_inline]] inline void along_all(const float* y, const float* axes, std::uint32_t count,
                                             std::uint32_t padded, float* out) {
  for (std::uint32_t a = 0; a < count; a += 4) {
    along_four(y, axes + std::size_t{a} * padded, padded, padded, out + a);
  }
}

void along_anywhere(const float* y, const float* axes, std::uint32_t count, std::uint32_t padded,
                    float* out) {
  along_all(y, axes, count, padded, out);
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] void along_avx2(const float* y, const float* axes, std::uint32_t count,
                                        std::uint32_t padded, float* out) {
  along_all(y, axes, count, padded, out);
}
#endif

void along_axes(const float* y, const float* axes, std::uint32_t count, std::uint32_t padded,
                float* out) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) {
    along_avx2(y, axes, count, padded, out);
    return;
  }
#endif
  along_anywhere(y, axes, count, padded, out);
}

struct Interval {
  double middle = 0.0;
  double half = 0.0;
};

// sqrt(whole^2 - part^2) when part is known within `error`.
Interval left_out(double whole, double part, double error) {
  const double most_part = part + error;
  const double least_part = std::max(0.0, part - error);
  const double square = whole * whole;
  const double slack = square * kDoubleSlack;
  const double least = std::sqrt(std::max(0.0, square - most_part * most_part - slack));
  const double most = std::sqrt(std::max(0.0, square - least_part * least_part + slack));
  return {(least + most) / 2.0, (most - least) / 2.0 + most * kDoubleSlack};
}

}  // namespace

SketchAxes::SketchAxes(const RowShape& shape, std::uint32_t count, std::vector<float> mean,
                       std::vector<float> axes, std::vector<float> steps, double largest)
    : metric_(shape.metric),
      dim_(shape.dim),
      padded_((shape.dim + 7) / 8 * 8),
      count_(count),
      largest_(largest),
      mean_(padded_, 0.0f),
      axes_(std::size_t{count} * padded_, 0.0f),
      steps_(std::move(steps)) {
  std::copy(mean.begin(), mean.end(), mean_.begin());
  for (std::uint32_t a = 0; a < count; ++a) {
    std::copy_n(axes.begin() + static_cast<std::ptrdiff_t>(std::size_t{a} * dim_), dim_,
                axes_.begin() + static_cast<std::ptrdiff_t>(std::size_t{a} * padded_));
  }
  double squares = 0.0;
  for (std::uint32_t a = 0; a < count; ++a) {
    for (std::uint32_t b = 0; b <= a; ++b) {
      double product = a == b ? -1.0 : 0.0;
      for (std::uint32_t i = 0; i < dim_; ++i) {
        product += static_cast<double>(axes_[std::size_t{a} * padded_ + i]) *
                   static_cast<double>(axes_[std::size_t{b} * padded_ + i]);
      }
      squares += (a == b ? 1.0 : 2.0) * product * product;
    }
  }
  // Sums of up to 2^12 doubles, 2^12 of them.
  defect_ = std::sqrt(squares) * (1.0 + kDoubleSlack) + 0x1p-34;
}

bool SketchAxes::serves(const RowShape& shape) {
  return CoarsePlane::serves(shape) && shape.dim >= kSketchDimMin && shape.dim <= kSketchDimMax;
}

std::uint32_t SketchAxes::count_for(const RowShape& shape) {
  // A quarter of the coordinates; one axis more costs a byte a row.
  return std::clamp(shape.dim / 4 / 16 * 16, kSketchFirst, kSketchAxesMax);
}

void SketchAxes::see_row(const float* vector, float* scratch, SketchPoint& point) const {
  const double norm = std::sqrt(square_of(vector, dim_));
  point.served = norm <= static_cast<double>(CoarsePlane::kNormMax) && defect_ < 0.25;
  point.extra = point.extra_error = 0.0;
  float scale = 1.0f;
  if (metric_ == Metric::cosine) {
    point.served = point.served && norm >= static_cast<double>(CoarsePlane::kUnitNormMin);
    scale = point.served ? static_cast<float>(1.0 / norm) : 0.0f;
  } else if (metric_ == Metric::dot) {
    point.served = point.served && norm <= largest_;
    const double square = std::max(0.0, largest_ * largest_ - norm * norm);
    const double slack = largest_ * largest_ * kDoubleSlack;
    point.extra = std::sqrt(square);
    point.extra_error = std::sqrt(square + slack) - std::sqrt(std::max(0.0, square - slack));
  }
  if (!point.served) return;
  for (std::uint32_t i = 0; i < dim_; ++i) scratch[i] = vector[i] * scale - mean_[i];
  std::fill(scratch + dim_, scratch + padded_, 0.0f);
  // The products with `scale` are off by 2u of a vector of length one.
  see(scratch, metric_ == Metric::cosine ? 3.0 * kUnit : 0.0, point);
}

void SketchAxes::see_query(const float* vector, float* scratch, SketchPoint& point) const {
  if (metric_ != Metric::dot) {
    see_row(vector, scratch, point);
    return;
  }
  const double norm = std::sqrt(square_of(vector, dim_));
  point.extra = point.extra_error = 0.0;
  point.served = norm >= static_cast<double>(CoarsePlane::kUnitNormMin) &&
                 norm <= static_cast<double>(CoarsePlane::kNormMax) && defect_ < 0.25;
  if (!point.served) return;
  const auto scale = static_cast<float>(query_scale(norm));
  for (std::uint32_t i = 0; i < dim_; ++i) scratch[i] = vector[i] * scale - mean_[i];
  std::fill(scratch + dim_, scratch + padded_, 0.0f);
  see(scratch, 3.0 * kUnit * largest_, point);
}

void SketchAxes::see(float* y, double input_error, SketchPoint& point) const {
  along_axes(y, axes_.data(), count_, padded_, point.along);
  const double whole = std::sqrt(square_of(y, padded_));
  const double sums = std::sqrt(static_cast<double>(count_)) *
                      (static_cast<double>(padded_) / 8.0 + 4.0) * kUnit * kSumSlack * whole;
  const double skew = defect_ * (1.0 + defect_) * whole;
  const double off = sums + skew + 0x1p-60;
  const Interval first = left_out(whole, std::sqrt(square_of(point.along, kSketchFirst)), off);
  const Interval all = left_out(whole, std::sqrt(square_of(point.along, count_)), off);
  point.left_first = first.middle;
  point.left_first_error = first.half;
  point.left = all.middle;
  point.left_error = all.half;
  point.error = off + kUnit * whole * (1.0 + kDoubleSlack) + input_error;
  point.served = std::isfinite(whole);
}

}  // namespace vecserve::engine
