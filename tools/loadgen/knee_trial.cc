// Trials on simulated latencies. Comes below bench knee; any thread. Always holds: a
// step looks at its samples exactly as a real run does, at the planned numbers and no
// others.
#include "tools/loadgen/knee_trial.h"

#include <algorithm>
#include <vector>

#include "tools/loadgen/compare.h"
#include "tools/loadgen/random.h"
#include "tools/loadgen/simulate.h"

namespace vecserve::loadgen {

KneeStep try_rate(const KneeTrialOptions& options, double rate, std::uint64_t seed) {
  SimulatedServer server(options.service_per_s, rate, seed);
  std::vector<std::uint64_t> latencies;
  KneeStep step;
  step.rate = rate;
  for (int look = 0; look < kLooks && step.decision == Decision::open; ++look) {
    while (latencies.size() < look_at(options.samples_max, look)) {
      latencies.push_back(server.next());
    }
    step.decision = decide(latencies, options.slo);
  }
  const auto over = std::count_if(latencies.begin(), latencies.end(), [&](std::uint64_t latency) {
    return latency > options.slo.limit_ns;
  });
  step.samples = latencies.size();
  step.share_over = static_cast<double>(over) / static_cast<double>(latencies.size());
  const auto rank =
      static_cast<std::ptrdiff_t>(options.slo.quantile * static_cast<double>(latencies.size() - 1));
  std::nth_element(latencies.begin(), latencies.begin() + rank, latencies.end());
  step.quantile_ns = latencies[static_cast<std::size_t>(rank)];
  return step;
}

KneeTrial try_knee(const KneeTrialOptions& options, std::uint64_t seed) {
  KneeTrial trial;
  trial.truth = SimulatedServer::knee(options.service_per_s, options.slo.quantile,
                                      static_cast<double>(options.slo.limit_ns) / 1e9);
  Random random(seed, 9);
  KneeSearch::Options search_options;
  search_options.slo = options.slo;
  search_options.rate_first = trial.truth * (0.05 + 0.28 * random.uniform());
  search_options.steps_max = options.steps_max;
  KneeSearch search(search_options);
  while (!search.done()) {
    const KneeStep step = try_rate(options, search.next_rate(), random.next());
    trial.samples += step.samples;
    search.add(step);
  }
  trial.found = search.knee();
  trial.passed = search.passed();
  trial.steps = static_cast<std::uint32_t>(search.steps().size());
  return trial;
}

bool try_compare(std::size_t samples, double resemblance, double shift, std::uint64_t seed) {
  constexpr double kMedianNs = 3e5;
  constexpr double kSigma = 0.5;
  SimulatedLatencies a(kMedianNs, kSigma, resemblance, 2 * seed + 1);
  SimulatedLatencies b(kMedianNs, kSigma, resemblance, 2 * seed + 2);
  const double slow = b.quantile(0.95);
  std::vector<std::uint64_t> in_a(samples);
  std::vector<std::uint64_t> in_b(samples);
  for (std::uint64_t& value : in_a) value = a.next();
  for (std::uint64_t& value : in_b) {
    const auto drawn = static_cast<double>(b.next());
    value = static_cast<std::uint64_t>(drawn > slow ? drawn * shift : drawn);
  }
  const auto differences = compare(comparable(in_a), comparable(in_b));
  return std::any_of(differences.begin(), differences.end(), [&](const Difference& difference) {
    return difference.significant && (shift == 1.0 || difference.quantile == 0.99);
  });
}

}  // namespace vecserve::loadgen
