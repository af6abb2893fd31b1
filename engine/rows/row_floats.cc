// See row_floats.h. Runs on the committing thread, once for each row that is written, so the loops
// are such as a compiler turns into vector code. Always holds: every storable value has an exact
// float.
#include "engine/rows/row_floats.h"

#include <bit>
#include <cstring>

#include "engine/rows/scalar.h"

namespace vecserve::engine {

namespace {

// As F16Scalar in scalar.h, but by way of a float, whose exponents are enough: the ten bits of
// fraction move up to its 23, and the factor makes up for the biases (127 - 15).
float from_f16(std::uint16_t half) {
  const std::uint32_t bits = half;
  const float magnitude = std::bit_cast<float>((bits & 0x7fffu) << 13) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | (bits & 0x8000u) << 16);
}

float from_bf16(std::uint16_t upper) {
  return std::bit_cast<float>(std::uint32_t{upper} << 16);
}

template <typename Stored, typename Convert>
void convert(const std::byte* row, std::uint32_t dim, float* out, Convert convert_one) {
  for (std::uint32_t i = 0; i < dim; ++i) {
    out[i] = convert_one(load_as<Stored>(row + i * sizeof(Stored)));
  }
}

}  // namespace

void row_floats(ScalarType type, const std::byte* row, std::uint32_t dim, float* out) {
  switch (type) {
    case ScalarType::f32:
      std::memcpy(out, row, std::size_t{dim} * sizeof(float));
      break;
    case ScalarType::f16:
      convert<std::uint16_t>(row, dim, out, from_f16);
      break;
    case ScalarType::bf16:
      convert<std::uint16_t>(row, dim, out, from_bf16);
      break;
    case ScalarType::i8:
      convert<std::int8_t>(row, dim, out, [](std::int8_t x) { return static_cast<float>(x); });
      break;
    case ScalarType::u8:
      convert<std::uint8_t>(row, dim, out, [](std::uint8_t x) { return static_cast<float>(x); });
      break;
    case ScalarType::bit:
      break;
  }
}

}  // namespace vecserve::engine
