// See sift_choice.h.
// Runs on the searching thread, once for each group of queries; no state.
// Always holds: no plane is touched.
#include "engine/scan/sift_choice.h"

#include <algorithm>

namespace vecserve::engine {

namespace {

// Rows that pass for each row of the answer, at least, on data where sketches pay at all.
constexpr double kPassingPerRow = 8.0;
// The first stage measures all rows of a block: below one eligible row in so many, reading those
// from the coarse plane is less work.
constexpr std::uint64_t kRowsPerEligible = 8;

}  // namespace

bool worth_sifting(const ScanRequest& request, const ScanMask& mask, std::uint32_t first,
                   std::uint32_t count, double share_max) {
  std::uint64_t rows = 0;
  std::uint64_t eligible = 0;
  for (std::size_t b = 0; b < request.blocks.size(); ++b) {
    rows += request.blocks[b].count;
    if (mask.words[b] != nullptr) eligible += mask.eligible[b];
  }
  std::uint32_t most = 0;
  for (std::uint32_t q = first; q < first + count; ++q) {
    most = std::max(most, needed(request.queries[q]));
  }
  return eligible * kRowsPerEligible >= rows &&
         kPassingPerRow * static_cast<double>(most) <= share_max * static_cast<double>(eligible);
}

}  // namespace vecserve::engine
