// A stream of any bytes in pieces of any size: the reader never reads outside and never holds more
// than it may, frames come out the same however the bytes were cut, and each encodes to the bytes
// that it came from. The first byte says how the stream is cut; checksums are set right where a
// header begins, or nothing would ever get past them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "net/frame.h"
#include "tests/support/sealed_frames.h"

namespace {

using namespace vecserve::net;
using vecserve::test::FrameStart;
using vecserve::test::sealed_frames;

constexpr std::size_t kBodyMax = 4'096;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

struct Outcome {
  std::string frames;  // encoded again
  FrameFault fault = FrameFault::none;
  friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome run(std::string_view bytes, std::size_t piece) {
  FrameReader reader(kBodyMax);
  Outcome outcome;
  for (;;) {
    Frame frame;
    const FrameReader::Next next = reader.next(frame);
    if (next == FrameReader::Next::frame) {
      append_frame(frame.header, frame.body, outcome.frames);
      continue;
    }
    if (next == FrameReader::Next::broken || bytes.empty()) break;
    const std::span<char> space = reader.space();
    require(!space.empty() && space.size() <= limits::read_bytes);
    const std::size_t count = std::min({space.size(), bytes.size(), piece});
    std::memcpy(space.data(), bytes.data(), count);
    reader.filled(count);
    bytes.remove_prefix(count);
  }
  outcome.fault = reader.fault();
  return outcome;
}

void try_stream(const std::string& bytes, std::size_t piece) {
  const Outcome whole = run(bytes, bytes.size() + 1);
  require(run(bytes, piece) == whole);
  require(bytes.starts_with(whole.frames));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t piece = 1 + data[0] % 64;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try_stream(bytes, piece);
  try_stream(sealed_frames(bytes, FrameStart::as_given), piece);
  return 0;
}
