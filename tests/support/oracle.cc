// The full sort that tests compare with; comes after data, before match.
// Single-threaded.
// Always holds: see oracle.h.
#include "tests/support/oracle.h"

#include <algorithm>
#include <tuple>

#include "engine/scan/reference.h"

namespace vecserve::test {

std::vector<OracleRow> oracle_rows(const engine::RowShape& shape,
                                   std::span<const engine::ScanBlock> blocks,
                                   const engine::ScanMask& mask, const void* query) {
  std::vector<OracleRow> rows;
  for (std::uint32_t b = 0; b < blocks.size(); ++b) {
    if (mask.words[b] == nullptr) continue;
    for (std::uint32_t r = 0; r < blocks[b].count; ++r) {
      if ((mask.words[b][r / 64] >> (r % 64) & 1) == 0) continue;
      rows.push_back({engine::reference_distance(shape, query, blocks[b].block->vector(r)),
                      blocks[b].block->id(r).to_id(), b, r});
    }
  }
  std::sort(rows.begin(), rows.end(), [](const OracleRow& a, const OracleRow& b) {
    return std::tie(a.distance, a.id) < std::tie(b.distance, b.id);
  });
  return rows;
}

}  // namespace vecserve::test
