// Decides among a scanner's candidates with the reference scorer, one query by itself. Comes after
// the scanner, before the collection fills in ids and payloads; the searching thread.
// Always holds: what rescore_batch answers, this does.
#include "engine/scan/rescore.h"

#include "engine/scan/scoring.h"

namespace vecserve::engine {

Decision rescore(const RowShape& shape, std::span<const ScanBlock> blocks, const ScanQuery& query,
                 std::uint32_t k, QueryCandidates& candidates, std::vector<Candidate>& spare,
                 std::vector<Scored>& best) {
  Scoring scoring(shape, blocks, query, k, candidates, best);
  scoring.score(scoring.choose_first(spare));
  return scoring.finish();
}

}  // namespace vecserve::engine
