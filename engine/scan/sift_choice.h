// Whether sketches can pay for some queries, by the numbers alone: before anything is read. Comes
// between the planner and the coarse scanner, which asks once for each group of queries; then
// whether they do pay, by how many rows really pass. Any thread. Always holds: the answer changes
// what a scan costs, never what it finds.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/scan/scanner.h"

namespace vecserve::engine {

// When sketches let more than this share of the rows pass, they are not worth reading: what passes
// is read from the coarse plane row by row, which costs two to four times what it costs in order.
// About half of what passes with the first threshold is turned away by the better one that follows.
inline constexpr double kSiftShareMax = 0.35;

// Of the queries [first, first + count) of the request, which share the mask; `share_max`: of the
// eligible rows, as many may pass and it still pays.
[[nodiscard]] bool worth_sifting(const ScanRequest& request, const ScanMask& mask,
                                 std::uint32_t first, std::uint32_t count, double share_max);

// Whether sketches are still read for a group of queries, by what they let pass. All workers share
// it; relaxed: an old value costs a little work, nothing else.
class Sifting {
 public:
  void reset(bool worth);
  [[nodiscard]] bool on() const { return on_.load(std::memory_order_relaxed); }
  // `passed` of so many rows did, each for each of the group's queries; when too many do, the group
  // goes on without sketches.
  void note(std::uint64_t rows, std::uint64_t passed, std::uint32_t queries);

 private:
  std::atomic<std::uint64_t> seen_{0};
  std::atomic<std::uint64_t> passed_{0};
  std::atomic<bool> on_{false};
};

}  // namespace vecserve::engine
