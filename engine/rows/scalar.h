// Reads one stored coordinate as a double, exactly. Stands below the norms of a block and the
// reference scorer, so that both mean the same number by the same bytes.
// Any thread; pure. Always holds: every finite stored value has one exact double.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vecserve::engine {

template <typename T>
[[nodiscard]] inline T load_as(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// Each type: how many bytes, and the value at `at`.
struct F32Scalar {
  static constexpr std::size_t kBytes = 4;
  static double get(const std::byte* at) { return static_cast<double>(load_as<float>(at)); }
};

struct F16Scalar {
  static constexpr std::size_t kBytes = 2;
  // The 10 bits of fraction move up to the 52 of a double and the exponent with them; the factor
  // makes up for the different biases (1023 - 15) and turns denormal halves into normal doubles.
  static double get(const std::byte* at) {
    const auto half = std::uint64_t{load_as<std::uint16_t>(at)};
    const double magnitude = std::bit_cast<double>((half & 0x7fff) << 42) * 0x1p1008;
    return (half & 0x8000) != 0 ? -magnitude : magnitude;
  }
};

struct Bf16Scalar {
  static constexpr std::size_t kBytes = 2;
  static double get(const std::byte* at) {
    const auto upper = std::uint32_t{load_as<std::uint16_t>(at)};
    return static_cast<double>(std::bit_cast<float>(upper << 16));
  }
};

struct I8Scalar {
  static constexpr std::size_t kBytes = 1;
  static double get(const std::byte* at) { return static_cast<double>(load_as<std::int8_t>(at)); }
};

struct U8Scalar {
  static constexpr std::size_t kBytes = 1;
  static double get(const std::byte* at) { return static_cast<double>(load_as<std::uint8_t>(at)); }
};

}  // namespace vecserve::engine
