// Latencies whose truth is known, to try statistics on. Comes below bench knee and the tests of
// knee, compare and correlation; any thread, each its own. Always holds: a seed gives the same
// series, and the true percentile is a formula, not an estimate.
#pragma once

#include <cstdint>
#include <vector>

#include "tools/loadgen/random.h"

namespace vecserve::loadgen {

// One server, Poisson arrivals, exponential service: the response time of those who arrive is
// exponential with mean 1 / (service rate - arrival rate), and neighbours resemble each other the
// more, the busier it is.
class SimulatedServer {
 public:
  SimulatedServer(double service_per_s, double arrivals_per_s, std::uint64_t seed);
  // The response time of the next request, in nanoseconds. From a stationary start when the arrival
  // rate is below the service rate; else the queue grows from empty.
  std::uint64_t next();

  // The highest arrival rate at which the quantile is within the limit.
  [[nodiscard]] static double knee(double service_per_s, double quantile, double limit_s);

 private:
  double service_gap_ns_;
  double arrival_gap_ns_;
  double waiting_ns_ = 0.0;  // work ahead of the next one
  Random random_;
};

// Log-normal latencies with median `median_ns`, where each one's logarithm keeps the share
// `resemblance` (0 to below 1) of its distance from the mean of the one before.
class SimulatedLatencies {
 public:
  SimulatedLatencies(double median_ns, double sigma, double resemblance, std::uint64_t seed);
  std::uint64_t next();
  [[nodiscard]] double quantile(double q) const;  // the truth

 private:
  double normal();

  double log_median_;
  double sigma_;
  double keep_;
  double fresh_;
  double state_ = 0.0;
  Random random_;
};

}  // namespace vecserve::loadgen
