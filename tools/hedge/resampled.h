// How sure the ratio of two percentiles is, from rounds: calls of one round resemble each other (a
// stall makes a hundred of them late), rounds do not, so rounds are what is drawn. After rounds'
// runs; before the bench. Pure function, any thread.
// Always holds: the same rounds give the same interval; each draw takes the same rounds of both
// kinds, as they met the same arrivals and stalls.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace vecserve::hedge {

struct RatioInterval {
  double low = 0.0;
  double high = 0.0;

  // Half of the width, as a share of the middle.
  [[nodiscard]] double precision() const {
    return high + low > 0.0 ? (high - low) / (high + low) : 0.0;
  }
};

// Latencies of one round and kind, ascending.
using RoundLatencies = std::vector<double>;

inline constexpr std::uint32_t kResamplings = 400;

// Of percentile p of `above`, all rounds together, divided by that of `below`: between these two
// lie 95 % of what as many rounds give, drawn from the given ones with replacement. Both hold as
// many rounds, none of them empty; nothing is known from a single one, and the ends are then equal.
[[nodiscard]] RatioInterval resampled_ratio(std::span<const RoundLatencies> above,
                                            std::span<const RoundLatencies> below, double p);

}  // namespace vecserve::hedge
