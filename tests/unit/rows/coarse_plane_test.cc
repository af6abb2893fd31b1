// Checks engine/rows/coarse_plane: the bounds of rows and of queries hold for every metric and
// type on data made to break them, and are not loose. Single-threaded, seeded. Always holds: what
// codes leave out is recomputed in long double from the codes and the scale alone.
#include "engine/rows/coarse_plane.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "engine/base/half.h"
#include "engine/rows/row_floats.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

using Real = long double;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

constexpr ScalarType kTypes[] = {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8,
                                 ScalarType::u8};
constexpr Metric kMetrics[] = {Metric::l2, Metric::dot, Metric::cosine};

enum class Kind { normal, equal, ties, zeros, denormal, huge, enormous, one_giant };
constexpr Kind kKinds[] = {Kind::normal,   Kind::equal, Kind::ties,     Kind::zeros,
                           Kind::denormal, Kind::huge,  Kind::enormous, Kind::one_giant};

// Vectors of one kind, never all zero.
class Source {
 public:
  Source(std::uint32_t dim, Kind kind) : dim_(dim), kind_(kind), random_(dim * 8 + 5) {}

  std::vector<float> next() {
    std::vector<float> x(dim_);
    for (std::uint32_t i = 0; i < dim_; ++i) x[i] = coordinate(i);
    if (std::all_of(x.begin(), x.end(), [](float value) { return value == 0.0f; })) x[0] = 1.0f;
    return x;
  }

 private:
  float coordinate(std::uint32_t i) {
    const float normal = normal_(random_);
    switch (kind_) {
      case Kind::normal:
        return normal;
      case Kind::equal:
        return 0.7f;
      case Kind::ties:
        return normal > 0.0f ? 1.0f : 0.0f;
      case Kind::zeros:
        return normal > 2.0f ? normal : 0.0f;
      case Kind::denormal:
        return normal * 0x1p-146f;
      case Kind::huge:
        return normal * (normal > 0.0f ? 1e12f : 1e18f);
      case Kind::enormous:
        return normal * 3e37f;
      case Kind::one_giant:
        return i == dim_ / 2 ? 1e12f : normal;
    }
    return 0.0f;
  }

  std::uint32_t dim_;
  Kind kind_;
  std::mt19937_64 random_;
  std::normal_distribution<float> normal_;
};

template <typename T>
void put(std::vector<std::byte>& row, std::size_t i, T value) {
  std::memcpy(row.data() + i * sizeof(T), &value, sizeof(T));
}

// As a row of that type, cut to what the type can hold; one for a zero vector.
std::vector<std::byte> stored_as(ScalarType type, const std::vector<float>& floats) {
  std::vector<std::byte> row(floats.size() * 4);
  for (std::size_t i = 0; i < floats.size(); ++i) {
    const float x = floats[i];
    switch (type) {
      case ScalarType::f32:
        put(row, i, x);
        break;
      case ScalarType::f16:
        put(row, i, f16_from_float(std::clamp(x, -6e4f, 6e4f)));
        break;
      case ScalarType::bf16:
        put(row, i, bf16_from_float(x));
        break;
      case ScalarType::i8:
        put(row, i, static_cast<std::int8_t>(std::clamp(x * 40, -128.0f, 127.0f)));
        break;
      default:
        put(row, i, static_cast<std::uint8_t>(std::clamp(x * 80, 0.0f, 255.0f)));
        break;
    }
  }
  std::vector<float> kept(floats.size());
  row_floats(type, row.data(), static_cast<std::uint32_t>(kept.size()), kept.data());
  if (std::all_of(kept.begin(), kept.end(), [](float value) { return value == 0.0f; })) {
    return stored_as(type, std::vector<float>(floats.size(), 1.0f));
  }
  return row;
}

Real norm_of(const std::vector<Real>& x) {
  Real sum = 0;
  for (const Real value : x) sum += value * value;
  return std::sqrt(sum);
}

