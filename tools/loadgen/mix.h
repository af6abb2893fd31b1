// What kinds of requests a run sends, and in which shares. Comes between flags, plan
// and targets; plain data. Always holds: the kinds' numbers are their places in the
// weights.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "vecserve/status.h"

namespace vecserve::loadgen {

enum class Kind : std::uint8_t { search = 0, upsert, erase, get };
inline constexpr std::size_t kKinds = 4;
[[nodiscard]] std::string_view to_string(Kind kind);

struct Mix {
  std::array<std::uint32_t, kKinds> shares{};

  [[nodiscard]] std::vector<std::uint32_t> weights() const {
    return {shares.begin(), shares.end()};
  }
  [[nodiscard]] bool has(Kind kind) const { return shares[static_cast<std::size_t>(kind)] > 0; }
};

// "search=90,upsert=8,erase=1,get=1"; a kind that is not named has the weight 0.
[[nodiscard]] Result<Mix> parse_mix(std::string_view text);

}  // namespace vecserve::loadgen
