// Norms of stored vectors, rounded up. Called once per row by RowBlock::append.
// The committing thread, or a thread that loads.
// Always holds: see row_norm.h.
#include "engine/rows/row_norm.h"

#include <cmath>
#include <limits>

#include "engine/rows/scalar.h"

namespace vecserve::engine {
namespace {

// Four sums, so that one does not wait for the other.
template <typename Scalar>
double square_sum(const std::byte* vector, std::uint32_t dim) {
  double sums[4] = {};
  std::uint32_t i = 0;
  for (; i + 4 <= dim; i += 4) {
    for (std::uint32_t lane = 0; lane < 4; ++lane) {
      const double x = Scalar::get(vector + std::size_t{i + lane} * Scalar::kBytes);
      sums[lane] += x * x;
    }
  }
  for (; i < dim; ++i) {
    const double x = Scalar::get(vector + std::size_t{i} * Scalar::kBytes);
    sums[0] += x * x;
  }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

double square_sum_of(const RowShape& shape, const std::byte* vector) {
  switch (shape.type) {
    case ScalarType::f32:
      return square_sum<F32Scalar>(vector, shape.dim);
    case ScalarType::f16:
      return square_sum<F16Scalar>(vector, shape.dim);
    case ScalarType::bf16:
      return square_sum<Bf16Scalar>(vector, shape.dim);
    case ScalarType::i8:
      return square_sum<I8Scalar>(vector, shape.dim);
    case ScalarType::u8:
      return square_sum<U8Scalar>(vector, shape.dim);
    case ScalarType::bit:
      break;
  }
  return 0.0;
}

}  // namespace

double square_of(const float* vector, std::uint32_t count) {
  return square_sum<F32Scalar>(reinterpret_cast<const std::byte*>(vector), count);
}

float row_norm_up(const RowShape& shape, const std::byte* vector) {
  // The double is off by a factor of at most 1 + 65,536 * 2^-53 + 2^-52 < 1 + 2^-36; squares of
  // floats neither overflow nor vanish in a double.
  const double above = std::sqrt(square_sum_of(shape, vector)) * (1.0 + 0x1p-35);
  const auto nearest = static_cast<float>(above);  // infinite beyond the range
  if (static_cast<double>(nearest) >= above) return nearest;
  return std::nextafter(nearest, std::numeric_limits<float>::infinity());
}

}  // namespace vecserve::engine
