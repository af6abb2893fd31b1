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

// Candidates lie anywhere: the beginning of a row is asked for while a few before it are scored,
// the hardware follows from there.
constexpr std::size_t kAhead = 3;
constexpr std::size_t kPrefetchBytes = 512;
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
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      if (i + kAhead < candidates.size()) prefetch_row(shape_, blocks_, candidates[i + kAhead]);
      const Candidate& candidate = candidates[i];
      if (candidate.lower > most_) continue;
      const std::byte* row = blocks_[candidate.block].block->vector(candidate.position);
      const double distance = exact_distance(shape_, vector_, row);
      if (distance > most_) continue;
      best_.push_back({distance, candidate.block, candidate.position});
      if (best_.size() == kept_max()) keep_nearest();
    }
    keep_nearest();
  }

  void sort() { std::sort(best_.begin(), best_.end(), Nearer(blocks_)); }

 private:
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
