// Decides among a scanner's candidates with the reference scorer. Comes after the scanner, before
// the collection fills in ids and payloads; the searching thread.
// Always holds: `best` has the k nearest of what was scored, and at most k more until the next time
// that those are picked out. See rescore.h for the proof of the certificate.
#include "engine/scan/rescore.h"

#include <algorithm>
#include <limits>

#include "engine/scan/exact_distance.h"

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

// Candidates lie anywhere: all of a row is asked for while those before it are scored. Longer rows
// are followed by the hardware.
constexpr std::size_t kAhead = 2 * kDistancesAtOnce;
constexpr std::size_t kPrefetchBytes = 4096;
// Candidates that are scored between two looks at the k-th distance.
constexpr std::size_t kPartMin = 8;

void prefetch_row(const RowShape& shape, std::span<const ScanBlock> blocks,
                  const Candidate& candidate) {
  const std::byte* const row = blocks[candidate.block].block->vector(candidate.position);
  for (std::size_t at = 0; at < std::min<std::size_t>(shape.row_bytes, kPrefetchBytes); at += 64) {
    __builtin_prefetch(row + at);
  }
}

// Scores candidates in their order, all that could still be within the answer.
class Scoring {
 public:
  Scoring(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
          std::uint32_t k, std::vector<Scored>& best)
      : shape_(shape),
        blocks_(blocks),
        vector_(query.bits != nullptr ? static_cast<const void*>(query.bits)
                                      : static_cast<const void*>(query.f32)),
        most_(query.limit),
        k_(k),
        best_(best) {
    best_.clear();
  }

  // No row above this can be in the answer; equality can, by its id.
  [[nodiscard]] double most() const { return most_; }

  void score(std::span<const Candidate> candidates) {
    for (std::size_t i = 0; i < std::min(kAhead, candidates.size()); ++i) ask_for(candidates[i]);
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (i + kAhead < candidates.size()) ask_for(candidates[i + kAhead]);
      if (candidates[i].lower > most_) continue;
      waiting_[count_] = {0.0, candidates[i].block, candidates[i].position};
      rows_[count_] = blocks_[candidates[i].block].block->vector(candidates[i].position);
      if (++count_ == kDistancesAtOnce) score_waiting();
    }
    score_waiting();
    keep_nearest();
  }

  void sort() { std::sort(best_.begin(), best_.end(), Nearer(blocks_)); }

 private:
  void ask_for(const Candidate& candidate) const {
    if (candidate.lower <= most_) prefetch_row(shape_, blocks_, candidate);
  }

  void score_waiting() {
    double distances[kDistancesAtOnce];
    exact_distances(shape_, vector_, rows_, count_, distances);
    for (std::uint32_t i = 0; i < count_; ++i) {
      if (distances[i] > most_) continue;
      best_.push_back({distances[i], waiting_[i].block, waiting_[i].position});
      if (best_.size() == kept_max()) keep_nearest();
    }
    count_ = 0;
  }

  // Twice the answer, so that dropping the other half costs little per row.
  [[nodiscard]] std::size_t kept_max() const { return 2 * std::size_t{k_} + kPartMin; }

  void keep_nearest() {
    if (best_.size() < k_ || k_ == 0) {
      if (k_ == 0) best_.clear();
      return;
    }
    const auto last = best_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
    std::nth_element(best_.begin(), last, best_.end(), Nearer(blocks_));
    most_ = std::min(most_, last->distance);
    best_.resize(k_);
  }

  const RowShape& shape_;
  std::span<const ScanBlock> blocks_;
  const void* vector_;
  double most_;
  std::uint32_t k_;
  std::vector<Scored>& best_;
  // Candidates to be scored together, and where their rows are.
  Scored waiting_[kDistancesAtOnce];
  const std::byte* rows_[kDistancesAtOnce] = {};
  std::uint32_t count_ = 0;
};

}  // namespace

Decision rescore(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
                 std::uint32_t k, QueryCandidates& candidates, std::vector<Scored>& best) {
  std::vector<Candidate>& list = candidates.list;
  Scoring scoring(shape, blocks, query, k, best);
  // Those with the smallest bounds first, a part at a time, and of the rest only what is still
  // below the k-th distance: nearly what sorting them would score, for less than sorting costs.
  auto rest = list.begin();
  auto end = list.end();
  std::size_t part = k;
  while (rest != end) {
    const auto next =
        rest + static_cast<std::ptrdiff_t>(std::min(part, static_cast<std::size_t>(end - rest)));
    std::nth_element(rest, next, end,
                     [](const Candidate& a, const Candidate& b) { return a.lower < b.lower; });
    scoring.score({rest, next});
    rest = next;
    end = std::remove_if(rest, end,
                         [most = scoring.most()](const Candidate& c) { return c.lower > most; });
    part = std::max(kPartMin, std::size_t{k} / 2);
  }
  scoring.sort();

  Decision decision;
  decision.limit = best.size() == k && k != 0 ? best.back().distance : query.limit;
  const bool full = best.size() == k;
  decision.certified = candidates.floor == std::numeric_limits<double>::infinity() ||
                       (full && (k == 0 || candidates.floor > best.back().distance)) ||
                       candidates.floor > query.limit;
  return decision;
}

}  // namespace vecserve::engine
