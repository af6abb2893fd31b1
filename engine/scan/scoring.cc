// See scoring.h.
// The searching thread or a worker of the pool, one query at a time each. Always holds: a row is
// asked for before the rows ahead of it are scored, as rows lie anywhere.
#include "engine/scan/scoring.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

namespace vecserve::engine {
namespace {

// The total order of answers: distance, then id.
class Nearer {
 public:
  explicit Nearer(std::span<const ScanBlock> blocks) : blocks_(blocks) {}
  bool operator()(const Scored& a, const Scored& b) const {
    if (a.distance != b.distance) return a.distance < b.distance;
    return blocks_[a.block].block->id(a.position) < blocks_[b.block].block->id(b.position);
  }

 private:
  std::span<const ScanBlock> blocks_;
};

bool lower_bound_first(const Candidate& a, const Candidate& b) {
  return a.lower < b.lower;
}

// Candidates that are scored between two looks at the k-th distance.
constexpr std::size_t kPartMin = 8;
// And of k, or of what is left, this part: the smaller, the fewer are scored in vain; the larger,
// the less is spent on finding the next ones, even where nothing can be ruled out.
constexpr std::size_t kParts = 16;
// When all candidates are hardly more than the k, none of them is ruled out as a rule, and choosing
// the k nearest by their bounds costs more than to score them all.
constexpr std::size_t kFewMore = 6;
// Drawers that distances are sorted into; each is then sorted by itself, which is soon done: below
// so many rows, sorting them all is as fast.
constexpr std::size_t kDrawers = 256;
constexpr std::size_t kDrawersPay = 128;

struct Spread {
  double from = 0.0;
  double width = 0.0;
};

Spread spread_of(std::span<const Scored> rows) {
  double least = std::numeric_limits<double>::infinity();
  double most = -least;
  for (const Scored& row : rows) {
    least = std::min(least, row.distance);
    most = std::max(most, row.distance);
  }
  return {least, most - least};
}

// Not where all are alike, or where numbers end. None is no number: vectors are finite.
bool fits_drawers(const Spread& spread) {
  return std::isfinite(spread.width) && std::isfinite(static_cast<double>(kDrawers) / spread.width);
}

// Sorts `rows` by way of `spare`, which is as long: their distances say about where each belongs.
void sort_by_drawers(std::span<Scored> rows, std::span<Scored> spare, const Spread& spread,
                     const Nearer& nearer) {
  const double scale = static_cast<double>(kDrawers) / spread.width;
  // Equal distances share a drawer, and those of a later one are never less.
  const auto drawer_of = [from = spread.from, scale](const Scored& row) {
    return std::min(static_cast<std::size_t>((row.distance - from) * scale), kDrawers - 1);
  };
  std::array<std::uint32_t, kDrawers + 1> ends{};
  for (const Scored& row : rows) ++ends[drawer_of(row) + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  for (const Scored& row : rows) spare[ends[drawer_of(row)]++] = row;
  std::copy(spare.begin(), spare.end(), rows.begin());
  std::uint32_t begin = 0;
  for (std::size_t d = 0; d < kDrawers; begin = ends[d++]) {
    std::sort(rows.begin() + begin, rows.begin() + ends[d], nearer);
  }
}

}  // namespace

Scoring::Scoring(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
                 std::uint32_t k, QueryCandidates& candidates, std::vector<Scored>& best)
    : shape_(shape),
      blocks_(blocks),
      query_(query),
      k_(k),
      candidates_(candidates),
      best_(best),
      most_(query.limit) {
  best_.clear();
}

std::size_t Scoring::kept_max() const {
  return 2 * std::size_t{k_} + kPartMin;
}

std::span<Candidate> Scoring::choose_first() {
  std::vector<Candidate>& list = candidates_.list;
  first_ = std::min<std::size_t>(k_, list.size());
  if (list.size() - first_ <= first_ / kFewMore) {
    first_ = list.size();
    return list;
  }
  const auto next = list.begin() + static_cast<std::ptrdiff_t>(first_);
  std::nth_element(list.begin(), next, list.end(), lower_bound_first);
  return std::span(list).first(first_);
}

void Scoring::score(std::span<const Candidate> candidates) {
  for (const Candidate& candidate : candidates) {
    if (candidate.lower > most_) continue;
    const std::byte* const vector = blocks_[candidate.block].block->vector(candidate.position);
    if (ready_.count == 0) ask_for_vector(shape_, vector);
    coming_.rows[coming_.count] = {0.0, candidate.block, candidate.position};
    coming_.vectors[coming_.count] = vector;
    if (++coming_.count == kDistancesAtOnce) take_turns();
  }
  if (coming_.count != 0) take_turns();
  score_ready(nullptr);
}

// Those that come next are asked for while those that are ready are scored.
void Scoring::take_turns() {
  for (std::uint32_t i = coming_.count; i < kDistancesAtOnce; ++i) {
    coming_.vectors[i] = coming_.vectors[0];
  }
  score_ready(coming_.vectors);
  std::swap(ready_, coming_);
}

void Scoring::score_ready(const std::byte* const* next) {
  if (ready_.count == 0) return;
  const void* const vector = query_.bits != nullptr ? static_cast<const void*>(query_.bits)
                                                    : static_cast<const void*>(query_.f32);
  double distances[kDistancesAtOnce];
  exact_distances(shape_, vector, ready_.vectors, ready_.count, next, distances);
  scored_ += ready_.count;
  for (std::uint32_t i = 0; i < ready_.count; ++i) {
    if (distances[i] > most_) continue;
    best_.push_back({distances[i], ready_.rows[i].block, ready_.rows[i].position});
    if (best_.size() == kept_max()) keep_nearest();
  }
  ready_.count = 0;
}

void Scoring::keep_nearest() {
  if (best_.size() < k_ || k_ == 0) {
    if (k_ == 0) best_.clear();
    return;
  }
  const auto last = best_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
  std::nth_element(best_.begin(), last, best_.end(), Nearer(blocks_));
  most_ = std::min(most_, last->distance);
  best_.resize(k_);
}

// Those with the smallest bounds first, a part at a time, and of the rest only what is still below
// the k-th distance: nearly what sorting them would score, for less than sorting costs.
void Scoring::score_rest() {
  std::vector<Candidate>& list = candidates_.list;
  auto rest = list.begin() + static_cast<std::ptrdiff_t>(first_);
  auto end = list.end();
  while (rest != end) {
    keep_nearest();
    end = std::remove_if(rest, end, [this](const Candidate& c) { return c.lower > most_; });
    const auto left = static_cast<std::size_t>(end - rest);
    const std::size_t part = std::max({kPartMin, std::size_t{k_} / kParts, left / kParts});
    const auto next = rest + static_cast<std::ptrdiff_t>(std::min(part, left));
    if (next != end) std::nth_element(rest, next, end, lower_bound_first);
    score({rest, next});
    rest = next;
  }
}

// The k nearest in order.
void Scoring::sort_nearest() {
  const std::size_t count = best_.size();
  const Nearer nearer(blocks_);
  const Spread spread = spread_of(best_);
  if (count >= kDrawersPay && fits_drawers(spread)) {
    best_.resize(2 * count);
    sort_by_drawers(std::span(best_).first(count), std::span(best_).last(count), spread, nearer);
  } else {
    std::sort(best_.begin(), best_.end(), nearer);
  }
  best_.resize(std::min<std::size_t>(count, k_));
}

Decision Scoring::finish() {
  score_rest();
  sort_nearest();
  Decision decision;
  decision.scored = scored_;
  const bool full = best_.size() == k_;
  decision.limit = full && k_ != 0 ? best_.back().distance : query_.limit;
  decision.certified = candidates_.floor == std::numeric_limits<double>::infinity() ||
                       (full && (k_ == 0 || candidates_.floor > best_.back().distance)) ||
                       candidates_.floor > query_.limit;
  return decision;
}

}  // namespace vecserve::engine
