// The watermark file: its bytes, damage to it, and writing it. FORMAT.md describes what is pinned
// here. One thread.
// Always holds: no damaged watermark is ever believed.
#include "engine/store/watermark.h"

#include <catch2/catch.hpp>

#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

rocksdb::FileSystem& real() {
  return *rocksdb::FileSystem::Default();
}

const Watermark kSample{0x1122334455667788, 0x0102030405060708, true, Durability::process};

TEST_CASE("watermark: its 64 bytes are those of FORMAT.md", "[watermark]") {
  const std::string bytes = encode_watermark(kSample);
  REQUIRE(bytes.size() == 64);
  CHECK(bytes.substr(0, 8) == "VECSMARK");
  CHECK(bytes.substr(8, 8) == std::string("\x01\0\0\0\x01\x01\0\0", 8));
  CHECK(bytes.substr(16, 8) == "\x88\x77\x66\x55\x44\x33\x22\x11");
  CHECK(bytes.substr(24, 8) == "\x08\x07\x06\x05\x04\x03\x02\x01");
  CHECK(bytes.substr(32, 24) == std::string(24, '\0'));
}

TEST_CASE("watermark: every flipped bit and every other length is data loss", "[watermark]") {
  const std::string bytes = encode_watermark(kSample);
  REQUIRE(decode_watermark(bytes).ok());
  CHECK(*decode_watermark(bytes) == kSample);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    REQUIRE(decode_watermark(damaged).status().code() == StatusCode::data_loss);
  }
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE(decode_watermark(bytes.substr(0, size)).status().code() == StatusCode::data_loss);
  }
  CHECK(decode_watermark(bytes + "x").status().code() == StatusCode::data_loss);
}

TEST_CASE("watermark: is written and read back, absent or too long is told", "[watermark]") {
  const TempFolder folder;
  const std::string root = folder.root().string();
  CHECK(read_watermark(real(), root).status().code() == StatusCode::not_found);
  REQUIRE(write_watermark(real(), root, kSample).ok());
  auto read = read_watermark(real(), root);
  REQUIRE(read.ok());
  CHECK(*read == kSample);
  CHECK(files_like(folder.root(), "", "").size() == 1);  // no unfinished file stays
  set_file_bytes(folder.path("WATERMARK"), std::string(100'000, 'x'));
  CHECK(read_watermark(real(), root).status().code() == StatusCode::data_loss);
}

}  // namespace
}  // namespace vecserve::engine