// The vector that is meant: for cosine the unit vector.
std::vector<Real> meant(Metric metric, const std::vector<float>& floats) {
  std::vector<Real> x(floats.begin(), floats.end());
  if (metric != Metric::cosine) return x;
  const Real norm = norm_of(x);
  for (Real& value : x) value /= norm;
  return x;
}

struct Claimed {
  float scale;
  float square;
  float residual;
  float norm;
};

// `codes` without their bias.
void check_bounds(Metric metric, const std::vector<float>& floats, const std::vector<int>& codes,
                  const Claimed& claimed) {
  const std::vector<Real> x = meant(metric, floats);
  const Real norm = norm_of(x);
  std::vector<Real> coarse;
  std::vector<Real> left;
  for (std::size_t i = 0; i < x.size(); ++i) {
    coarse.push_back(static_cast<Real>(claimed.scale) * codes[i]);
    left.push_back(x[i] - coarse[i]);
  }
  const Real residual = norm_of(left);
  const Real square = norm_of(coarse) * norm_of(coarse);
  CHECK(claimed.residual >= residual);
  CHECK(claimed.residual <= residual * (1 + 0x1p-14L) + norm * 0x1p-16L + 0x1p-59L);
  CHECK(claimed.norm * (1 + 0x1p-50L) >= norm);  // a computed unit vector is not quite one
  CHECK(claimed.norm <= norm * (1 + 0x1p-17L) + 0x1p-59L);
  CHECK(std::isfinite(claimed.square));
  CHECK(std::fabs(claimed.square - square) <=
        CoarsePlane::kSquareError * square + CoarsePlane::kSquareFloor);
}

std::vector<int> codes_of(const CoarsePlane& plane, std::uint32_t position) {
  const std::uint8_t* row = plane.codes() + std::size_t{position} * plane.stride();
  std::vector<int> codes;
  for (std::uint32_t i = 0; i < plane.stride(); ++i) codes.push_back(row[i] - 128);
  return codes;
}

// Whether floats can serve a vector is the only reason for an infinite row.
void check_row(const RowShape& shape, const CoarsePlane& plane, std::uint32_t position,
               const std::vector<float>& floats) {
  const std::vector<int> codes = codes_of(plane, position);
  int least = 0;
  int most = 0;
  for (const int code : codes) {
    least = std::min(least, code);
    most = std::max(most, code);
  }
  CHECK(least >= -127);
  CHECK(most <= 127);
  bool padded = true;
  for (std::uint32_t i = shape.dim; i < plane.stride(); ++i) padded = padded && codes[i] == 0;
  CHECK(padded);
  const Claimed claimed{plane.scales()[position], plane.squares()[position],
                        plane.residuals()[position], plane.norms()[position]};
  if (claimed.residual == kInfinity) {
    CHECK(claimed.scale == 0.0f);
    CHECK(claimed.square == 0.0f);
    CHECK(claimed.norm == kInfinity);
    const Real norm = norm_of(std::vector<Real>(floats.begin(), floats.end()));
    const bool too_small = shape.metric == Metric::cosine && norm <= CoarsePlane::kUnitNormMin;
    CHECK((too_small || norm * (1 + 0x1p-16L) >= CoarsePlane::kNormMax));
    return;
  }
  check_bounds(shape.metric, floats, codes, claimed);
}

TEST_CASE("coarse plane: bounds of rows hold on all data, types and metrics", "[rows]") {
  for (const std::uint32_t dim : {1u, 3u, 15u, 16u, 17u, 64u, 100u, 1023u}) {
    for (const ScalarType type : kTypes) {
      for (const Metric metric : kMetrics) {
        const RowShape shape = RowShape::make(metric, type, dim);
        CoarsePlane plane(shape);
        for (const Kind kind : kKinds) {
          CAPTURE(dim, static_cast<int>(metric), static_cast<int>(type), static_cast<int>(kind));
          Source source(dim, kind);
          std::vector<float> floats(dim);
          for (std::uint32_t row = 0; row < 6; ++row) {
            const std::vector<std::byte> stored = stored_as(type, source.next());
            plane.set(row, stored.data());
            row_floats(type, stored.data(), dim, floats.data());
            check_row(shape, plane, row, floats);
          }
        }
      }
    }
  }
}

