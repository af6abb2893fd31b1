// What a run says: three histograms side by side (response, service, lag of the sender), the
// stages, the outcomes, and how many independent samples each percentile rests on. Comes after the
// sender, before verdict and outputs; main thread. Always holds: response counts from the intended
// time, service from the time of sending, and requests of warm-up and cool-down are in neither.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/histogram.h"
#include "engine/base/quantile_bounds.h"
#include "tools/loadgen/record.h"
#include "tools/loadgen/sender.h"

namespace vecserve::loadgen {

inline constexpr std::array<double, 7> kQuantiles = {0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0};

struct Cut {
  std::uint64_t warm_up_ns = 0;
  std::uint64_t cool_down_ns = 0;
  std::uint64_t duration_ns = 0;  // of the plan

  [[nodiscard]] bool keeps(std::uint64_t intended_ns) const {
    return intended_ns >= warm_up_ns && intended_ns + cool_down_ns < duration_ns;
  }
  [[nodiscard]] double seconds() const {
    const std::uint64_t cut = warm_up_ns + cool_down_ns;
    return duration_ns > cut ? static_cast<double>(duration_ns - cut) / 1e9 : 0.0;
  }
};

// A request that was sent later than this after it was due (and after the target let the sender go)
// was not on time: ten times the spin margin, far above what an undisturbed sender shows.
inline constexpr std::uint64_t kOnTimeNs = 1'000'000;

struct Summary {
  engine::Histogram response{};      // of answered requests: done - intended
  engine::Histogram service{};       // done - sent
  engine::Histogram refusal{};       // of refused ones: done - intended
  engine::Histogram refusal_told{};  // of refused ones: their stay in the server, as it says
  engine::Histogram lag{};      // sent - due or free, whichever came later: the sender's own delay
  engine::Histogram blocked{};  // free - due, where positive: the target held the sender
  engine::Histogram noise{};    // the same kind of waiting with nothing to do, at the same time

  // Where the servers' replies say that the time went; network is service less all of them.
  bool has_stages = false;
  engine::Histogram network{};
  engine::Histogram queue{};
  engine::Histogram batch{};
  engine::Histogram scan{};
  engine::Histogram rescore{};
  engine::Histogram fetch{};
  engine::Histogram send{};
  // Mean shares of service time among the slowest one in a hundred, in the order above.
  std::array<double, 7> tail_shares{};
  double mean_batch_size = 0.0;

  std::array<std::uint64_t, kOutcomes> outcomes{};  // by Outcome
  std::uint64_t planned = 0;                        // of the whole plan
  std::uint64_t sent = 0;
  std::uint64_t measured = 0;  // after the cut
  double seconds = 0.0;        // after the cut
  double offered = 0.0;        // requests a second, as planned
  double goodput = 0.0;        // answers a second
  double adherence = 0.0;      // share sent on time
  double clocks_differ = 0.0;
  double growth = 1.0;  // median response of the last quarter over that of the first
  bool closed_loop = false;
  bool stopped = false;  // on purpose, before the end of the plan
  bool drained = true;

  // For each of kQuantiles, of response.
  std::array<engine::QuantileEstimate, kQuantiles.size()> quantiles{};
};

[[nodiscard]] Summary summarise(const Records& records, const SendResult& result, const Cut& cut,
                                bool closed_loop);

}  // namespace vecserve::loadgen
