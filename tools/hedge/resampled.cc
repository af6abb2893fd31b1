// Rounds drawn with replacement: a call counts as often as its round was drawn. After rounds' runs;
// before the bench; any thread. Always holds: percentiles are those of views.h, the smallest value
// that at least p of the calls do not exceed.
#include "tools/hedge/resampled.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "engine/base/histogram.h"
#include "tools/loadgen/random.h"

namespace vecserve::hedge {
namespace {

constexpr std::uint64_t kDrawSeed = 1;
constexpr double kDoubt = 0.05;

// Calls of all rounds, the slowest first: percentiles of tails end after a few steps.
class Calls {
 public:
  explicit Calls(std::span<const RoundLatencies> rounds) {
    for (std::size_t round = 0; round < rounds.size(); ++round) {
      sizes_.push_back(rounds[round].size());
      for (const double latency : rounds[round]) slowest_first_.emplace_back(latency, round);
    }
    std::sort(slowest_first_.begin(), slowest_first_.end(),
              [](const auto& a, const auto& b) { return a.first > b.first; });
  }

  double percentile(double p, const std::vector<std::uint64_t>& times_drawn) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < sizes_.size(); ++i) total += sizes_[i] * times_drawn[i];
    const std::uint64_t slower_max = total - engine::rank_of(p, total);
    std::uint64_t slower = 0;
    for (const auto& [latency, round] : slowest_first_) {
      slower += times_drawn[round];
      if (slower > slower_max) return latency;
    }
    return 0.0;
  }

 private:
  std::vector<std::pair<double, std::size_t>> slowest_first_;
  std::vector<std::uint64_t> sizes_;
};

}  // namespace

RatioInterval resampled_ratio(std::span<const RoundLatencies> above,
                              std::span<const RoundLatencies> below, double p) {
  const std::size_t rounds = std::min(above.size(), below.size());
  if (rounds == 0) return {};
  const Calls above_calls(above.first(rounds)), below_calls(below.first(rounds));
  loadgen::Random random(kDrawSeed);
  std::vector<double> ratios;
  std::vector<std::uint64_t> times_drawn(rounds);
  for (std::uint32_t i = 0; i < kResamplings; ++i) {
    std::fill(times_drawn.begin(), times_drawn.end(), 0);
    for (std::size_t draw = 0; draw < rounds; ++draw) ++times_drawn[random.below(rounds)];
    ratios.push_back(above_calls.percentile(p, times_drawn) /
                     std::max(1e-9, below_calls.percentile(p, times_drawn)));
  }
  std::sort(ratios.begin(), ratios.end());
  const auto outside = static_cast<std::size_t>(kResamplings * kDoubt / 2.0);
  return {ratios[outside], ratios[kResamplings - 1 - outside]};
}

}  // namespace vecserve::hedge
