// One request and one reply of every verb, with most fields set, for tests of the wire and of the
// session. The views point into the object, which must outlive what it gave. One thread.
// Always holds: no field that a codec could forget is left at its default everywhere.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/reply.h"
#include "net/request.h"

namespace vecserve::test {

inline std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4];
    text += kDigits[value & 15];
  }
  return text;
}

class WireSamples {
 public:
  WireSamples() = default;
  WireSamples(const WireSamples&) = delete;
  WireSamples& operator=(const WireSamples&) = delete;

  [[nodiscard]] std::vector<std::pair<net::Verb, net::RequestBody>> requests() const;
  [[nodiscard]] std::vector<std::pair<net::Verb, net::ReplyBody>> replies() const;

 private:
  [[nodiscard]] net::WriteRequest write() const;
  [[nodiscard]] net::SearchRequest search() const;
  [[nodiscard]] net::RangeSearchRequest range_search() const;
  [[nodiscard]] net::GetRequest get() const;
  [[nodiscard]] net::ScanRequest scan() const;

  const std::vector<float> floats_ = {1.0f, -2.0f, 0.5f, 4.0f};
  const std::vector<std::uint8_t> bytes_ = {1, 2, 250, 4};
};

}  // namespace vecserve::test
