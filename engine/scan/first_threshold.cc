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
// A sample of more of the rows than this is not worth reading as it is: what a good guess saves is
// about a third of a scan, and only where hundreds of rows are wanted.
constexpr double kReadShareMax = 0.15;
// Nor one that has fewer of the rows that are wanted: what it says of them is too vague.
constexpr double kReadRowsMin = 64.0;
// Fewer queries than this cost as much as so many.
constexpr std::uint32_t kReadTogether = 16;
// Queries that are tried by sketches before it is said whether those say enough, and rows of the
// sample that tell, for each of them.
constexpr std::uint32_t kScouts = 4;
constexpr std::uint32_t kScoutRows = 2'048;
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

// A rank above kSeedsMax: there is nothing to find.
FirstThreshold::Plan FirstThreshold::plan_for(const ScanQuery& asked, bool may_guess) const {
  const std::uint32_t need = needed(asked);
  if (need > limits::k_max) return {0, need, false};
  const std::size_t thinned = thinned_for(need, asked.mask);
  const std::uint32_t rank = sample_rank(need, share(thinned, asked.mask));
  if (may_guess && rank < kGuessPays * need) return {thinned, rank, true};
  return {0, need, false};
}

FirstThreshold::Found FirstThreshold::find(const CoarseJob& job, const SketchSieve& sieve,
                                           std::uint32_t query, bool may_guess, CoarsePass& pass,
                                           Bench& bench) const {
  Found found;
  const Plan plan = plan_for(job.request.queries[query], may_guess);
  const std::uint32_t rank = plan.rank;
  if (rank > kSeedsMax) return found;
  const std::vector<Piece>& sample = samples_[plan.thinned];
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
    pass.seed_rows(job, piece, query, bench.bits.data(), plan.guess, bench.seeds);
  }
  bench.seeds.settle(threshold);
  found.read = bench.near.size();
  found.guessed = plan.guess && threshold.get() < before;
  timer.lap(found.coarse_ns);
  return found;
}

// The largest sample that is worth reading.
FirstThreshold::Plan FirstThreshold::plan_to_read(const ScanQuery& asked) const {
  std::size_t thinned = 0;
  while (thinned + 1 < kThinned && share(thinned, asked.mask) > kReadShareMax) ++thinned;
  const double part = share(thinned, asked.mask);
  const std::uint32_t need = needed(asked);
  return {thinned, sample_rank(need, part / 2.0),
          part <= kReadShareMax && need * part >= kReadRowsMin};
}

bool FirstThreshold::can_read(const CoarseJob& job, const Group& queries) const {
  const ScanQuery& first = job.request.queries[queries.first];
  if (queries.count < kReadTogether || !plan_to_read(first).guess) return false;
  const auto all = job.request.queries.subspan(queries.first, queries.count);
  return std::all_of(all.begin(), all.end(),
                     [&](const ScanQuery& query) { return needed(query) == needed(first); });
}

// By what passes of the first rows of the sample, given the thresholds of the first few queries.
bool FirstThreshold::sketches_pay(const CoarseJob& job, const SketchSieve& sieve, const Few& few,
                                  std::uint32_t scouts, Bench& bench) const {
  const std::vector<Piece>& sample = samples_[0];
  const auto& words = job.request.masks[few.queries.mask].words;
  for (std::uint32_t q = few.queries.first; q < few.queries.first + scouts; ++q) {
    std::uint32_t rows = 0;
    for (std::size_t p = 0; p < sample.size() && rows < kScoutRows; ++p) {
      if (words[sample[p].block] == nullptr) continue;
      bench.passed.resize(std::max<std::size_t>(bench.passed.size(), sample[p].rows));
      const SketchCount count = sieve.sift(job.request, sample[p], q,
                                           job.queries.threshold(q).get(), bench.passed.data());
      few.sifting->note(sample[p].rows, count.all, 1);
      rows += sample[p].rows;
    }
  }
  return few.sifting->on();
}

