// The reference scorer. Called by rescore for the few candidates that could be in an answer, and by
// every test as the truth. Any thread; pure.
// Always holds: coordinate i goes to sum i mod 8, in rising order, and the eight sums are added as
// ((0+4)+(2+6))+((1+5)+(3+7)), each step one IEEE double operation; so a compiler may compute the
// eight side by side and every build gives the same bits.
#include "engine/scan/reference.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "engine/rows/scalar.h"

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kSums = 8;

struct SquaredDifference {
  static double term(double q, double x) { return (q - x) * (q - x); }
};
struct AbsoluteDifference {
  static double term(double q, double x) { return std::fabs(q - x); }
};
struct Product {
  static double term(double q, double x) { return q * x; }
};
struct QuerySquare {
  static double term(double q, double) { return q * q; }
};
struct RowSquare {
  static double term(double, double x) { return x * x; }
};

template <typename Scalar, typename Term>
double sum_of(const float* query, const std::byte* row, std::uint32_t dim) {
  double sums[kSums] = {};
  std::uint32_t i = 0;
  for (; i + kSums <= dim; i += kSums) {
    for (std::uint32_t lane = 0; lane < kSums; ++lane) {
      const double x = Scalar::get(row + std::size_t{i + lane} * Scalar::kBytes);
      sums[lane] += Term::term(static_cast<double>(query[i + lane]), x);
    }
  }
  for (std::uint32_t lane = 0; i < dim; ++i, ++lane) {
    const double x = Scalar::get(row + std::size_t{i} * Scalar::kBytes);
    sums[lane] += Term::term(static_cast<double>(query[i]), x);
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Vectors without a direction are refused on the way in; should one come, it is at a right angle to
// everything.
template <typename Scalar>
double cosine_distance(const float* query, const std::byte* row, std::uint32_t dim) {
  const double dot = sum_of<Scalar, Product>(query, row, dim);
  const double lengths = std::sqrt(sum_of<Scalar, QuerySquare>(query, row, dim)) *
                         std::sqrt(sum_of<Scalar, RowSquare>(query, row, dim));
  if (lengths == 0.0) return 1.0;
  return std::clamp(1.0 - dot / lengths, 0.0, 2.0);
}

template <typename Scalar>
double distance(Metric metric, const float* query, const std::byte* row, std::uint32_t dim) {
  switch (metric) {
    case Metric::l2:
      return sum_of<Scalar, SquaredDifference>(query, row, dim);
    // Subtracted from zero so that a product of zero is +0, not -0.
    case Metric::dot:
      return 0.0 - sum_of<Scalar, Product>(query, row, dim);
    case Metric::cosine:
      return cosine_distance<Scalar>(query, row, dim);
    case Metric::l1:
      return sum_of<Scalar, AbsoluteDifference>(query, row, dim);
    case Metric::hamming:
      break;
  }
  return 0.0;
}

double differing_bits(const std::byte* query, const std::byte* row, std::uint32_t bytes) {
  std::uint64_t count = 0;
  std::uint32_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    const auto difference = load_as<std::uint64_t>(query + i) ^ load_as<std::uint64_t>(row + i);
    count += static_cast<std::uint64_t>(std::popcount(difference));
  }
  for (; i < bytes; ++i) {
    const auto difference = std::to_integer<std::uint8_t>(query[i] ^ row[i]);
    count += static_cast<std::uint64_t>(std::popcount(difference));
  }
  return static_cast<double>(count);
}

}  // namespace

double reference_distance(const RowShape& shape, const void* query, const std::byte* row) {
  const auto* floats = static_cast<const float*>(query);
  switch (shape.type) {
    case ScalarType::f32:
      return distance<F32Scalar>(shape.metric, floats, row, shape.dim);
    case ScalarType::f16:
      return distance<F16Scalar>(shape.metric, floats, row, shape.dim);
    case ScalarType::bf16:
      return distance<Bf16Scalar>(shape.metric, floats, row, shape.dim);
    case ScalarType::i8:
      return distance<I8Scalar>(shape.metric, floats, row, shape.dim);
    case ScalarType::u8:
      return distance<U8Scalar>(shape.metric, floats, row, shape.dim);
    case ScalarType::bit:
      break;
  }
  return differing_bits(static_cast<const std::byte*>(query), row, shape.row_bytes);
}

double coordinate(ScalarType type, const std::byte* row, std::uint32_t index) {
  switch (type) {
    case ScalarType::f32:
      return F32Scalar::get(row + std::size_t{index} * 4);
    case ScalarType::f16:
      return F16Scalar::get(row + std::size_t{index} * 2);
    case ScalarType::bf16:
      return Bf16Scalar::get(row + std::size_t{index} * 2);
    case ScalarType::i8:
      return I8Scalar::get(row + index);
    case ScalarType::u8:
      return U8Scalar::get(row + index);
    case ScalarType::bit:
      break;
  }
  const auto byte = std::to_integer<std::uint32_t>(row[index / 8]);
  return static_cast<double>(byte >> (index % 8) & 1);
}

}  // namespace vecserve::engine
