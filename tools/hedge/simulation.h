// Replicas that stall, on simulated time: what hedging does, in seconds instead of hours and on any
// machine. Drives the same HedgePolicy as HedgedClient. Below the hedge tool, the bench and the
// lab; one simulation per call, any thread.
// Always holds: the same options give the same result, to the bit; arrivals and stalls do not
// depend on whether there is hedging.
#pragma once

#include <cstdint>
#include <vector>

#include "net/hedge_policy.h"

namespace vecserve::hedge {

struct SimulationOptions {
  std::uint32_t replicas = 3;
  double load = 0.6;  // of what the replicas can do together, stalls not counted
  std::uint64_t calls = 200'000;
  std::uint64_t warm_up = 10'000;  // calls ahead of these, not reported
  double service_us = 300.0;       // median of the lognormal time of serving one call
  double service_sigma = 0.3;
  double slow_share = 0.01;  // of calls take slow_factor times as long
  double slow_factor = 10.0;
  double stall_every_s = 1.0;  // of each replica, on average; 0: none
  double stall_ms = 20.0;
  double network_us = 20.0;     // one way
  double blocks = 12.0;         // of one call, between which a cancelled one stops; 1: never
  double all_slow_from = 0.0;   // from this share of the run on, every service takes
  double all_slow_until = 0.0;  // all_slow_factor times as long, until this share
  double all_slow_factor = 1.0;
  std::uint64_t seed = 1;
  net::HedgePolicyOptions policy;  // replicas and seed are set from the above
};

struct SimulationResult {
  std::vector<double> latencies_us;  // of every reported call, from its arrival, by arrival
  std::vector<double> arrivals_s;
  double useful_us = 0.0;  // served for answers that were used
  double wasted_us = 0.0;  // served for nobody
  double elapsed_s = 0.0;
  double load_seen = 0.0;  // as the policy judged it at the end
  net::HedgePolicyStats stats;

  [[nodiscard]] double extra_work() const { return useful_us > 0 ? wasted_us / useful_us : 0.0; }
  [[nodiscard]] double hedge_share() const {
    return stats.calls == 0 ? 0.0
                            : static_cast<double>(stats.hedges) / static_cast<double>(stats.calls);
  }
  // Of the copies that lost, how many never ran.
  [[nodiscard]] double cancelled_queued_share() const;
};

[[nodiscard]] SimulationResult simulate(const SimulationOptions& options);

// The mean time of serving one call, stalls not counted.
[[nodiscard]] double mean_service_us(const SimulationOptions& options);

}  // namespace vecserve::hedge
