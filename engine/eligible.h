// Which rows of a snapshot a call may see: alive, not past their time to live, and matching a
// filter, as bits per block. Comes after the snapshot is pinned, before scanning, counting or
// erasing by filter. Pure functions on the caller's thread. Always holds: bits at or above a
// block's count are zero; where nothing but the live bits matters, they are used in place and
// nothing is copied.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/payload/filter.h"
#include "engine/rows/row_set.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine {

struct EligibleRows {
  const std::uint64_t* words = nullptr;  // (count + 63) / 64 of them; null when none is eligible
  std::uint32_t count = 0;               // bits set
};

// One block. `filter` may be null. The answer points into the block view or into `scratch`, which
// must hold capacity / 64 words.
[[nodiscard]] EligibleRows eligible_rows(const BlockView& view, std::uint64_t now_ms,
                                         FilterRun* filter, std::uint64_t* scratch);

// All blocks of a snapshot as a mask for a scanner; returns how many rows are eligible. The mask
// points into the snapshot and into `scratch`, which grows as needed. May throw std::bad_alloc.
std::uint64_t make_mask(const RowSet& rows, std::uint64_t now_ms, const Filter* filter,
                        std::vector<std::uint64_t>& scratch, ScanMask& mask);

}  // namespace vecserve::engine
