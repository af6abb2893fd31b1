// Decides: scores a scanner's candidates with the reference, keeps the k nearest in the total order
// (distance, then id), and says whether that is proven to be the exact answer. Comes after the
// scanner, before the collection fills in ids and payloads. Runs on the searching thread.
//
// Proof of the certificate: let d_k be the k-th reference distance among the candidates. A row
// outside has a reference distance of at least floor. If floor > d_k it comes after all k; if floor
// == d_k it could tie and win by its id, so equality does not certify. When the list held every
// eligible row (floor = +infinity) the answer is exact also with fewer than k.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/worker_pool.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

struct Scored {
  double distance = 0.0;
  std::uint32_t block = 0;
  std::uint32_t position = 0;
};

struct Decision {
  bool certified = false;
  // When not certified: every row that belongs to the answer has a reference distance of at most
  // this, so one more scan with this limit and want = all finds them all.
  double limit = 0.0;
  std::uint64_t scored = 0;  // candidates whose vectors were read
};

// Fills `best` with at most k rows, sorted; reuses its memory, and that of `spare`. Rows above
// query.limit are left out. Candidates that cannot make it (lower bound above the k-th distance so
// far) are not scored.
[[nodiscard]] Decision rescore(const RowShape& shape, std::span<const ScanBlock> blocks,
                               const ScanQuery& query, std::uint32_t k, QueryCandidates& candidates,
                               std::vector<Candidate>& spare, std::vector<Scored>& best);

}  // namespace vecserve::engine
