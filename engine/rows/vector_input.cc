// See vector_input.h. Conversions round to nearest, ties to even; nothing is clamped.
// Runs on the caller's thread. Always holds: on an error nothing was appended or only scratch was
// written; the caller's view is never changed and needs no alignment.
#include "engine/rows/vector_input.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/base/half.h"
#include "engine/rows/row_norm.h"

namespace vecserve::engine {

namespace {

Status refuse(const char* field, std::string text) {
  return Status::invalid_argument(field, std::move(text));
}

Status check_form(const RowShape& shape, const VectorView& view, const char* field) {
  if (view.dim != shape.dim) {
    return refuse(field, "has " + std::to_string(view.dim) + " dimensions, the collection has " +
                             std::to_string(shape.dim));
  }
  if (view.data == nullptr) {
    return refuse(field, "is missing");
  }
  const bool given_bits = view.type == ScalarType::bit;
  const bool stored_bits = shape.type == ScalarType::bit;
  if (static_cast<unsigned>(view.type) > static_cast<unsigned>(ScalarType::bit) ||
      (view.type != shape.type && (given_bits || stored_bits || view.type != ScalarType::f32))) {
    return refuse(field, "is of type " + std::string(to_string(view.type)) +
                             ", the collection takes " + std::string(to_string(shape.type)) +
                             (stored_bits ? "" : " or f32"));
  }
  return {};
}

template <typename T>
T load(const VectorView& view, std::size_t index) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(view.data) + index * sizeof(T), sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* out, std::size_t index, T value) {
  std::memcpy(out + index * sizeof(T), &value, sizeof(T));
}

Status not_finite(const char* field, std::size_t index) {
  return refuse(field, "coordinate " + std::to_string(index) + " is not a finite number");
}

Status does_not_fit(const char* field, std::size_t index, ScalarType type) {
  return refuse(field, "coordinate " + std::to_string(index) + " does not fit into " +
                           std::string(to_string(type)));
}

float coordinate_of(const VectorView& view, std::size_t i) {
  switch (view.type) {
    case ScalarType::f16:
      return float_from_f16(load<std::uint16_t>(view, i));
    case ScalarType::bf16:
      return float_from_bf16(load<std::uint16_t>(view, i));
    case ScalarType::i8:
      return load<std::int8_t>(view, i);
    case ScalarType::u8:
      return load<std::uint8_t>(view, i);
    default:
      return load<float>(view, i);
  }
}

// The largest bit pattern without its sign tells whether any is infinite or NaN, and finding it
// vectorises; the slow loop that finds
// the culprit runs only when there is one.
Status check_finite_f32(const VectorView& view, const char* field) {
  const auto* bytes = static_cast<const std::byte*>(view.data);
  std::uint32_t worst = 0;
  for (std::size_t i = 0; i < view.dim; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, bytes + i * 4, 4);
    worst = std::max(worst, bits & 0x7fffffffu);
  }
  if (worst < 0x7f800000u) {
    return {};
  }
  for (std::size_t i = 0; i < view.dim; ++i) {
    if (!std::isfinite(load<float>(view, i))) {
      return not_finite(field, i);
    }
  }
  return {};
}

Status check_finite_16(const VectorView& view, const char* field) {
  for (std::size_t i = 0; i < view.dim; ++i) {
    if (!std::isfinite(coordinate_of(view, i))) {
      return not_finite(field, i);
    }
  }
  return {};
}

// The integer nearest to x, ties to even, when it lies within [low, high].
bool to_integer(float x, int low, int high, int& out) {
  const double rounded = std::nearbyint(static_cast<double>(x));
  if (!(rounded >= low && rounded <= high)) {
    return false;
  }
  out = static_cast<int>(rounded);
  return true;
}

