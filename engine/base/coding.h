// Numbers and byte runs as bytes, both directions: fixed-width little-endian, big-endian where keys
// must sort, and varints. Stands below store and payload, above nothing. Pure functions, any
// thread. Always holds: a ByteReader never reads outside its input, a read that fails changes
// neither the reader nor the result, and only the shortest form of a varint is accepted, so that
// equal values have equal bytes.
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace vecserve::engine {

static_assert(std::endian::native == std::endian::little,
              "vectors and numbers are stored in the order of the processor");

inline constexpr std::size_t kVarintBytesMax = 10;  // 64 bits, seven to a byte

template <std::unsigned_integral T>
void put_fixed(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

// The most significant byte first: byte order is then number order.
template <std::unsigned_integral T>
void put_big_endian(std::string& out, T value) {
  char bytes[sizeof(T)];
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * (sizeof(T) - 1 - i))));
  }
  out.append(bytes, sizeof(T));
}

inline void put_varint(std::string& out, std::uint64_t value) {
  char bytes[kVarintBytesMax];
  std::size_t count = 0;
  while (value >= 0x80) {
    bytes[count++] = static_cast<char>(static_cast<unsigned char>(value | 0x80));
    value >>= 7;
  }
  bytes[count++] = static_cast<char>(static_cast<unsigned char>(value));
  out.append(bytes, count);
}

// A length as a varint, then the bytes.
inline void put_sized(std::string& out, std::string_view bytes) {
  put_varint(out, bytes.size());
  out.append(bytes);
}

// Takes values off the front of bytes that it does not own.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : left_(bytes) {}

  [[nodiscard]] std::size_t left() const { return left_.size(); }
  [[nodiscard]] bool done() const { return left_.empty(); }

  template <std::unsigned_integral T>
  [[nodiscard]] bool fixed(T& value) {
    if (left_.size() < sizeof(T)) return false;
    std::memcpy(&value, left_.data(), sizeof(T));
    left_.remove_prefix(sizeof(T));
    return true;
  }

  template <std::unsigned_integral T>
  [[nodiscard]] bool big_endian(T& value) {
    if (left_.size() < sizeof(T)) return false;
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i) {
      sum = (sum << 8) | static_cast<unsigned char>(left_[i]);
    }
    value = static_cast<T>(sum);
    left_.remove_prefix(sizeof(T));
    return true;
  }

  [[nodiscard]] bool varint(std::uint64_t& value) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < left_.size() && i < kVarintBytesMax; ++i) {
      const auto byte = static_cast<unsigned char>(left_[i]);
      if (i + 1 == kVarintBytesMax && byte > 1) return false;  // more than 64 bits
      sum |= std::uint64_t{byte & 0x7FU} << (7 * i);
      if (byte < 0x80) {
        if (byte == 0 && i > 0) return false;  // not the shortest form
        value = sum;
        left_.remove_prefix(i + 1);
        return true;
      }
    }
    return false;
  }

  [[nodiscard]] bool bytes(std::size_t count, std::string_view& value) {
    if (left_.size() < count) return false;
    value = left_.substr(0, count);
    left_.remove_prefix(count);
    return true;
  }

  // What put_sized wrote, if it is at most `count_max` bytes.
  [[nodiscard]] bool sized(std::size_t count_max, std::string_view& value) {
    ByteReader ahead = *this;
    std::uint64_t count = 0;
    if (!ahead.varint(count) || count > count_max) return false;
    if (!ahead.bytes(static_cast<std::size_t>(count), value)) return false;
    *this = ahead;
    return true;
  }

 private:
  std::string_view left_;
};

}  // namespace vecserve::engine
