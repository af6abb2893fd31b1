// The plain values of the public API: metrics, storage types, row ids, vectors, rows, neighbours.
// Nothing here touches a database; every type is a value that may be copied and moved freely.
// The numbers of the enumerators are stored on disk and sent over the wire: they never change.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "vecserve/export.h"

namespace vecserve {

// How near two vectors are. A smaller distance is always the nearer one.
enum class Metric : std::uint8_t {
  l2 = 0,       // sum of squared differences (no square root, as in most libraries)
  dot = 1,      // minus the inner product
  cosine = 2,   // 1 minus the cosine of the angle, between 0 and 2; zero vectors are refused
  l1 = 3,       // sum of absolute differences
  hamming = 4,  // number of differing bits; for ScalarType::bit only, and the only one there
};

// How one coordinate is stored. Vectors given as f32 are rounded to the nearest storable value
// (ties to even); a value that does not fit (infinite in f16, 200 in i8) is refused.
enum class ScalarType : std::uint8_t { f32 = 0, f16 = 1, bf16 = 2, i8 = 3, u8 = 4, bit = 5 };

[[nodiscard]] VECSERVE_API std::string_view to_string(Metric metric);
[[nodiscard]] VECSERVE_API std::string_view to_string(ScalarType type);
[[nodiscard]] VECSERVE_API std::optional<Metric> parse_metric(std::string_view text);
[[nodiscard]] VECSERVE_API std::optional<ScalarType> parse_scalar_type(std::string_view text);

// Bytes that a vector of `dim` coordinates takes in its own type, without padding. Bits are packed
// eight to a byte, the first coordinate in the lowest bit; unused bits of the last byte are zero.
[[nodiscard]] VECSERVE_API std::size_t vector_bytes(ScalarType type, std::uint32_t dim);

// The name of a row: a number, or a byte string of 1 to 255 bytes (any bytes). The total order that
// breaks ties between equal distances and orders scans: numbers first, by value; then strings, byte
// by byte.
class RowId {
 public:
  RowId() = default;                                                 // the number 0
  RowId(std::uint64_t number) : value_(number) {}                    // NOLINT
  RowId(std::string bytes) : value_(std::move(bytes)) {}             // NOLINT
  RowId(std::string_view bytes) : value_(std::string(bytes)) {}      // NOLINT
  RowId(const char* bytes) : value_(std::string(bytes)) {}           // NOLINT
  RowId(int number) : value_(static_cast<std::uint64_t>(number)) {}  // NOLINT

  [[nodiscard]] bool is_number() const { return value_.index() == 0; }
  [[nodiscard]] std::uint64_t number() const { return std::get<0>(value_); }  // if is_number()
  [[nodiscard]] const std::string& bytes() const { return std::get<1>(value_); }
  [[nodiscard]] VECSERVE_API std::string to_string() const;  // for people: 42 or "abc\x01"

  friend bool operator==(const RowId&, const RowId&) = default;
  friend std::strong_ordering operator<=>(const RowId& a, const RowId& b) = default;

 private:
  std::variant<std::uint64_t, std::string> value_;
};

// A vector that somebody else owns, in any storage type. The memory must stay valid and unchanged
// until the call that takes the view returns. No alignment is required.
struct VectorView {
  ScalarType type = ScalarType::f32;
  const void* data = nullptr;
  std::uint32_t dim = 0;

  VectorView() = default;
  VectorView(ScalarType type_in, const void* data_in, std::uint32_t dim_in)
      : type(type_in), data(data_in), dim(dim_in) {}
  VectorView(std::span<const float> f32)  // NOLINT
      : data(f32.data()), dim(static_cast<std::uint32_t>(f32.size())) {}
  VectorView(const std::vector<float>& f32)  // NOLINT
      : data(f32.data()), dim(static_cast<std::uint32_t>(f32.size())) {}
  VectorView(std::span<const std::int8_t> i8)  // NOLINT
      : type(ScalarType::i8), data(i8.data()), dim(static_cast<std::uint32_t>(i8.size())) {}
  VectorView(std::span<const std::uint8_t> u8)  // NOLINT
      : type(ScalarType::u8), data(u8.data()), dim(static_cast<std::uint32_t>(u8.size())) {}

  [[nodiscard]] static VectorView f16(std::span<const std::uint16_t> halves) {
    return {ScalarType::f16, halves.data(), static_cast<std::uint32_t>(halves.size())};
  }
  [[nodiscard]] static VectorView bf16(std::span<const std::uint16_t> brains) {
    return {ScalarType::bf16, brains.data(), static_cast<std::uint32_t>(brains.size())};
  }
  // `packed` holds at least (dim + 7) / 8 bytes, the first coordinate in the lowest bit.
  [[nodiscard]] static VectorView bits(std::span<const std::uint8_t> packed, std::uint32_t dim) {
    return {ScalarType::bit, packed.data(), dim};
  }
  [[nodiscard]] bool empty() const { return dim == 0; }
};

// A vector that owns its bytes, in the type in which it is stored.
class VECSERVE_API Vector {
 public:
  Vector() = default;
  Vector(ScalarType type, std::uint32_t dim, std::span<const std::byte> bytes)
      : type_(type), dim_(dim), bytes_(bytes.begin(), bytes.end()) {}

  [[nodiscard]] ScalarType type() const { return type_; }
  [[nodiscard]] std::uint32_t dim() const { return dim_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }
  [[nodiscard]] VectorView view() const { return {type_, bytes_.data(), dim_}; }
  // Every coordinate as a float; exact for every storage type. A bit is 0 or 1.
  [[nodiscard]] std::vector<float> to_floats() const;

 private:
  ScalarType type_ = ScalarType::f32;
  std::uint32_t dim_ = 0;
  std::vector<std::byte> bytes_;
};

// One row as a caller writes it. In `update`, whatever is left out keeps its stored value; in the
// other calls a missing payload is the empty object and a missing ttl means "lives for ever".
struct RowInput {
  RowId id{};
  VectorView vector{};                        // required but in update
  std::optional<std::string_view> payload{};  // a JSON object in UTF-8
  std::optional<std::uint64_t> ttl_ms{};      // from the moment of the write; 0 means "for ever"
};

// One row as it is stored.
struct Row {
  RowId id;
  Vector vector;                        // empty unless asked for
  std::string payload;                  // the JSON text as it was given; empty unless asked for
  std::optional<std::uint64_t> ttl_ms;  // milliseconds left to live
};

// One answer of a search.
struct Neighbor {
  RowId id;
  double distance = 0.0;
  Vector vector;        // empty unless asked for
  std::string payload;  // empty unless asked for

  friend bool operator==(const Neighbor& a, const Neighbor& b) {
    return a.id == b.id && a.distance == b.distance;
  }
};

}  // namespace vecserve
