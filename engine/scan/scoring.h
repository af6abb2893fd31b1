// One query's candidates on their way to an answer: which come first, what scoring them with the
// reference leaves, and whether that is proven. Comes between the scanner's candidates and the two
// ways to decide: rescore, a query by itself, and rescore_batch, many over the same rows. One
// thread at a time. Always holds: what is kept is the k nearest of what was scored, and at most k
// more until the next time that those are picked out. See rescore.h for the proof of the
// certificate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/scan/exact_distance.h"
#include "engine/scan/rescore.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

class Scoring {
 public:
  // All must stay as long as this is used; `best` is cleared, its memory is used again.
  Scoring(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
          std::uint32_t k, QueryCandidates& candidates, std::vector<Scored>& best);

  // Moves the k candidates with the least bounds, or about these, to the front. The caller brings
  // them into any order, and scores them, in parts if it likes, before finish(). `spare` is any
  // memory. May throw std::bad_alloc.
  [[nodiscard]] std::span<Candidate> choose_first(std::vector<Candidate>& spare);
  // Scores candidates that could still be within the answer.
  void score(std::span<const Candidate> candidates);
  // Scores what is left of the others, sorts, and judges.
  [[nodiscard]] Decision finish();

 private:
  // Candidates that are scored together, and where their rows are.
  struct Together {
    Scored rows[kDistancesAtOnce];
    const std::byte* vectors[kDistancesAtOnce] = {};
    std::uint32_t count = 0;
  };

  void score_rest();
  void score_in_order();
  void take_turns();
  void score_ready(const std::byte* const* next);
  void keep_nearest();
  void sort_nearest();
  // Twice the answer, so that dropping the other half costs little per row.
  [[nodiscard]] std::size_t kept_max() const;

  const RowShape& shape_;
  std::span<const ScanBlock> blocks_;
  const ScanQuery& query_;
  std::uint32_t k_;
  QueryCandidates& candidates_;
  std::vector<Scored>& best_;
  double most_;  // no row above this can be in the answer; equality can, by its id
  std::size_t first_ = 0;
  bool in_order_ = false;  // candidates are, about, by their bounds
  Together ready_;         // whose rows were asked for
  Together coming_;        // the next
  std::uint64_t scored_ = 0;
};

}  // namespace vecserve::engine
