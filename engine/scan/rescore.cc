// Decides among a scanner's candidates with the reference scorer. Comes after the scanner, before
// the collection fills in ids and payloads; the searching thread.
// Always holds: `best` is a heap of the k nearest so far, the furthest on top, until it is sorted
// at the end. See rescore.h for the proof of the certificate.
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

void prefetch_row(const RowShape& shape, std::span<const ScanBlock> blocks,
                  const Candidate& candidate) {
  const std::byte* const row = blocks[candidate.block].block->vector(candidate.position);
  for (std::size_t at = 0; at < std::min<std::size_t>(shape.row_bytes, kPrefetchBytes); at += 64) {
    __builtin_prefetch(row + at);
  }
}

}  // namespace

Decision rescore(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
                 std::uint32_t k, QueryCandidates& candidates, std::vector<Scored>& best) {
  const Nearer nearer(blocks);
  const void* vector = query.bits != nullptr ? static_cast<const void*>(query.bits)
                                             : static_cast<const void*>(query.f32);
  std::vector<Candidate>& list = candidates.list;
  std::sort(list.begin(), list.end(),
            [](const Candidate& a, const Candidate& b) { return a.lower < b.lower; });
  best.clear();
  for (std::size_t i = 0; i < list.size(); ++i) {
    const Candidate& candidate = list[i];
    if (i + kAhead < list.size()) prefetch_row(shape, blocks, list[i + kAhead]);
    // Equality goes on: such a row may tie and win by its id.
    if (best.size() == k && candidate.lower > best.front().distance) break;
    if (candidate.lower > query.limit) break;
    const std::byte* row = blocks[candidate.block].block->vector(candidate.position);
    const Scored scored{exact_distance(shape, vector, row), candidate.block, candidate.position};
    if (scored.distance > query.limit) continue;
    if (best.size() < k) {
      best.push_back(scored);
      std::push_heap(best.begin(), best.end(), nearer);
    } else if (nearer(scored, best.front())) {
      std::pop_heap(best.begin(), best.end(), nearer);
      best.back() = scored;
      std::push_heap(best.begin(), best.end(), nearer);
    }
  }
  std::sort_heap(best.begin(), best.end(), nearer);

  Decision decision;
  decision.limit = best.size() == k && k != 0 ? best.back().distance : query.limit;
  const bool full = best.size() == k;
  decision.certified = candidates.floor == std::numeric_limits<double>::infinity() ||
                       (full && (k == 0 || candidates.floor > best.back().distance)) ||
                       candidates.floor > query.limit;
  return decision;
}

}  // namespace vecserve::engine
