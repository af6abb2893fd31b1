// Numbers and byte runs as bytes, both directions. Everything on disk is built of these, so the
// bytes themselves are checked, not only that they come back. One thread.
// Always holds: random values come from a fixed seed that a failure shows.
#include "engine/base/coding.h"

#include <catch2/catch.hpp>
#include <random>

namespace vecserve::engine {
namespace {

std::string bytes_of(std::initializer_list<int> values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

TEST_CASE("coding: fixed numbers are little-endian, keys big-endian", "[coding]") {
  std::string out;
  put_fixed(out, std::uint8_t{0xab});
  put_fixed(out, std::uint16_t{0x0102});
  put_fixed(out, std::uint32_t{0x01020304});
  put_fixed(out, std::uint64_t{0x0102030405060708});
  CHECK(out == bytes_of({0xab, 2, 1, 4, 3, 2, 1, 8, 7, 6, 5, 4, 3, 2, 1}));
  out.clear();
  put_big_endian(out, std::uint32_t{0x01020304});
  put_big_endian(out, std::uint64_t{0x0102030405060708});
  CHECK(out == bytes_of({1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8}));
}

TEST_CASE("coding: varints take seven bits a byte", "[coding]") {
  const auto encoded = [](std::uint64_t value) {
    std::string out;
    put_varint(out, value);
    return out;
  };
  CHECK(encoded(0) == bytes_of({0}));
  CHECK(encoded(127) == bytes_of({127}));
  CHECK(encoded(128) == bytes_of({0x80, 1}));
  CHECK(encoded(300) == bytes_of({0xac, 2}));
  CHECK(encoded(UINT64_MAX) == bytes_of({255, 255, 255, 255, 255, 255, 255, 255, 255, 1}));
}

TEST_CASE("coding: what was put is read back, and nothing beyond the end", "[coding]") {
  const unsigned seed = 7;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 200; ++round) {
    const std::uint64_t value = random() >> (random() % 64);
    std::string out;
    put_varint(out, value);
    put_fixed(out, value);
    put_big_endian(out, value);
    put_sized(out, "tail");
    for (std::size_t cut = 0; cut <= out.size(); ++cut) {
      ByteReader in(std::string_view(out).substr(0, cut));
      std::uint64_t a = 0;
      std::uint64_t b = 0;
      std::uint64_t c = 0;
      std::string_view tail;
      const bool whole =
          in.varint(a) && in.fixed(b) && in.big_endian(c) && in.sized(4, tail) && in.done();
      REQUIRE(whole == (cut == out.size()));
      if (!whole) continue;
      REQUIRE(a == value);
      REQUIRE(b == value);
      REQUIRE(c == value);
      REQUIRE(tail == "tail");
    }
  }
}

TEST_CASE("coding: a failed read changes nothing", "[coding]") {
  const std::string three = bytes_of({5, 'a', 'b'});
  ByteReader in(three);
  std::uint32_t number = 9;
  CHECK_FALSE(in.fixed(number));
  CHECK_FALSE(in.big_endian(number));
  std::string_view run = "before";
  CHECK_FALSE(in.sized(10, run));
  CHECK_FALSE(in.bytes(4, run));
  CHECK(number == 9);
  CHECK(run == "before");
  CHECK(in.left() == 3);
}

TEST_CASE("coding: varints that are too long, too large or not the shortest are refused",
          "[coding]") {
  std::uint64_t value = 0;
  CHECK_FALSE(ByteReader(bytes_of({0x80, 0})).varint(value));
  CHECK_FALSE(ByteReader(bytes_of({0x80})).varint(value));
  CHECK_FALSE(ByteReader(bytes_of({255, 255, 255, 255, 255, 255, 255, 255, 255, 2})).varint(value));
  CHECK_FALSE(
      ByteReader(bytes_of({255, 255, 255, 255, 255, 255, 255, 255, 255, 129, 0})).varint(value));
  std::string_view run;
  CHECK_FALSE(ByteReader(bytes_of({3, 'a', 'b', 'c'})).sized(2, run));
  CHECK(ByteReader(bytes_of({3, 'a', 'b', 'c'})).sized(3, run));
}

}  // namespace
}  // namespace vecserve::engine
