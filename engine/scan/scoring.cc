// See scoring.h.
// The searching thread or a worker of the pool, one query at a time each. Always holds: a row is
// asked for before the rows ahead of it are scored, as rows lie anywhere.
#include "engine/scan/scoring.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/scan/distance_drawers.h"

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
double distance_of(const Scored& row) {
  return row.distance;
}

double bound_of(const Candidate& candidate) {
  return candidate.lower;
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

std::span<Candidate> Scoring::choose_first(std::vector<Candidate>& spare) {
  std::vector<Candidate>& list = candidates_.list;
  first_ = std::min<std::size_t>(k_, list.size());
  if (list.size() - first_ <= first_ / kFewMore) {
    first_ = list.size();
    return list;
  }
  const auto drawers = drawers_for<Candidate>(list, bound_of);
  if (list.size() >= kDrawersPay && drawers.usable()) {
    spare.resize(std::max(spare.size(), list.size()));
    bring_into_drawers(std::span(list), std::span(spare).first(list.size()), drawers, bound_of);
    in_order_ = true;
    return std::span(list).first(first_);
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

// Rows are in about the order of their bounds, and those that cannot make it are passed over one by
// one: so nothing is looked for, and the k-th distance is known about as well after each part.
void Scoring::score_in_order() {
  const auto drawers = drawers_for<Scored>(best_, distance_of);
  if (best_.size() < k_ || k_ == 0 || !drawers.usable()) return score_rest();
  NearestDrawers nearest(drawers, k_);
  const std::span<const Candidate> list = candidates_.list;
  std::size_t known = 0;
  for (std::size_t at = first_; at < list.size();) {
    for (; known < best_.size(); ++known) nearest.add(best_[known].distance);
    most_ = std::min(most_, nearest.bound());
    const std::size_t part = std::min(std::max(kPartMin, k_ / kParts), list.size() - at);
    score(list.subspan(at, part));
    // Those that were dropped to make room are further than what is known by now.
    known = std::min(known, best_.size());
    at += part;
  }
}

// The k nearest in order.
void Scoring::sort_nearest() {
  std::erase_if(best_, [this](const Scored& row) { return row.distance > most_; });
  const std::size_t count = best_.size();
  const Nearer nearer(blocks_);
  const auto drawers = drawers_for<Scored>(best_, distance_of);
  if (count >= kDrawersPay && drawers.usable()) {
    best_.resize(2 * count);
    const std::span<Scored> rows = std::span(best_).first(count);
    std::uint32_t begin = 0;
    for (const std::uint32_t end :
         bring_into_drawers(rows, std::span(best_).last(count), drawers, distance_of)) {
      std::sort(rows.begin() + begin, rows.begin() + end, nearer);
      begin = end;
    }
  } else {
    std::sort(best_.begin(), best_.end(), nearer);
  }
  best_.resize(std::min<std::size_t>(count, k_));
}

Decision Scoring::finish() {
  if (in_order_) {
    score_in_order();
  } else {
    score_rest();
  }
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
