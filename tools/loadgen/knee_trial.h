// The statistics put to the test: searches and comparisons on simulated latencies whose truth is
// known. Comes above simulate, knee and compare, below bench knee and tests; any thread. Always
// holds: a trial depends on its seed alone.
#pragma once

#include <cstdint>

#include "tools/loadgen/knee.h"

namespace vecserve::loadgen {

// One server with Poisson arrivals and exponential service.
struct KneeTrialOptions {
  double service_per_s = 10'000.0;
  Slo slo{};
  std::size_t samples_max = 1u << 20;  // of one step; at the knee some two minutes of requests
  std::uint32_t steps_max = 12;
};

struct KneeTrial {
  double truth = 0.0;
  double found = 0.0;
  double passed = 0.0;
  std::uint32_t steps = 0;
  std::uint64_t samples = 0;  // of all steps
};
// Begins at a rate between a twentieth and a third of the knee.
[[nodiscard]] KneeTrial try_knee(const KneeTrialOptions& options, std::uint64_t seed);

// One step at a given rate, with early stopping.
[[nodiscard]] KneeStep try_rate(const KneeTrialOptions& options, double rate, std::uint64_t seed);

// Compares two series of log-normal latencies (sigma 0.5, so p99 is 3.2 times the median) of
// `samples` each; those of B above their p95 are `shift` times as slow. True when p99 (for a shift
// of 1: any percentile) is called different.
[[nodiscard]] bool try_compare(std::size_t samples, double resemblance, double shift,
                               std::uint64_t seed);

}  // namespace vecserve::loadgen
