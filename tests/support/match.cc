// Strict comparison of candidates and answers with the oracle; comes after oracle.
// Single-threaded.
// Always holds: see match.h.
#include "tests/support/match.h"

#include <algorithm>
#include <map>
#include <utility>

namespace vecserve::test {

std::string contract_violation(const engine::ScanQuery& query,
                               const engine::QueryCandidates& candidates,
                               std::span<const OracleRow> rows) {
  std::map<std::pair<std::uint32_t, std::uint32_t>, double> lower;
  for (const engine::Candidate& c : candidates.list) {
    if (!lower.emplace(std::pair(c.block, c.position), c.lower).second) return "a row twice";
  }
  std::size_t within = 0;  // eligible rows that may not be left out for their distance
  std::size_t found = 0;
  for (const OracleRow& row : rows) {
    const auto it = lower.find({row.block, row.position});
    if (row.distance <= query.limit) ++within;
    if (it == lower.end()) {
      if (row.distance < candidates.floor && row.distance <= query.limit) {
        return "row " + row.id.to_string() + " at " + std::to_string(row.distance) +
               " was left out below the floor " + std::to_string(candidates.floor);
      }
      continue;
    }
    ++found;
    if (!(it->second <= row.distance)) {
      return "row " + row.id.to_string() + " at " + std::to_string(row.distance) +
             " has the lower bound " + std::to_string(it->second);
    }
  }
  if (found != lower.size()) return "a candidate that is not eligible";
  if (lower.size() < std::min<std::size_t>(needed(query), within)) {
    return "only " + std::to_string(lower.size()) + " candidates";
  }
  return {};
}

std::string answer_difference(std::span<const engine::ScanBlock> blocks,
                              std::span<const engine::Scored> best, std::span<const OracleRow> rows,
                              std::size_t k) {
  const std::size_t expected = std::min(k, rows.size());
  if (best.size() != expected) {
    return std::to_string(best.size()) + " answers, not " + std::to_string(expected);
  }
  for (std::size_t i = 0; i < expected; ++i) {
    const RowId id = blocks[best[i].block].block->id(best[i].position).to_id();
    if (id != rows[i].id || best[i].distance != rows[i].distance) {
      return "rank " + std::to_string(i) + ": " + id.to_string() + " at " +
             std::to_string(best[i].distance) + ", not " + rows[i].id.to_string() + " at " +
             std::to_string(rows[i].distance);
    }
  }
  return {};
}

}  // namespace vecserve::test
