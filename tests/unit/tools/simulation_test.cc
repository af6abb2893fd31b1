// Hedging on simulated replicas that stall: what H1 to H3 of the requirements promise, held as
// tests with room for chance. bench_hedge prints the same figures over more seeds.
// Main thread; simulated time; the seed is printed.
#include "tools/hedge/simulation.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <numeric>

#include "tools/plot/views.h"

using namespace vecserve;
using namespace vecserve::hedge;

namespace {

struct Pair {
  SimulationResult plain, hedged;
  double at(const SimulationResult& result, double p) const {
    std::vector<double> sorted = result.latencies_us;
    std::sort(sorted.begin(), sorted.end());
    return plot::percentile_of(sorted, p);
  }
  double ratio(double p) const { return at(plain, p) / at(hedged, p); }
};

Pair run(SimulationOptions options) {
  options.calls = 120'000;
  Pair pair;
  options.policy.hedging = false;
  pair.plain = simulate(options);
  options.policy.hedging = true;
  pair.hedged = simulate(options);
  return pair;
}

SimulationOptions at_load(double load) {
  SimulationOptions options;
  options.load = load;
  options.seed = 1;
  return options;
}

}  // namespace

TEST_CASE("simulation: hedging takes stalls out of the tail, for at most 5 % of extra work") {
  struct Case {
    double load, ratio;
  };
  for (const Case& expected : {Case{0.3, 8.0}, Case{0.6, 2.6}, Case{0.8, 1.4}}) {
    CAPTURE(expected.load);
    const Pair pair = run(at_load(expected.load));
    CHECK(pair.ratio(0.999) >= expected.ratio);
    CHECK(pair.ratio(0.5) == Approx(1.0).margin(0.02));
    CHECK(pair.hedged.extra_work() <= 0.05);
    CHECK(pair.hedged.hedge_share() <= 0.05 + 0.001);  // and what the bucket held at the start
    CHECK(pair.plain.stats.hedges == 0);
    if (expected.load > 0.5) CHECK(pair.hedged.cancelled_queued_share() >= 0.9);
  }
}

TEST_CASE("simulation: at 95 % load hedging stays out of the way") {
  const Pair pair = run(at_load(0.95));
  CHECK(pair.ratio(0.99) >= 0.95);
  CHECK(pair.hedged.extra_work() <= 0.01);
}

TEST_CASE("simulation: with all replicas slow for a while nothing gets worse or stays bad") {
  SimulationOptions options = at_load(0.3);
  options.stall_every_s = 0.0;
  options.all_slow_from = 0.4;
  options.all_slow_until = 0.6;
  options.all_slow_factor = 3.5;  // more than they can do
  const Pair pair = run(options);
  CHECK(pair.ratio(0.99) >= 0.95);
  // After the trigger: the last tenth is as fast as the second.
  const auto median_of = [&](double from, double until) {
    const std::vector<double>& all = pair.hedged.latencies_us;
    const std::vector<double>& at = pair.hedged.arrivals_s;
    const double end = *std::max_element(at.begin(), at.end());
    std::vector<double> part;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (at[i] >= from * end && at[i] < until * end) part.push_back(all[i]);
    }
    std::sort(part.begin(), part.end());
    return plot::percentile_of(part, 0.5);
  };
  CHECK(median_of(0.9, 1.0) <= median_of(0.1, 0.2) * 1.1);
}

TEST_CASE("simulation: the same seed gives the same run, and every call is answered once") {
  const Pair first = run(at_load(0.6)), second = run(at_load(0.6));
  CHECK(first.hedged.latencies_us == second.hedged.latencies_us);
  CHECK(first.hedged.latencies_us.size() == 120'000);
  CHECK(first.plain.latencies_us.size() == 120'000);
  CHECK(*std::min_element(first.hedged.latencies_us.begin(), first.hedged.latencies_us.end()) > 40);
}

TEST_CASE("simulation: an idle service's latency is network and service, nothing else") {
  SimulationOptions options;
  options.load = 0.001;
  options.stall_every_s = 0.0;
  options.slow_share = 0.0;
  options.service_sigma = 0.0;
  options.calls = 2'000;
  const SimulationResult result = simulate(options);
  std::vector<double> sorted = result.latencies_us;
  std::sort(sorted.begin(), sorted.end());
  CHECK(plot::percentile_of(sorted, 0.5) == Approx(340.0));
}
