// See sketch_plane.h.
// Filled on the background thread before it is published; constant after.
//
// Why the bound holds. x^ = (codes times steps, left^, extra^) with left^ and extra^ the floats
// nearest to the middles. The computed coordinates differ from x^ by a vector whose length is the
// root of the sum of their squared differences, of (left_error + rounding)^2 and of
// (extra_error + rounding)^2; the true point differs from the computed coordinates by `error` at
// most. A step has sixteen significant bits, so that its products with codes are exact in floats;
// everything else here is done in doubles, which kDoubleSlack covers.
#include "engine/rows/sketch_plane.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/rows/row_floats.h"

namespace vecserve::engine {

namespace {

constexpr double kDoubleSlack = 1.0 + 0x1p-34;
constexpr std::uint32_t kFineFloats = 3;

float round_up(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

std::uint32_t fine_stride_for(std::uint32_t codes) {
  if (codes == 0) return 0;
  std::uint32_t stride = 16;
  while (stride < codes + kFineFloats * sizeof(float)) stride *= 2;
  return stride;
}

// What a number is off by when a float stands for it.
double rounding(double value, float kept) {
  return std::fabs(value - static_cast<double>(kept));
}

struct Stripe {
  double squares = 0.0;  // of what codes stand for
  double errors = 0.0;   // squared differences
};

}  // namespace

SketchPlane::SketchPlane(std::shared_ptr<const SketchAxes> axes, const RowBlock& block,
                         std::uint32_t count)
    : axes_(std::move(axes)),
      count_(count),
      fine_codes_(axes_->count() - kSketchFirst),
      fine_stride_(fine_stride_for(fine_codes_)) {
  const std::size_t stripes = (std::size_t{count} + kStripeRows - 1) / kStripeRows;
  const std::size_t padded = stripes * kStripeRows;
  first_ = AlignedBuffer(stripes * kStripeBytes, AlignedBuffer::Use::full);
  fine_ = AlignedBuffer(padded * fine_stride_, AlignedBuffer::Use::full);
  bases_ = std::make_unique<float[]>(padded);
  lefts_ = std::make_unique<float[]>(padded);
  reaches_ = std::make_unique<float[]>(padded);
  const RowShape& shape = block.shape();
  std::vector<float> floats(shape.dim);
  std::vector<float> scratch(axes_->scratch_floats());
  SketchPoint point;
  for (std::uint32_t row = 0; row < count; ++row) {
    row_floats(shape.type, block.vector(row), shape.dim, floats.data());
    axes_->see_row(floats.data(), scratch.data(), point);
    if (point.served) {
      set(row, point);
    } else {
      set_unserved(row);
    }
  }
  for (std::uint32_t row = count; row < padded; ++row) set_unserved(row);
}

std::size_t SketchPlane::bytes() const {
  const std::size_t padded = (std::size_t{count_} + kStripeRows - 1) / kStripeRows * kStripeRows;
  return first_.size() + fine_.size() + padded * 3 * sizeof(float);
}

void SketchPlane::put_code(std::uint32_t row, std::uint32_t axis, std::int32_t code) {
  const auto byte = static_cast<std::uint8_t>(code + 128);
  if (axis < kSketchFirst) {
    auto* const stripe = reinterpret_cast<std::uint8_t*>(first_.data()) +
                         std::size_t{row / kStripeRows} * kStripeBytes;
    stripe[axis / 4 * 64 + row % kStripeRows * 4 + axis % 4] = byte;
  } else {
    reinterpret_cast<std::uint8_t*>(
        fine_.data())[std::size_t{row} * fine_stride_ + axis - kSketchFirst] = byte;
  }
}

void SketchPlane::set(std::uint32_t row, const SketchPoint& point) {
  const float* const steps = axes_->steps();
  Stripe first;
  Stripe all;
  for (std::uint32_t axis = 0; axis < axes_->count(); ++axis) {
    if (axis == kSketchFirst) first = all;
    const auto along = static_cast<double>(point.along[axis]);
    const auto step = static_cast<double>(steps[axis]);
    const double code = step > 0.0 ? std::clamp(std::nearbyint(along / step), -127.0, 127.0) : 0.0;
    const double kept = code * step;
    all.squares += kept * kept;
    all.errors += (along - kept) * (along - kept);
    put_code(row, axis, static_cast<std::int32_t>(code));
  }
  if (axes_->count() == kSketchFirst) first = all;

  const auto extra = static_cast<float>(point.extra);
  const double extra_off = point.extra_error + rounding(point.extra, extra);
  const double extra_square = static_cast<double>(extra) * static_cast<double>(extra);
  const auto describe = [&](const Stripe& stripe, double left_middle, double left_error,
                            float& base, float& left, float& reach) {
    left = static_cast<float>(left_middle);
    const double left_off = left_error + rounding(left_middle, left);
    base = static_cast<float>(stripe.squares +
                              static_cast<double>(left) * static_cast<double>(left) + extra_square);
    reach = round_up(
        (std::sqrt(stripe.errors + left_off * left_off + extra_off * extra_off) + point.error) *
        kDoubleSlack);
  };
  describe(first, point.left_first, point.left_first_error, bases_[row], lefts_[row],
           reaches_[row]);
  if (fine_codes_ == 0) return;
  float numbers[kFineFloats];
  describe(all, point.left, point.left_error, numbers[0], numbers[1], numbers[2]);
  std::memcpy(fine_.data() + std::size_t{row} * fine_stride_ + fine_codes_, numbers,
              sizeof(numbers));
}

void SketchPlane::set_unserved(std::uint32_t row) {
  for (std::uint32_t axis = 0; axis < axes_->count(); ++axis) put_code(row, axis, 0);
  bases_[row] = lefts_[row] = 0.0f;
  reaches_[row] = std::numeric_limits<float>::infinity();
  if (fine_codes_ == 0) return;
  const float numbers[kFineFloats] = {0.0f, 0.0f, std::numeric_limits<float>::infinity()};
  std::memcpy(fine_.data() + std::size_t{row} * fine_stride_ + fine_codes_, numbers,
              sizeof(numbers));
}

}  // namespace vecserve::engine
