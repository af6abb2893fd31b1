// Checks engine/rows/row_floats: each storage type against the exact reading of scalar.h, value by
// value over all that sixteen bits can hold. Single-threaded. Always holds: equality is of bits, so
// that a lost sign of zero would show.
#include "engine/rows/row_floats.h"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/rows/scalar.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

// Every 16-bit pattern that is no infinity or NaN, as floats and as scalar.h reads it.
template <typename Scalar>
void check_halves(ScalarType type, std::uint32_t exponent_bits) {
  std::vector<std::uint16_t> stored;
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    if ((bits & exponent_bits) != exponent_bits) stored.push_back(static_cast<std::uint16_t>(bits));
  }
  const auto dim = static_cast<std::uint32_t>(stored.size());
  std::vector<float> floats(dim);
  row_floats(type, reinterpret_cast<const std::byte*>(stored.data()), dim, floats.data());
  std::uint32_t wrong = 0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    const double exact = Scalar::get(reinterpret_cast<const std::byte*>(&stored[i]));
    const auto expected = static_cast<float>(exact);
    if (std::bit_cast<std::uint32_t>(floats[i]) != std::bit_cast<std::uint32_t>(expected)) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(dim > 60'000);
}

TEST_CASE("row floats: every half has its exact float", "[rows]") {
  check_halves<F16Scalar>(ScalarType::f16, 0x7c00);
}

TEST_CASE("row floats: every bf16 has its exact float", "[rows]") {
  check_halves<Bf16Scalar>(ScalarType::bf16, 0x7f80);
}

TEST_CASE("row floats: bytes, signed and unsigned", "[rows]") {
  std::vector<std::uint8_t> bytes(256);
  for (std::uint32_t i = 0; i < 256; ++i) bytes[i] = static_cast<std::uint8_t>(i);
  std::vector<float> floats(256);
  const auto* row = reinterpret_cast<const std::byte*>(bytes.data());
  row_floats(ScalarType::u8, row, 256, floats.data());
  for (std::uint32_t i = 0; i < 256; ++i) CHECK(floats[i] == static_cast<float>(i));
  row_floats(ScalarType::i8, row, 256, floats.data());
  for (int i = -128; i < 128; ++i) {
    CHECK(floats[static_cast<std::uint8_t>(i)] == static_cast<float>(i));
  }
}

TEST_CASE("row floats: floats are copied from any address, and no more than dim of them",
          "[rows]") {
  const float values[3] = {1.5f, -0.0f, 3e38f};
  std::byte unaligned[13];
  std::memcpy(unaligned + 1, values, sizeof(values));
  float out[4] = {0, 0, 0, 77.0f};
  row_floats(ScalarType::f32, unaligned + 1, 3, out);
  CHECK(out[0] == 1.5f);
  CHECK((out[1] == 0.0f && std::signbit(out[1])));
  CHECK(out[2] == 3e38f);
  CHECK(out[3] == 77.0f);
}

}  // namespace
