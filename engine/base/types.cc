// Names of the public enumerations, sizes of vectors, and the two value types with a body: RowId's
// text form and Vector's floats. Pure functions, any thread.
// Always holds: parse_x(to_string(x)) == x for every enumerator.
#include "vecserve/types.h"

#include <array>
#include <cstring>

#include "engine/base/half.h"
#include "vecserve/serving.h"

namespace vecserve {

namespace {

constexpr std::array<std::string_view, 5> kMetrics = {"l2", "dot", "cosine", "l1", "hamming"};
constexpr std::array<std::string_view, 6> kTypes = {"f32", "f16", "bf16", "i8", "u8", "bit"};
constexpr std::array<std::string_view, kPriorityCount> kPriorities = {"interactive", "bulk",
                                                                      "background"};

template <typename Enum, std::size_t N>
std::string_view name_of(Enum value, const std::array<std::string_view, N>& names) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : "unknown";
}

template <typename Enum, std::size_t N>
std::optional<Enum> value_of(std::string_view text, const std::array<std::string_view, N>& names) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

template <typename T>
T load(const std::byte* from, std::size_t index) {
  T value;
  std::memcpy(&value, from + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

std::string_view to_string(Metric metric) {
  return name_of(metric, kMetrics);
}
std::string_view to_string(ScalarType type) {
  return name_of(type, kTypes);
}
std::string_view to_string(Priority priority) {
  return name_of(priority, kPriorities);
}
std::optional<Metric> parse_metric(std::string_view text) {
  return value_of<Metric>(text, kMetrics);
}
std::optional<ScalarType> parse_scalar_type(std::string_view text) {
  return value_of<ScalarType>(text, kTypes);
}

std::size_t vector_bytes(ScalarType type, std::uint32_t dim) {
  switch (type) {
    case ScalarType::f32:
      return std::size_t{dim} * 4;
    case ScalarType::f16:
    case ScalarType::bf16:
      return std::size_t{dim} * 2;
    case ScalarType::i8:
    case ScalarType::u8:
      return dim;
    case ScalarType::bit:
      return (std::size_t{dim} + 7) / 8;
  }
  return 0;
}

std::string RowId::to_string() const {
  if (is_number()) {
    return std::to_string(number());
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text = "\"";
  for (const char c : bytes()) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      text += '\\';
      text += c;
    } else if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += kHex[byte >> 4];
      text += kHex[byte & 15];
    }
  }
  text += '"';
  return text;
}

std::vector<float> Vector::to_floats() const {
  if (bytes_.size() < vector_bytes(type_, dim_)) {
    return {};
  }
  std::vector<float> floats(dim_);
  const std::byte* data = bytes_.data();
  for (std::size_t i = 0; i < floats.size(); ++i) {
    switch (type_) {
      case ScalarType::f32:
        floats[i] = load<float>(data, i);
        break;
      case ScalarType::f16:
        floats[i] = engine::float_from_f16(load<std::uint16_t>(data, i));
        break;
      case ScalarType::bf16:
        floats[i] = engine::float_from_bf16(load<std::uint16_t>(data, i));
        break;
      case ScalarType::i8:
        floats[i] = load<std::int8_t>(data, i);
        break;
      case ScalarType::u8:
        floats[i] = load<std::uint8_t>(data, i);
        break;
      case ScalarType::bit:
        floats[i] = static_cast<float>(load<std::uint8_t>(data, i / 8) >> (i % 8) & 1);
        break;
    }
  }
  return floats;
}

}  // namespace vecserve