void check_query(Metric metric, const std::vector<float>& floats) {
  const auto dim = static_cast<std::uint32_t>(floats.size());
  std::vector<std::int8_t> out(dim + 1, 99);
  const CoarseQuery query = make_coarse_query(metric, floats.data(), dim, out.data());
  CHECK(out[dim] == 99);
  const std::vector<int> codes(out.begin(), out.end() - 1);
  std::int32_t sum = 0;
  Real square = 0;
  for (const int code : codes) {
    sum += code;
    square += static_cast<Real>(code) * code;
  }
  CHECK(query.code_sum == sum);
  if (!query.served) return;
  check_bounds(metric, floats, codes, {query.scale, query.square, query.residual, query.norm});
  CHECK(query.coarse_norm >= std::sqrt(square) * query.scale);
  CHECK(query.coarse_norm <= std::sqrt(square) * query.scale * (1 + 0x1p-17L));
}

TEST_CASE("coarse plane: bounds of queries hold as those of rows do", "[rows]") {
  for (const std::uint32_t dim : {1u, 3u, 16u, 17u, 100u, 784u, 1023u}) {
    for (const Metric metric : kMetrics) {
      for (const Kind kind : kKinds) {
        CAPTURE(dim, static_cast<int>(metric), static_cast<int>(kind));
        check_query(metric, Source(dim, kind).next());
      }
    }
  }
}

