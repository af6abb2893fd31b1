// Simulated latencies. Comes below benches and tests; any thread. Always holds:
// both series start in their stationary distribution, so no warm-up has to be
// cut.
#include "tools/loadgen/simulate.h"

#include <algorithm>
#include <cmath>

#include "engine/base/quantile_bounds.h"

namespace vecserve::loadgen {

SimulatedServer::SimulatedServer(double service_per_s, double arrivals_per_s, std::uint64_t seed)
    : service_gap_ns_(1e9 / service_per_s), arrival_gap_ns_(1e9 / arrivals_per_s), random_(seed) {
  const double busy = arrivals_per_s / service_per_s;
  // A stationary arrival finds the server free with probability 1 - busy.
  if (busy < 1.0 && random_.uniform() < busy) {
    waiting_ns_ = random_.exponential() * service_gap_ns_ / (1.0 - busy);
  }
}

std::uint64_t SimulatedServer::next() {
  const double response = waiting_ns_ + random_.exponential() * service_gap_ns_;
  waiting_ns_ = std::max(0.0, response - random_.exponential() * arrival_gap_ns_);
  return static_cast<std::uint64_t>(response);
}

double SimulatedServer::knee(double service_per_s, double quantile, double limit_s) {
  return service_per_s + std::log1p(-quantile) / limit_s;
}

SimulatedLatencies::SimulatedLatencies(double median_ns, double sigma, double resemblance,
                                       std::uint64_t seed)
    : log_median_(std::log(median_ns)),
      sigma_(sigma),
      keep_(resemblance),
      fresh_(std::sqrt(1.0 - resemblance * resemblance)),
      random_(seed) {
  state_ = normal();
}

double SimulatedLatencies::normal() {
  // Box and Muller, one of the pair.
  const double radius = std::sqrt(2.0 * random_.exponential());
  return radius * std::cos(6.283185307179586 * random_.uniform());
}

std::uint64_t SimulatedLatencies::next() {
  const double now = state_;
  state_ = keep_ * state_ + fresh_ * normal();
  return static_cast<std::uint64_t>(std::exp(log_median_ + sigma_ * now));
}

double SimulatedLatencies::quantile(double q) const {
  return std::exp(log_median_ + sigma_ * engine::normal_quantile(q));
}

}  // namespace vecserve::loadgen
