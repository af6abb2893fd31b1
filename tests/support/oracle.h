// What the right answer is, by the dullest means: every eligible row scored by the reference, all
// sorted by distance, then id. Used by tests of scanners. Single-threaded.
// Always holds: ids are compared with RowId's own order, not with the engine's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/scan/scanner.h"
#include "vecserve/types.h"

namespace vecserve::test {

struct OracleRow {
  double distance = 0.0;
  RowId id;
  std::uint32_t block = 0;
  std::uint32_t position = 0;
};

// All eligible rows, nearest first.
[[nodiscard]] std::vector<OracleRow> oracle_rows(const engine::RowShape& shape,
                                                 std::span<const engine::ScanBlock> blocks,
                                                 const engine::ScanMask& mask, const void* query);

}  // namespace vecserve::test