// Every second window of the sample, from number `from` on, for all of the queries: lowers their
// thresholds to guesses.
void FirstThreshold::read_half(const CoarseJob& job, const Few& few, const Plan& plan,
                               std::size_t from, CoarsePass& pass, Bench& bench,
                               ScanCounts& counts) const {
  const Group& queries = few.queries;
  for (std::uint32_t q = queries.first; q < queries.first + queries.count; ++q) {
    bench.lists[q].reset(plan.rank);
  }
  for (std::size_t p = from; p < samples_[plan.thinned].size(); p += 2) {
    const Piece& piece = samples_[plan.thinned][p];
    if (job.request.masks[queries.mask].words[piece.block] == nullptr) continue;
    pass.rows_in_order(job, piece, queries, few.panels, true, bench.lists);
    counts.coarse += eligible_in(job.request, queries.mask, piece) * queries.count;
  }
  for (std::uint32_t q = queries.first; q < queries.first + queries.count; ++q) {
    bench.lists[q].settle(job.queries.threshold(q));
  }
}

// All rows of the sample for all of the queries. Rows that are alike often lie together, and then
// windows differ by more than chance: so each half of them guesses, and the higher guess counts.
void FirstThreshold::read_sample(const CoarseJob& job, const Few& few, CoarsePass& pass,
                                 Bench& bench, std::span<std::uint8_t> guessed,
                                 ScanCounts& counts) const {
  const Group& queries = few.queries;
  const Plan plan = plan_to_read(job.request.queries[queries.first]);
  bench.lists.resize(std::max(bench.lists.size(), job.request.queries.size()));
  bench.halves.resize(queries.count);
  read_half(job, few, plan, 0, pass, bench, counts);
  for (std::uint32_t i = 0; i < queries.count; ++i) {
    SharedThreshold& threshold = job.queries.threshold(queries.first + i);
    bench.halves[i] = threshold.get();
    threshold.reset(bench.before[i]);
  }
  read_half(job, few, plan, 1, pass, bench, counts);
  for (std::uint32_t i = 0; i < queries.count; ++i) {
    SharedThreshold& threshold = job.queries.threshold(queries.first + i);
    threshold.reset(std::max(threshold.get(), bench.halves[i]));
    guessed[queries.first + i] = threshold.get() < bench.before[i] ? 1 : 0;
  }
}

void FirstThreshold::find_some(const CoarseJob& job, const SketchSieve& sieve, const Few& few,
                               bool may_guess, CoarsePass& pass, Bench& bench,
                               std::span<std::uint8_t> guessed, ScanCounts& counts) const {
  const std::uint32_t first = few.queries.first;
  const std::uint32_t end = first + few.queries.count;
  const std::uint32_t scouts =
      may_guess && can_read(job, few.queries) ? kScouts : few.queries.count;
  const auto find_of = [&](std::uint32_t q) {
    const Found found = find(job, sieve, q, may_guess, pass, bench);
    counts.coarse += found.read;
    counts.sketch_ns += found.sketch_ns;
    counts.coarse_ns += found.coarse_ns;
    guessed[q] = found.guessed ? 1 : 0;
  };
  bench.before.clear();
  for (std::uint32_t q = first; q < end; ++q) {
    bench.before.push_back(job.queries.threshold(q).get());
  }
  for (std::uint32_t q = first; q < first + scouts; ++q) find_of(q);
  if (scouts == few.queries.count) return;
  PlaneTimer timer(job.request.timed);
  const bool pay = sketches_pay(job, sieve, few, scouts, bench);
  timer.lap(counts.sketch_ns);
  if (pay) {
    for (std::uint32_t q = first + scouts; q < end; ++q) find_of(q);
    return;
  }
  for (std::uint32_t i = 0; i < scouts; ++i) {
    job.queries.threshold(first + i).reset(bench.before[i]);
  }
  read_sample(job, few, pass, bench, guessed, counts);
  timer.lap(counts.coarse_ns);
}

}  // namespace vecserve::engine
