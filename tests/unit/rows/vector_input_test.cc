// Checks engine/rows/vector_input: what is stored for every pair of types, what is refused and
// under which name, and that a refusal leaves the output alone. Single-threaded.
// Always holds: expected values are written out, and exact.
#include "engine/rows/vector_input.h"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/half.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Result<std::vector<float>> stored(ScalarType type, const VectorView& view,
                                  Metric metric = Metric::l2) {
  const RowShape shape = RowShape::make(metric, type, view.dim);
  std::vector<std::byte> out(3, std::byte{7});  // something before it, which must stay
  const Status status = store_vector(shape, view, "vector", out);
  CHECK(out[0] == std::byte{7});
  if (!status.ok()) {
    CHECK(out.size() == 3);
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == "vector");
    return status;
  }
  CHECK(out.size() == 3 + shape.row_bytes);
  return Vector(type, view.dim, std::span(out).subspan(3)).to_floats();
}

bool refused(ScalarType type, const std::vector<float>& x, Metric metric = Metric::l2) {
  return !stored(type, x, metric).ok();
}

TEST_CASE("vector input: floats are stored exactly or rounded to even", "[rows]") {
  using Floats = std::vector<float>;
  const Floats x = {0.0f, -1.5f, 1e-40f};
  CHECK(stored(ScalarType::f32, x).value() == x);
  CHECK(stored(ScalarType::f16, Floats{1.0f + 0x1p-11f, -2.0f}).value() == Floats{1.0f, -2.0f});
  CHECK(stored(ScalarType::bf16, Floats{1.0f + 0x1p-8f, 3.0f}).value() == Floats{1.0f, 3.0f});
  CHECK(stored(ScalarType::i8, Floats{0.5f, 1.5f, -2.5f, 127.4f, -128.5f}).value() ==
        Floats{0.0f, 2.0f, -2.0f, 127.0f, -128.0f});
  CHECK(stored(ScalarType::u8, Floats{-0.5f, 254.5f, 255.4f}).value() ==
        Floats{0.0f, 254.0f, 255.0f});
}

