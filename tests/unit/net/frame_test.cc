// Frames: golden bytes, every length around the limits, every prefix, every split of a stream into
// pieces, every flipped bit. What PROTOCOL.md says about the first 32 bytes is checked here.
// One thread. Always holds: no test depends on how the reader buffers.
#include "net/frame.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <random>

namespace vecserve::net {
namespace {

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

// Gives the bytes to the reader in pieces of at most `piece`, and takes whatever frames come out.
FrameReader::Next feed(FrameReader& reader, std::string_view bytes, std::size_t piece,
                       std::vector<Frame>& frames) {
  for (;;) {
    Frame frame;
    switch (reader.next(frame)) {
      case FrameReader::Next::frame:
        frames.push_back(std::move(frame));
        continue;
      case FrameReader::Next::broken:
        return FrameReader::Next::broken;
      case FrameReader::Next::need_more:
        break;
    }
    if (bytes.empty()) return FrameReader::Next::need_more;
    const std::span<char> space = reader.space();
    REQUIRE_FALSE(space.empty());
    const std::size_t count = std::min({space.size(), bytes.size(), piece});
    std::memcpy(space.data(), bytes.data(), count);
    reader.filled(count);
    bytes.remove_prefix(count);
  }
}

FrameHeader sample_header(std::uint64_t id) {
  FrameHeader header;
  header.verb = Verb::search;
  header.priority = Priority::bulk;
  header.request_id = id;
  header.deadline_us = 20'000;
  return header;
}

std::string stream_of_three() {
  std::string bytes;
  append_frame(sample_header(1), "first", bytes);
  append_frame(sample_header(2), "", bytes);
  append_frame(sample_header(3), std::string(200, 'x'), bytes);
  return bytes;
}

// A header that announces a body of that many bytes, with a right checksum.
std::string header_announcing(std::uint32_t body_bytes) {
  std::string bytes;
  append_frame(sample_header(1), "", bytes);
  std::memcpy(bytes.data() + 16, &body_bytes, sizeof body_bytes);
  const std::uint32_t sum = frame_checksum(std::string_view(bytes).substr(0, 28));
  std::memcpy(bytes.data() + 28, &sum, sizeof sum);
  return bytes;
}

TEST_CASE("frame: the header has the bytes of the specification", "[frame]") {
  std::string bytes;
  FrameHeader header = sample_header(0x0102030405060708);
  header.flags = kFlagReply | kFlagMore;
  append_frame(header, "abc", bytes);
  REQUIRE(bytes.size() == kHeaderBytes + 3);
  // magic, version, verb, flags, class, zero; request id; body length; deadline
  CHECK(hex(bytes.substr(0, 24)) ==
        "f7560130050001000807060504030201"
        "03000000204e0000");
  CHECK(hex(bytes.substr(24, 4)) == "50392f89");
  CHECK(hex(bytes.substr(32)) == "616263");
}

TEST_CASE("frame: the names and kinds of verbs", "[frame]") {
  for (const Verb verb : kVerbs) {
    CAPTURE(static_cast<int>(verb));
    CHECK(is_known(verb));
    CHECK(to_string(verb) != "unknown");
  }
  CHECK_FALSE(is_known(Verb{0}));
  CHECK_FALSE(is_known(Verb{255}));
  CHECK(to_string(Verb{200}) == "unknown");
  CHECK(is_write(Verb::upsert));
  CHECK(is_write(Verb::erase_where));
  CHECK_FALSE(is_write(Verb::search));
  CHECK_FALSE(is_write(Verb::create_collection));
}

TEST_CASE("frame: every split of a stream gives the same frames", "[frame]") {
  const std::string bytes = stream_of_three();
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameReader reader(1'000);
    std::vector<Frame> frames;
    CHECK(feed(reader, std::string_view(bytes).substr(0, cut), 64'000, frames) ==
          FrameReader::Next::need_more);
    CHECK(feed(reader, std::string_view(bytes).substr(cut), 64'000, frames) ==
          FrameReader::Next::need_more);
    REQUIRE(frames.size() == 3);
    CHECK(frames[0].body == "first");
    CHECK(frames[1].body.empty());
    CHECK(frames[2].body == std::string(200, 'x'));
    CHECK(frames[2].header.request_id == 3);
    CHECK(frames[2].header.priority == Priority::bulk);
    CHECK_FALSE(reader.mid_frame());
  }
}

TEST_CASE("frame: pieces of every size give the same frames", "[frame]") {
  const std::string bytes = stream_of_three() + stream_of_three();
  for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
    FrameReader reader(1'000);
    std::vector<Frame> frames;
    CHECK(feed(reader, bytes, piece, frames) == FrameReader::Next::need_more);
    REQUIRE(frames.size() == 6);
    CHECK(frames[5].body == std::string(200, 'x'));
  }
}

TEST_CASE("frame: every prefix waits for more and is no frame", "[frame]") {
  std::string bytes;
  append_frame(sample_header(9), std::string(100, 'y'), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    FrameReader reader(1'000);
    std::vector<Frame> frames;
    CHECK(feed(reader, std::string_view(bytes).substr(0, size), 7, frames) ==
          FrameReader::Next::need_more);
    CHECK(frames.empty());
    CHECK(reader.mid_frame() == (size > 0));
  }
}

TEST_CASE("frame: a body of several buffers arrives whole", "[frame]") {
  std::mt19937_64 random(4);
  std::string body(3 * limits::read_bytes + 17, '\0');
  for (char& byte : body) byte = static_cast<char>(random());
  std::string bytes;
  append_frame(sample_header(1), body, bytes);
  append_frame(sample_header(2), "next", bytes);
  for (const std::size_t piece : {std::size_t{1'000}, limits::read_bytes, bytes.size()}) {
    FrameReader reader(body.size());
    std::vector<Frame> frames;
    CHECK(feed(reader, bytes, piece, frames) == FrameReader::Next::need_more);
    REQUIRE(frames.size() == 2);
    CHECK(frames[0].body == body);
    CHECK(frames[1].body == "next");
  }
}

TEST_CASE("frame: a length above the limit is refused before anything is allocated", "[frame]") {
  constexpr std::uint32_t kMax = 1'000'000;
  for (const std::uint32_t size : {std::uint32_t{0}, kMax - 1, kMax}) {
    FrameReader reader(kMax);
    std::vector<Frame> frames;
    CHECK(feed(reader, header_announcing(size), 64, frames) == FrameReader::Next::need_more);
    CHECK(frames.size() == (size == 0 ? 1 : 0));
    CHECK(reader.space().size() <= limits::read_bytes);
  }
  for (const std::uint32_t size : {kMax + 1, std::uint32_t{0x7FFFFFFF}, std::uint32_t{0x80000000},
                                   std::uint32_t{UINT32_MAX}}) {
    FrameReader reader(kMax);
    std::vector<Frame> frames;
    CHECK(feed(reader, header_announcing(size), 64, frames) == FrameReader::Next::broken);
    CHECK(reader.fault() == FrameFault::oversized);
    CHECK(reader.space().empty());
  }
}

TEST_CASE("frame: memory for a body follows what has arrived", "[frame]") {
  FrameReader reader(limits::frame_bytes_ceiling);
  std::vector<Frame> frames;
  CHECK(feed(reader, header_announcing(limits::frame_bytes_ceiling), 64, frames) ==
        FrameReader::Next::need_more);
  CHECK(reader.body_announced() == limits::frame_bytes_ceiling);
  CHECK(reader.space().size() <= limits::read_bytes);
}

TEST_CASE("frame: every flipped bit is noticed", "[frame]") {
  std::string bytes;
  append_frame(sample_header(7), "some body", bytes);
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    FrameReader reader(1'000);
    std::vector<Frame> frames;
    CHECK(feed(reader, damaged, 64'000, frames) == FrameReader::Next::broken);
    CHECK(frames.empty());
    CHECK(reader.fault() == (bit < 16 ? FrameFault::magic : FrameFault::checksum));
  }
}

TEST_CASE("frame: a broken reader stays broken", "[frame]") {
  FrameReader reader(1'000);
  std::vector<Frame> frames;
  CHECK(feed(reader, "GET / HTTP/1.1\r\n", 1, frames) == FrameReader::Next::broken);
  CHECK(reader.fault() == FrameFault::magic);
  Frame frame;
  CHECK(reader.next(frame) == FrameReader::Next::broken);
  CHECK(reader.space().empty());
}

// The bytes of a header with one byte changed and the checksum set right.
std::string header_with(std::size_t at, std::uint8_t value) {
  std::string bytes;
  append_frame(sample_header(77), "", bytes);
  bytes[at] = static_cast<char>(value);
  const std::uint32_t sum = frame_checksum(std::string_view(bytes).substr(0, 28));
  std::memcpy(bytes.data() + 28, &sum, sizeof sum);
  return bytes;
}

FrameFault fault_of(const std::string& bytes, FrameHeader& header) {
  return decode_header(std::span<const char, kHeaderBytes>(bytes.data(), kHeaderBytes), header);
}

TEST_CASE("frame: an unknown version is told with the request that asked", "[frame]") {
  FrameHeader header;
  CHECK(fault_of(header_with(2, kVersionMax + 1), header) == FrameFault::version);
  CHECK(fault_of(header_with(2, 0), header) == FrameFault::version);
  CHECK(header.request_id == 77);
  FrameReader reader(1'000);
  Frame frame;
  const std::string bytes = header_with(2, 99);
  std::memcpy(reader.space().data(), bytes.data(), bytes.size());
  reader.filled(bytes.size());
  CHECK(reader.next(frame) == FrameReader::Next::broken);
  CHECK(frame.header.request_id == 77);
  CHECK(frame.header.version == 99);
}

TEST_CASE("frame: flags that must be obeyed are refused, others passed over", "[frame]") {
  FrameHeader header;
  CHECK(fault_of(header_with(4, 0x08), header) == FrameFault::flags);
  CHECK(fault_of(header_with(4, 0x80), header) == FrameFault::flags);
  CHECK(fault_of(header_with(5, 0x80), header) == FrameFault::none);
  CHECK(fault_of(header_with(6, 2), header) == FrameFault::none);
  CHECK(header.priority == Priority::background);
  CHECK(fault_of(header_with(6, 3), header) == FrameFault::priority);
  CHECK(fault_of(header_with(7, 1), header) == FrameFault::flags);
}

TEST_CASE("frame: faults have texts", "[frame]") {
  for (int fault = 0; fault <= static_cast<int>(FrameFault::oversized); ++fault) {
    CHECK(to_string(static_cast<FrameFault>(fault)) != "unknown");
  }
}

}  // namespace
}  // namespace vecserve::net