Status convert_f32(const RowShape& shape, const VectorView& view, const char* field,
                   std::byte* out) {
  for (std::size_t i = 0; i < view.dim; ++i) {
    const float x = load<float>(view, i);
    int integer = 0;
    switch (shape.type) {
      case ScalarType::f16: {
        const std::uint16_t half = f16_from_float(x);
        if ((half & 0x7c00u) == 0x7c00u) {
          return does_not_fit(field, i, shape.type);
        }
        store(out, i, half);
        break;
      }
      case ScalarType::bf16: {
        const std::uint16_t brain = bf16_from_float(x);
        if ((brain & 0x7f80u) == 0x7f80u) {
          return does_not_fit(field, i, shape.type);
        }
        store(out, i, brain);
        break;
      }
      case ScalarType::i8:
        if (!to_integer(x, -128, 127, integer)) {
          return does_not_fit(field, i, shape.type);
        }
        store(out, i, static_cast<std::int8_t>(integer));
        break;
      default:
        if (!to_integer(x, 0, 255, integer)) {
          return does_not_fit(field, i, shape.type);
        }
        store(out, i, static_cast<std::uint8_t>(integer));
        break;
    }
  }
  return {};
}

void copy_bits(const VectorView& view, std::size_t bytes, std::byte* out) {
  std::memcpy(out, view.data, bytes);
  if (view.dim % 8 != 0) {
    out[bytes - 1] &= static_cast<std::byte>((1u << (view.dim % 8)) - 1u);
  }
}

bool all_zero(const RowShape& shape, const std::byte* row) {
  // The sign bit of a zero float may be set; every other set bit means a value that is not zero.
  const VectorView view(shape.type, row, shape.dim);
  for (std::size_t i = 0; i < shape.dim; ++i) {
    if (coordinate_of(view, i) != 0.0f) {
      return false;
    }
  }
  return true;
}

Status check_input(const RowShape& shape, const VectorView& view, const char* field) {
  VECSERVE_TRY(check_form(shape, view, field));
  if (view.type == ScalarType::f32) {
    return check_finite_f32(view, field);
  }
  if (view.type == ScalarType::f16 || view.type == ScalarType::bf16) {
    return check_finite_16(view, field);
  }
  return {};
}

}  // namespace

Status store_vector(const RowShape& shape, const VectorView& view, const char* field,
                    std::vector<std::byte>& out) {
  VECSERVE_TRY(check_input(shape, view, field));
  const std::size_t before = out.size();
  out.resize(before + shape.row_bytes);
  std::byte* row = out.data() + before;
  Status status;
  if (shape.type == ScalarType::bit) {
    copy_bits(view, shape.row_bytes, row);
  } else if (view.type == shape.type) {
    std::memcpy(row, view.data, shape.row_bytes);
  } else {
    status = convert_f32(shape, view, field, row);
  }
  if (status.ok() && shape.metric == Metric::cosine && all_zero(shape, row)) {
    status = refuse(field, "is zero, which has no direction for cosine");
  }
  if (!status.ok()) {
    out.resize(before);
  }
  return status;
}

Status query_floats(const RowShape& shape, const VectorView& view, const char* field, float* out,
                    double& norm) {
  VECSERVE_TRY(check_input(shape, view, field));
  if (view.type == ScalarType::f32) {
    std::memcpy(out, view.data, view.dim * sizeof(float));
  } else {
    for (std::size_t i = 0; i < view.dim; ++i) out[i] = coordinate_of(view, i);
  }
  const double sum = square_of(out, static_cast<std::uint32_t>(view.dim));
  if (shape.metric == Metric::cosine && sum == 0.0) {
    return refuse(field, "is zero, which has no direction for cosine");
  }
  // Each product is exact (24 + 24 bits in 53); the sum is off by at most dim * 2^-53 of itself and
  // the root halves that: 2^-30 covers dim up to 65,536 many times over.
  norm = std::sqrt(sum) * (1.0 + 0x1p-30) + std::numeric_limits<double>::denorm_min();
  return {};
}

Status query_bits(const RowShape& shape, const VectorView& view, const char* field,
                  std::byte* out) {
  VECSERVE_TRY(check_form(shape, view, field));
  copy_bits(view, shape.row_bytes, out);
  return {};
}

}  // namespace vecserve::engine
