// Checks engine/rows/scalar: every stored type reads as the double it stands for.
// Single-threaded. Always holds: the 16-bit types are checked over all their finite values.
// Part of unit_rows, which links that layer and what is below it, nothing above.
#include "engine/rows/scalar.h"

#include <catch2/catch.hpp>
#include <cmath>

namespace {

using namespace vecserve::engine;

template <typename Scalar, typename T>
double read(T stored) {
  std::byte bytes[sizeof(T)];
  std::memcpy(bytes, &stored, sizeof(T));
  return Scalar::get(bytes);
}

TEST_CASE("scalar: every finite half is sign, exponent and fraction put together", "[rows]") {
  int wrong = 0;
  for (std::uint32_t half = 0; half < 65'536; ++half) {
    const int exponent = static_cast<int>(half >> 10 & 31);
    if (exponent == 31) continue;
    const auto fraction = static_cast<double>(half & 1023);
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024.0 + fraction, exponent - 25);
    const double expected = (half & 0x8000) != 0 ? -magnitude : magnitude;
    if (read<F16Scalar>(static_cast<std::uint16_t>(half)) != expected) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("scalar: a bfloat is the upper half of a float", "[rows]") {
  CHECK(read<Bf16Scalar>(std::uint16_t{0x3f80}) == 1.0);
  CHECK(read<Bf16Scalar>(std::uint16_t{0xc000}) == -2.0);
  CHECK(read<Bf16Scalar>(std::uint16_t{0x0001}) == 0x1p-133);
}

TEST_CASE("scalar: bytes and floats keep their value", "[rows]") {
  CHECK(read<I8Scalar>(std::int8_t{-128}) == -128.0);
  CHECK(read<U8Scalar>(std::uint8_t{255}) == 255.0);
  CHECK(read<F32Scalar>(0.1f) == static_cast<double>(0.1f));
  CHECK(read<F32Scalar>(0x1p-149f) == 0x1p-149);
}

}  // namespace