TEST_CASE("coarse plane: coordinates of all magnitudes side by side, up to the limit", "[rows]") {
  for (const std::uint32_t dim : {2u, 31u, 300u, 2'000u}) {
    for (const Metric metric : kMetrics) {
      const RowShape shape = RowShape::make(metric, ScalarType::f32, dim);
      CoarsePlane plane(shape);
      Source source(dim, Kind::normal);
      for (int power = -130; power <= 49; power += 7) {
        CAPTURE(dim, static_cast<int>(metric), power);
        std::vector<float> floats = source.next();
        floats[dim / 2] = std::ldexp(1.0f, power);
        for (std::uint32_t i = 0; i < dim; i += 3) floats[i] = std::ldexp(floats[i], power / 2);
        plane.set(0, reinterpret_cast<const std::byte*>(floats.data()));
        check_row(shape, plane, 0, floats);
        check_query(metric, floats);
      }
    }
  }
}

TEST_CASE("coarse plane: the largest dimension", "[rows]") {
  const std::uint32_t dim = 65'536;
  for (const Metric metric : {Metric::l2, Metric::cosine}) {
    const RowShape shape = RowShape::make(metric, ScalarType::f32, dim);
    CoarsePlane plane(shape);
    for (const Kind kind : {Kind::normal, Kind::equal, Kind::one_giant}) {
      CAPTURE(static_cast<int>(metric), static_cast<int>(kind));
      const std::vector<float> floats = Source(dim, kind).next();
      plane.set(0, reinterpret_cast<const std::byte*>(floats.data()));
      check_row(shape, plane, 0, floats);
      check_query(metric, floats);
    }
    // All at the largest code: the sums of squares of codes are at their largest.
    const std::vector<float> floats(dim, -3.0f);
    plane.set(1, reinterpret_cast<const std::byte*>(floats.data()));
    check_row(shape, plane, 1, floats);
    CHECK(codes_of(plane, 1)[dim - 1] == -127);
  }
}

// Sets one row of four floats and gives what the plane claims for it.
Claimed claims(Metric metric, const std::vector<float>& floats) {
  const RowShape shape =
      RowShape::make(metric, ScalarType::f32, static_cast<std::uint32_t>(floats.size()));
  CoarsePlane plane(shape);
  plane.set(3, reinterpret_cast<const std::byte*>(floats.data()));
  check_row(shape, plane, 3, floats);
  return {plane.scales()[3], plane.squares()[3], plane.residuals()[3], plane.norms()[3]};
}

TEST_CASE("coarse plane: zero, tiny and too large vectors", "[rows]") {
  CHECK(claims(Metric::l2, {0, 0, 0, 0}).residual <= 0x1p-59f);
  CHECK(claims(Metric::l2, {0, 0, 0, 0}).square == 0.0f);
  CHECK(claims(Metric::dot, {0x1p-149f, -0x1p-149f, 0, 0}).scale == 0.0f);
  CHECK(claims(Metric::dot, {0x1p-101f, 0, 0, 0}).residual >= 0x1p-101f);
  CHECK(claims(Metric::l2, {9.9e14f, 0, 0, 0}).residual < 9.9e14f * 0x1p-15f);
  CHECK(claims(Metric::l2, {1e15f, 1e15f, 0, 0}).residual == kInfinity);
  CHECK(claims(Metric::dot, {3.4e38f, 3.4e38f, 3.4e38f, 3.4e38f}).norm == kInfinity);
  CHECK(claims(Metric::cosine, {1e-9f, -2e-9f, 0, 0}).residual < 0.01f);
  CHECK(claims(Metric::cosine, {1e-11f, 0, 0, 0}).residual == kInfinity);
  CHECK(claims(Metric::cosine, {0x1p-149f, 0, 0, 0}).residual == kInfinity);
}

TEST_CASE("coarse plane: a row that codes can hold is left out by nothing", "[rows]") {
  const Claimed claimed = claims(Metric::l2, {127.0f, -127.0f, 3.0f, 0.0f});
  CHECK(claimed.scale == 1.0f);
  CHECK(claimed.square == 127.0f * 127 * 2 + 9);
  CHECK(claimed.residual <= 0x1p-59f);
}

TEST_CASE("coarse plane: a row from an odd address is the same row", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 5);
  const float floats[5] = {0.3f, -1.7f, 0.2f, 9.0f, 4.4f};
  std::byte unaligned[21];
  std::memcpy(unaligned + 1, floats, sizeof(floats));
  CoarsePlane plane(shape);
  plane.set(0, reinterpret_cast<const std::byte*>(floats));
  plane.set(1, unaligned + 1);
  CHECK(codes_of(plane, 0) == codes_of(plane, 1));
  CHECK(plane.residuals()[0] == plane.residuals()[1]);
}

TEST_CASE("coarse plane: which shapes it serves, and what it costs", "[rows]") {
  CHECK(CoarsePlane::serves(RowShape::make(Metric::l2, ScalarType::u8, 8)));
  CHECK(CoarsePlane::serves(RowShape::make(Metric::cosine, ScalarType::f16, 8)));
  CHECK_FALSE(CoarsePlane::serves(RowShape::make(Metric::l1, ScalarType::f32, 8)));
  CHECK_FALSE(CoarsePlane::serves(RowShape::make(Metric::hamming, ScalarType::bit, 8)));
  CHECK(CoarsePlane::bytes_per_row(RowShape::make(Metric::l2, ScalarType::f32, 128)) == 144);
  CHECK(CoarsePlane::bytes_per_row(RowShape::make(Metric::l2, ScalarType::f32, 129)) == 208);
}

TEST_CASE("coarse plane: a query out of range is not served", "[rows]") {
  std::int8_t codes[2] = {1, 1};
  const float large[2] = {1e16f, 1.0f};
  CHECK_FALSE(make_coarse_query(Metric::l2, large, 2, codes).served);
  CHECK((codes[0] == 0 && codes[1] == 0));
  const float small[2] = {1e-12f, 1e-12f};
  CHECK_FALSE(make_coarse_query(Metric::cosine, small, 2, codes).served);
  CHECK(make_coarse_query(Metric::l2, small, 2, codes).served);
}

}  // namespace
