// Row records and row hashes: the bytes on disk, held by golden bytes, and what damage does to
// them. FORMAT.md describes what is pinned here. One thread.
// Always holds: random rows come from a fixed seed that a failure shows.
#include "engine/store/record.h"

#include <catch2/catch.hpp>
#include <random>

#include "engine/base/limits.h"

namespace vecserve::engine {
namespace {

std::string hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

StoreRow row_of(IdView id, std::uint64_t expires, std::string_view payload,
                std::string_view vector) {
  StoreRow row;
  row.id = id;
  row.expires_at_ms = expires;
  row.payload = payload;
  row.vector = {reinterpret_cast<const std::byte*>(vector.data()), vector.size()};
  return row;
}

std::string encoded(const StoreRow& row) {
  std::string out;
  encode_record(row, out);
  return out;
}

TEST_CASE("record: the bytes of a plain row are those of FORMAT.md", "[record]") {
  const std::string bytes = encoded(row_of(IdView(0x0102030405060708), 0, "", "\x11\x22\x33"));
  CHECK(hex(bytes) == "01000807060504030201112233ed134ad6bfc99211");
}

TEST_CASE("record: the bytes of a row with everything are those of FORMAT.md", "[record]") {
  const std::string bytes =
      encoded(row_of(IdView(std::string_view("abc")), 0x0a0b, "{\"a\":1}", "\x44"));
  CHECK(hex(bytes) == "0107036162630b0a000000000000077b2261223a317d4410531ad0747b496f");
}

TEST_CASE("record: row hashes are part of the format", "[record]") {
  CHECK(row_hash(1, 2, IdView(3)) == 0x46a708c7844e99e3);
  CHECK(row_hash(1, 2, IdView(std::string_view("id"))) == 0x41e614647fa4cef0);
  CHECK(row_hash(1, 2, IdView(0x61)) != row_hash(1, 2, IdView(std::string_view("a"))));
  CHECK(row_hash(1, 2, IdView(3)) != row_hash(2, 1, IdView(3)));
}

TEST_CASE("record: decoding gives back what was encoded", "[record]") {
  const unsigned seed = 11;
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    const std::string id(1 + random() % limits::id_bytes_max, static_cast<char>(random()));
    const std::string payload(random() % 400, 'p');
    const std::string vector(random() % 65, static_cast<char>(random()));
    const StoreRow row = row_of(round % 2 == 0 ? IdView(random()) : IdView(std::string_view(id)),
                                round % 3 == 0 ? 0 : random() | 1, payload, vector);
    const std::string bytes = encoded(row);
    auto back = decode_record(bytes, vector.size());
    REQUIRE(back.ok());
    CHECK(back->id.is_number() == row.id.is_number());
    CHECK(back->id.number == row.id.number);
    CHECK(back->id.bytes == row.id.bytes);
    CHECK(back->expires_at_ms == row.expires_at_ms);
    CHECK(back->payload == row.payload);
    CHECK(
        std::equal(back->vector.begin(), back->vector.end(), row.vector.begin(), row.vector.end()));
    CHECK(decode_record(bytes, vector.size() + 1).status().code() == StatusCode::data_loss);
  }
}

TEST_CASE("record: records are appended behind what is there", "[record]") {
  std::string out = "before";
  const StoreRow row = row_of(IdView(1), 0, "", "v");
  encode_record(row, out);
  CHECK(out == "before" + encoded(row));
}

TEST_CASE("record: every flipped bit and every cut is found", "[record]") {
  const std::string bytes =
      encoded(row_of(IdView(std::string_view("name")), 5, "{}", "0123456789abcdef"));
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    REQUIRE(decode_record(damaged, 16).status().code() == StatusCode::data_loss);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    REQUIRE(decode_record(bytes.substr(0, size), 16).status().code() == StatusCode::data_loss);
  }
  CHECK(decode_record(bytes + '\0', 16).status().code() == StatusCode::data_loss);
}

}  // namespace
}  // namespace vecserve::engine
