// Checks engine/store/cache: what a writer put in comes out again, and any other bytes are refused.
// Single-threaded, without files. Always holds: damage is done to the bytes behind the product's
// back, one place at a time.
#include "engine/store/cache.h"

#include <catch2/catch.hpp>
#include <vector>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kCollection = 7;

std::string written(const std::vector<std::string>& chunks, bool finished = true) {
  std::string bytes;
  bool done = false;
  CacheWriter writer({[&bytes](std::string_view more) {
                        bytes += more;
                        return Status();
                      },
                      [&done] {
                        done = true;
                        return Status();
                      }},
                     kCollection);
  for (const std::string& chunk : chunks) REQUIRE(writer.append(chunk).ok());
  if (finished) REQUIRE(writer.finish().ok());
  CHECK(done == finished);
  return bytes;
}

CacheReader reader_of(const std::string& bytes, std::uint32_t collection = kCollection) {
  return {[bytes, at = std::size_t{0}](std::span<char> to) mutable -> Result<std::size_t> {
            const std::size_t count = bytes.copy(to.data(), to.size(), at);
            at += count;
            return count;
          },
          collection};
}

// The chunks up to the end, or as far as they can be read and why not further.
Status read_all(CacheReader reader, std::vector<std::string>& chunks) {
  for (;;) {
    const Result<std::string_view> chunk = reader.next();
    VECSERVE_TRY(chunk.status());
    if (chunk->empty()) return {};
    chunks.emplace_back(*chunk);
  }
}

std::string bytes_of(const std::vector<int>& values) {
  std::string bytes;
  for (const int value : values) bytes.push_back(static_cast<char>(value));
  return bytes;
}

TEST_CASE("cache: chunks come back as they were written, long ones too", "[store]") {
  const std::vector<std::string> chunks = {"one", std::string(1'000'000, 'x'), std::string(1, '\0'),
                                           std::string(kCacheChunkMax, 'y')};
  std::vector<std::string> found;
  CHECK(read_all(reader_of(written(chunks)), found).ok());
  CHECK((found == chunks));
  found.clear();
  CHECK(read_all(reader_of(written({})), found).ok());
  CHECK(found.empty());
}

TEST_CASE("cache: these are the bytes of version 1", "[store]") {
  CHECK(written({"ab"}) ==
        bytes_of({'V',  'E',  'C',  'S',  'C',  'A',  'C',  'H',  0x01, 0x00, 0x00,
                  0x00, 0x07, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x9b, 0x29,
                  0x62, 0x5d, 0x15, 0x1a, 0x79, 0x2c, 'a',  'b',  0x00, 0x00, 0x00,
                  0x00, 0x78, 0x95, 0x0f, 0x8d, 0xcf, 0xa1, 0xaf, 0x66}));
}

TEST_CASE("cache: a chunk must have bytes, and not too many", "[store]") {
  CacheWriter writer({[](std::string_view) { return Status(); }, [] { return Status(); }}, 1);
  CHECK(writer.append("").code() == StatusCode::internal);
  CHECK(writer.append(std::string(kCacheChunkMax + 1, 'x')).code() == StatusCode::internal);
}

TEST_CASE("cache: a sink that fails fails the writer", "[store]") {
  const Status full(StatusCode::resource_exhausted, "full");
  CacheWriter writer({[&](std::string_view) { return full; }, [] { return Status(); }}, 1);
  CHECK(writer.append("x").code() == StatusCode::resource_exhausted);
  CHECK(writer.finish().code() == StatusCode::resource_exhausted);
}

TEST_CASE("cache: each changed byte, each cut and what belongs to another is data_loss",
          "[store]") {
  const std::string whole = written({"first", "second", "third"});
  std::vector<std::string> chunks;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    CAPTURE(at);
    std::string changed = whole;
    changed[at] = static_cast<char>(changed[at] ^ 0x10);
    CHECK(read_all(reader_of(changed), chunks).code() == StatusCode::data_loss);
    CHECK(read_all(reader_of(whole.substr(0, at)), chunks).code() == StatusCode::data_loss);
  }
  CHECK(read_all(reader_of(whole + "x"), chunks).code() == StatusCode::data_loss);
  CHECK(read_all(reader_of(whole, kCollection + 1), chunks).code() == StatusCode::data_loss);
  CHECK(read_all(reader_of(written({"first"}, false)), chunks).code() == StatusCode::data_loss);
}

TEST_CASE("cache: chunks that changed places or come from another run are noticed", "[store]") {
  const std::string one = written({"aaaa", "bbbb", "cccc"});
  const std::string other = written({"dddd", "bbbb", "cccc"});
  constexpr std::size_t kHead = 16;
  constexpr std::size_t kChunk = 12 + 4;
  std::vector<std::string> chunks;
  const std::string swapped = one.substr(0, kHead) + one.substr(kHead + kChunk, kChunk) +
                              one.substr(kHead, kChunk) + one.substr(kHead + 2 * kChunk);
  CHECK(read_all(reader_of(swapped), chunks).code() == StatusCode::data_loss);
  const std::string mixed = one.substr(0, kHead + kChunk) + other.substr(kHead + kChunk);
  CHECK(read_all(reader_of(mixed), chunks).code() == StatusCode::data_loss);
}

TEST_CASE("cache: a source that fails is not taken for an end", "[store]") {
  CacheReader reader(
      [](std::span<char>) -> Result<std::size_t> {
        return Status(StatusCode::io_error, "cannot read");
      },
      1);
  CHECK(reader.next().status().code() == StatusCode::io_error);
}

TEST_CASE("cache: a fingerprint depends on the slot and on every byte", "[store]") {
  const std::uint32_t print = fingerprint(3, "abcdef");
  CHECK(fingerprint(3, "abcdef") == print);
  CHECK(fingerprint(4, "abcdef") != print);
  CHECK(fingerprint(3, "abcdeg") != print);
}

}  // namespace
