// Checks engine/base/half.h: all 65,536 patterns of both formats, and rounding at every border.
// Single-threaded. Always holds: nearness is judged in double, where all values are exact.
// The halves of the test agree with the definition of the format, not with the code.
#include "engine/base/half.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/support/dice.h"

namespace {

using namespace vecserve::engine;
using vecserve::test::Dice;

// The value of a half by its definition.
double half_value(std::uint32_t half) {
  const double sign = (half & 0x8000u) != 0 ? -1.0 : 1.0;
  const auto exponent = static_cast<int>(half >> 10 & 31u);
  const double fraction = half & 1023u;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024.0 + fraction, exponent - 25);
}

TEST_CASE("half: every finite pattern has its value and comes back", "[base]") {
  int wrong = 0;
  for (std::uint32_t half = 0; half < 65'536; ++half) {
    if ((half & 0x7c00u) == 0x7c00u) continue;
    const float value = float_from_f16(static_cast<std::uint16_t>(half));
    wrong += static_cast<double>(value) != half_value(half);
    wrong += std::signbit(value) != ((half & 0x8000u) != 0);
    wrong += f16_from_float(value) != half;
  }
  CHECK(wrong == 0);
}

TEST_CASE("half: infinities and NaN stay what they are", "[base]") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(float_from_f16(0x7c00) == infinity);
  CHECK(float_from_f16(0xfc00) == -infinity);
  CHECK(std::isnan(float_from_f16(0x7c01)));
  CHECK(f16_from_float(infinity) == 0x7c00);
  CHECK(f16_from_float(-infinity) == 0xfc00);
  CHECK((f16_from_float(std::nanf("")) & 0x7fff) > 0x7c00);
  CHECK(bf16_from_float(infinity) == 0x7f80);
  CHECK((bf16_from_float(std::nanf("")) & 0x7fff) > 0x7f80);
  // A NaN whose set bits are all below bit 16 must not turn into infinity.
  CHECK((bf16_from_float(std::bit_cast<float>(0x7f800001u)) & 0x7fff) > 0x7f80);
}

TEST_CASE("half: rounding goes to the nearest, ties to even, too large to infinity", "[base]") {
  CHECK(f16_from_float(65'504.0f) == 0x7bff);
  CHECK(f16_from_float(65'519.99f) == 0x7bff);
  CHECK(f16_from_float(65'520.0f) == 0x7c00);
  CHECK(f16_from_float(1.0f + 0x1p-11f) == 0x3c00);             // a tie, even below
  CHECK(f16_from_float(1.0f + 0x1p-10f + 0x1p-11f) == 0x3c02);  // a tie, even above
  CHECK(f16_from_float(1.0f + 0x1p-11f + 0x1p-20f) == 0x3c01);
  CHECK(f16_from_float(0x1p-25f) == 0);  // half of the smallest: even is zero
  CHECK(f16_from_float(0x1.000002p-25f) == 1);
  CHECK(f16_from_float(0x1p-14f - 0x1p-25f) == 0x0400);  // a denormal that rounds to a normal
  CHECK(f16_from_float(-0x1p-30f) == 0x8000);
}

TEST_CASE("half: random floats round to a nearest half", "[base]") {
  const std::uint64_t seed = 11;
  CAPTURE(seed);
  Dice dice(seed);
  for (int i = 0; i < 20'000; ++i) {
    const auto exponent = static_cast<int>(dice.between(0, 42)) - 27;
    const auto fraction = static_cast<double>(dice.below(1u << 24)) * 0x1p-24 + 1.0;
    const auto x = static_cast<float>(std::ldexp(fraction, exponent));
    const std::uint16_t half = f16_from_float(x);
    if (half >= 0x7bff) continue;
    const double error = std::fabs(half_value(half) - static_cast<double>(x));
    const double above = std::fabs(half_value(half + 1u) - static_cast<double>(x));
    const double below =
        half == 0 ? above : std::fabs(half_value(half - 1u) - static_cast<double>(x));
    REQUIRE(error <= above);
    REQUIRE(error <= below);
    if (error == above || error == below) REQUIRE(half % 2 == 0);
  }
}

TEST_CASE("bf16: every pattern comes back, and ties go to even", "[base]") {
  int wrong = 0;
  for (std::uint32_t brain = 0; brain < 65'536; ++brain) {
    const float value = float_from_bf16(static_cast<std::uint16_t>(brain));
    if (std::isnan(value)) continue;
    wrong += bf16_from_float(value) != brain;
  }
  CHECK(wrong == 0);
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f808000u)) == 0x3f80);
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f818000u)) == 0x3f82);
  CHECK(bf16_from_float(std::bit_cast<float>(0x3f808001u)) == 0x3f81);
  CHECK(bf16_from_float(std::numeric_limits<float>::max()) == 0x7f80);
}

}  // namespace
