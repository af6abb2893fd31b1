// Reading a mix. Comes between flags and plan; any thread. Always
// holds: a mix that parses has at least one kind of weight above
// 0.
#include "tools/loadgen/mix.h"

#include <algorithm>
#include <charconv>

namespace vecserve::loadgen {
namespace {

constexpr std::uint32_t kWeightMax = 1'000'000;

}  // namespace

std::string_view to_string(Kind kind) {
  constexpr std::array<std::string_view, kKinds> names = {"search", "upsert", "erase", "get"};
  return names[static_cast<std::size_t>(kind)];
}

Result<Mix> parse_mix(std::string_view text) {
  Mix mix;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const std::size_t equal = part.find('=');
    const std::string_view name = part.substr(0, equal);
    std::size_t kind = 0;
    while (kind < kKinds && to_string(static_cast<Kind>(kind)) != name) ++kind;
    std::uint32_t weight = 0;
    const char* const end = part.data() + part.size();
    if (kind < kKinds && equal != part.npos) {
      const auto [stop, error] = std::from_chars(part.data() + equal + 1, end, weight);
      if (error == std::errc() && stop == end && weight <= kWeightMax) {
        mix.shares[kind] = weight;
        continue;
      }
    }
    return Status::invalid_argument("mix", "must be like search=90,upsert=10 (also erase, get)");
  }
  if (*std::max_element(mix.shares.begin(), mix.shares.end()) == 0) {
    return Status::invalid_argument("mix", "names no kind with a weight above 0");
  }
  return mix;
}

}  // namespace vecserve::loadgen