TEST_CASE("vector input: what does not fit is refused, not clamped", "[rows]") {
  CHECK(refused(ScalarType::f16, {65'520.0f}));
  CHECK_FALSE(refused(ScalarType::f16, {65'519.0f}));
  CHECK(refused(ScalarType::bf16, {std::numeric_limits<float>::max()}));
  CHECK(refused(ScalarType::i8, {127.5f}));
  CHECK(refused(ScalarType::i8, {-128.6f}));
  CHECK(refused(ScalarType::u8, {-0.6f}));
  CHECK(refused(ScalarType::u8, {255.5f}));
  CHECK(refused(ScalarType::u8, {1e30f}));
}

TEST_CASE("vector input: NaN and infinities are refused in every type and place", "[rows]") {
  for (const ScalarType type :
       {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8, ScalarType::u8}) {
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) {
      for (const std::size_t place : {0u, 16u, 32u}) {
        std::vector<float> x(33, 1.0f);
        x[place] = bad;
        CHECK(refused(type, x));
      }
    }
  }
  const std::array<std::uint16_t, 2> half = {0x3c00, 0x7c00};
  CHECK_FALSE(stored(ScalarType::f16, VectorView::f16(half)).ok());
  const std::array<std::uint16_t, 2> brain = {0x7fc0, 0x3f80};
  CHECK_FALSE(stored(ScalarType::bf16, VectorView::bf16(brain)).ok());
  const auto status = stored(ScalarType::f32, std::vector<float>{1.0f, kInfinity}).status();
  CHECK(status.message().find("coordinate 1") != std::string::npos);
}

TEST_CASE("vector input: a collection takes its own type or floats, nothing else", "[rows]") {
  const std::array<std::int8_t, 2> i8 = {-3, 4};
  CHECK(stored(ScalarType::i8, VectorView(std::span<const std::int8_t>(i8))).value() ==
        std::vector<float>{-3.0f, 4.0f});
  CHECK_FALSE(stored(ScalarType::u8, VectorView(std::span<const std::int8_t>(i8))).ok());
  CHECK_FALSE(stored(ScalarType::f32, VectorView(std::span<const std::int8_t>(i8))).ok());
  CHECK_FALSE(stored(ScalarType::i8, VectorView(static_cast<ScalarType>(9), i8.data(), 2)).ok());
  const std::vector<float> floats = {1.0f, 0.0f};
  CHECK_FALSE(stored(ScalarType::bit, floats, Metric::hamming).ok());
  const std::array<std::uint8_t, 1> bits = {1};
  CHECK_FALSE(stored(ScalarType::f32, VectorView::bits(bits, 8)).ok());
}

TEST_CASE("vector input: a wrong dimension and a missing vector are told apart", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 3);
  std::vector<std::byte> out;
  const std::vector<float> two = {1, 2};
  const Status wrong = store_vector(shape, two, "v", out);
  CHECK(wrong.field() == "v");
  CHECK(wrong.message() == "has 2 dimensions, the collection has 3");
  CHECK(store_vector(shape, {}, "v", out).message() == "has 0 dimensions, the collection has 3");
  const Status missing = store_vector(shape, {ScalarType::f32, nullptr, 3}, "v", out);
  CHECK(missing.message() == "is missing");
  CHECK(out.empty());
}

TEST_CASE("vector input: unused bits are cleared, also in a query", "[rows]") {
  const RowShape shape = RowShape::make(Metric::hamming, ScalarType::bit, 11);
  REQUIRE(shape.row_bytes == 2);
  const std::array<std::uint8_t, 2> packed = {0xa5, 0xff};
  std::vector<std::byte> out;
  REQUIRE(store_vector(shape, VectorView::bits(packed, 11), "v", out).ok());
  CHECK(out == std::vector<std::byte>{std::byte{0xa5}, std::byte{0x07}});
  std::array<std::byte, 2> query{};
  REQUIRE(query_bits(shape, VectorView::bits(packed, 11), "v", query.data()).ok());
  CHECK(query[0] == std::byte{0xa5});
  CHECK(query[1] == std::byte{0x07});
  const std::vector<float> floats(11, 1.0f);
  CHECK_FALSE(query_bits(shape, floats, "v", query.data()).ok());
  // A full last byte keeps all its bits.
  const RowShape eight = RowShape::make(Metric::hamming, ScalarType::bit, 8);
  out.clear();
  REQUIRE(store_vector(eight, VectorView::bits(std::span(packed).last(1), 8), "v", out).ok());
  CHECK(out[0] == std::byte{0xff});
}

TEST_CASE("vector input: cosine refuses what is zero once stored", "[rows]") {
  CHECK(refused(ScalarType::f32, {0.0f, -0.0f}, Metric::cosine));
  CHECK_FALSE(refused(ScalarType::f32, {0.0f, 1e-45f}, Metric::cosine));
  CHECK_FALSE(refused(ScalarType::f32, {0.0f, 0.0f}, Metric::dot));
  // Not zero as given, but zero as a half and as an integer.
  CHECK(refused(ScalarType::f16, {1e-10f, 0.0f}, Metric::cosine));
  CHECK(refused(ScalarType::i8, {0.4f, -0.4f}, Metric::cosine));
}

TEST_CASE("vector input: query floats are exact and the norm is rounded up", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f16, 2);
  std::array<float, 2> out{};
  double norm = -1.0;
  const std::vector<float> x = {3.0f, 4.0f + 0x1p-20f};  // not a half: a query keeps it
  REQUIRE(query_floats(shape, x, "q", out.data(), norm).ok());
  CHECK(out[1] == x[1]);
  CHECK(norm >= std::hypot(3.0, static_cast<double>(x[1])));
  CHECK(norm < 5.0001);
  const std::array<std::uint16_t, 2> half = {0x3c00, 0xc000};
  REQUIRE(query_floats(shape, VectorView::f16(half), "q", out.data(), norm).ok());
  CHECK(out[0] == 1.0f);
  CHECK(out[1] == -2.0f);
  const std::vector<float> zero = {0.0f, 0.0f};
  REQUIRE(query_floats(shape, zero, "q", out.data(), norm).ok());
  CHECK(norm >= 0.0);
  const RowShape cosine = RowShape::make(Metric::cosine, ScalarType::f32, 2);
  const Status status = query_floats(cosine, zero, "q", out.data(), norm);
  CHECK(status.field() == "q");
  CHECK_FALSE(
      query_floats(shape, std::vector<float>{std::nanf(""), 0.0f}, "q", out.data(), norm).ok());
}

TEST_CASE("vector input: no alignment is required", "[rows]") {
  std::array<std::byte, 13> raw{};
  const std::array<float, 3> x = {1.0f, -2.0f, 3.5f};
  std::memcpy(raw.data() + 1, x.data(), 12);
  CHECK(stored(ScalarType::f32, {ScalarType::f32, raw.data() + 1, 3}).value() ==
        std::vector<float>{1.0f, -2.0f, 3.5f});
  CHECK(stored(ScalarType::u8, {ScalarType::f32, raw.data() + 1, 1}).value() ==
        std::vector<float>{1.0f});
}

}  // namespace
