// See sift_choice.h.
// The choice runs on the searching thread, once for each group of queries; what passes is noted by
// its workers.
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
// Rows of a query before what passes is judged.
constexpr std::uint64_t kRowsJudged = 2'048;

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

void Sifting::reset(bool worth) {
  seen_.store(0, std::memory_order_relaxed);
  passed_.store(0, std::memory_order_relaxed);
  on_.store(worth, std::memory_order_relaxed);
}

void Sifting::note(std::uint64_t rows, std::uint64_t passed, std::uint32_t queries) {
  const std::uint64_t all = passed + passed_.fetch_add(passed, std::memory_order_relaxed);
  const std::uint64_t seen = rows + seen_.fetch_add(rows, std::memory_order_relaxed);
  if (seen >= kRowsJudged * queries &&
      static_cast<double>(all) > kSiftShareMax * static_cast<double>(seen)) {
    on_.store(false, std::memory_order_relaxed);
  }
}

}  // namespace vecserve::engine
