// Any bytes as frames that a reader does not turn away at once: walks over what could be frames and
// sets both checksums right, and if asked the first three bytes. For fuzz targets; header only, any
// thread. Always holds: as many bytes come out as went in; a frame that is cut short is sealed over
// what is there.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "net/frame.h"

namespace vecserve::test {

enum class FrameStart { as_given, right };

inline std::string sealed_frames(std::string bytes, FrameStart start) {
  using net::frame_checksum;
  using net::kHeaderBytes;
  std::size_t at = 0;
  while (bytes.size() - at >= kHeaderBytes) {
    if (start == FrameStart::right) {
      bytes[at] = static_cast<char>(net::kMagicFirst);
      bytes[at + 1] = static_cast<char>(net::kMagicSecond);
      bytes[at + 2] = net::kVersionMax;
    }
    std::uint32_t length = 0;
    std::memcpy(&length, bytes.data() + at + 16, sizeof length);
    const std::size_t size = std::min<std::size_t>(length, bytes.size() - at - kHeaderBytes);
    const auto view = std::string_view(bytes);
    const std::uint32_t body = frame_checksum(view.substr(at + kHeaderBytes, size));
    std::memcpy(bytes.data() + at + 24, &body, sizeof body);
    const std::uint32_t head = frame_checksum(view.substr(at, kHeaderBytes - sizeof body));
    std::memcpy(bytes.data() + at + 28, &head, sizeof head);
    at += kHeaderBytes + size;
  }
  return bytes;
}

}  // namespace vecserve::test
