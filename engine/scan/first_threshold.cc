// See first_threshold.h.
// On workers' threads, before the scan. Always holds: rows of the sample are met again by the scan
// itself, so nothing but the threshold is kept of them.
#include "engine/scan/first_threshold.h"

#include <algorithm>
#include <cmath>

#include "engine/base/limits.h"

namespace vecserve::engine {

namespace {

// A threshold for more candidates than this comes with the scan itself.
constexpr std::uint32_t kSeedsMax = 1024;
// Rows looked at for each row that is wanted: the nearest by a few axes are not quite the nearest.
constexpr std::uint32_t kSeedsPerRow = 3;
// A guess must promise so much less than what would be proven.
constexpr double kGuessPays = 0.75;
// Rows that a sample should have of those that are wanted: so many that by chance there are a third
// more of them at most.
constexpr double kRowsInSample = 128.0;
// How far above its mean the number of rows in a sample may be, in standard deviations.
constexpr double kDeviations = 4.0;

// Eligible rows among those of the sample.
std::uint64_t eligible_in_sample(const ScanRequest& request, std::uint32_t mask,
                                 const std::vector<Piece>& sample) {
  std::uint64_t count = 0;
  for (const Piece& piece : sample) count += eligible_in(request, mask, piece);
  return count;
}

}  // namespace

std::uint32_t sample_rank(std::uint32_t need, double share) {
  const double mean = static_cast<double>(need) * share;
  return static_cast<std::uint32_t>(std::ceil(mean + kDeviations * std::sqrt(mean))) + 2;
}

void FirstThreshold::prepare(const ScanRequest& request, const std::vector<Piece>& pieces) {
  cut_sample(pieces, samples_[0]);
  for (std::size_t t = 1; t < kThinned; ++t) {
    samples_[t].clear();
    for (std::size_t i = 0; i < samples_[t - 1].size(); i += 2) {
      samples_[t].push_back(samples_[t - 1][i]);
    }
  }
  shares_.assign(request.masks.size() * kThinned, 1.0);
  for (std::uint32_t m = 0; m < request.masks.size(); ++m) {
    std::uint64_t eligible = 0;
    for (std::size_t b = 0; b < request.blocks.size(); ++b) {
      if (request.masks[m].words[b] != nullptr) eligible += request.masks[m].eligible[b];
    }
    if (eligible == 0) continue;
    for (std::size_t t = 0; t < kThinned; ++t) {
      shares_[m * kThinned + t] = static_cast<double>(eligible_in_sample(request, m, samples_[t])) /
                                  static_cast<double>(eligible);
    }
  }
}

// The thinnest sample that has enough of the rows that are wanted.
std::size_t FirstThreshold::thinned_for(std::uint32_t need, std::uint32_t mask) const {
  std::size_t thinned = kThinned - 1;
  while (thinned > 0 && need * share(thinned, mask) < kRowsInSample) --thinned;
  return thinned;
}

FirstThreshold::Found FirstThreshold::find(const CoarseJob& job, const SketchSieve& sieve,
                                           std::uint32_t query, bool may_guess, CoarsePass& pass,
                                           Bench& bench) const {
  Found found;
  const ScanQuery& asked = job.request.queries[query];
  const std::uint32_t need = needed(asked);
  if (need > limits::k_max) return found;
  const std::size_t thinned = thinned_for(need, asked.mask);
  const std::uint32_t guess_rank = sample_rank(need, share(thinned, asked.mask));
  const bool guess = may_guess && guess_rank < kGuessPays * need;
  const std::vector<Piece>& sample = samples_[guess ? thinned : 0];
  const std::uint32_t rank = guess ? guess_rank : need;
  if (rank > kSeedsMax) return found;
  SharedThreshold& threshold = job.queries.threshold(query);
  PlaneTimer timer(job.request.timed);
  sieve.measure(job.request, sample, query, bench.sieve);
  sieve.nearest(job.request, sample, query, threshold.get(), kSeedsPerRow * rank, bench.sieve,
                bench.near);
  timer.lap(found.sketch_ns);
  if (bench.near.size() < rank) return found;
  bench.seeds.reset(rank);
  for (const SketchSieve::Near& row : bench.near) {
    CoarsePass::ask_for(job, sample[row.piece], row.row);
  }
  const float before = threshold.get();
  for (std::size_t i = 0; i < bench.near.size();) {
    const std::uint32_t number = bench.near[i].piece;
    const Piece& piece = sample[number];
    bench.bits.assign(std::max<std::size_t>(bench.bits.size(), piece.rows / 64 + 1), 0);
    for (; i < bench.near.size() && bench.near[i].piece == number; ++i) {
      const std::uint32_t row = bench.near[i].row;
      bench.bits[row / 64] |= std::uint64_t{1} << (row % 64);
    }
    pass.seed_rows(job, piece, query, bench.bits.data(), guess, bench.seeds);
  }
  bench.seeds.settle(threshold);
  found.read = bench.near.size();
  found.guessed = guess && threshold.get() < before;
  timer.lap(found.coarse_ns);
  return found;
}

}  // namespace vecserve::engine
