// Decides among a scanner's candidates with the reference scorer. Comes after the scanner, before
// the collection fills in ids and payloads; the searching thread.
// Always holds: `best` has the k nearest of what was scored, and at most k more until the next time
// that those are picked out. See rescore.h for the proof of the certificate.
#include "engine/scan/rescore.h"

#include <algorithm>
#include <limits>
#include <utility>

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

// Candidates that are scored between two looks at the k-th distance.
constexpr std::size_t kPartMin = 8;
// And of k, or of what is left, this part: the smaller, the fewer are scored in vain; the larger,
// the less is spent on finding the next ones, even where nothing can be ruled out.
constexpr std::size_t kParts = 16;

// Candidates that are scored together, and where their rows are.
struct Together {
  Scored rows[kDistancesAtOnce];
  const std::byte* vectors[kDistancesAtOnce] = {};
  std::uint32_t count = 0;
};

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
    keep_nearest();
  }

  [[nodiscard]] std::uint64_t scored() const { return scored_; }

  void sort() { std::sort(best_.begin(), best_.end(), Nearer(blocks_)); }

 private:
  // Rows lie anywhere: those that come next are asked for while those that are ready are scored.
  void take_turns() {
    for (std::uint32_t i = coming_.count; i < kDistancesAtOnce; ++i) {
      coming_.vectors[i] = coming_.vectors[0];
    }
    score_ready(coming_.vectors);
    std::swap(ready_, coming_);
  }

  void score_ready(const std::byte* const* next) {
    if (ready_.count == 0) return;
    double distances[kDistancesAtOnce];
    exact_distances(shape_, vector_, ready_.vectors, ready_.count, next, distances);
    scored_ += ready_.count;
    for (std::uint32_t i = 0; i < ready_.count; ++i) {
      if (distances[i] > most_) continue;
      best_.push_back({distances[i], ready_.rows[i].block, ready_.rows[i].position});
      if (best_.size() == kept_max()) keep_nearest();
    }
    ready_.count = 0;
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
  Together ready_;   // whose rows were asked for
  Together coming_;  // the next
  std::uint64_t scored_ = 0;
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
    part = std::max({kPartMin, k / kParts, static_cast<std::size_t>(end - rest) / kParts});
  }
  scoring.sort();

  Decision decision;
  decision.scored = scoring.scored();
  decision.limit = best.size() == k && k != 0 ? best.back().distance : query.limit;
  const bool full = best.size() == k;
  decision.certified = candidates.floor == std::numeric_limits<double>::infinity() ||
                       (full && (k == 0 || candidates.floor > best.back().distance)) ||
                       candidates.floor > query.limit;
  return decision;
}

}  // namespace vecserve::engine
