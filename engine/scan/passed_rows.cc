// See passed_rows.h.
// Runs on a worker's thread. Always holds: room grows by doubling, so that filling a list costs
// time in proportion to its rows.
#include "engine/scan/passed_rows.h"

#include <algorithm>
#include <span>

#include "engine/scan/rank_select.h"

namespace vecserve::engine {

SketchSurvivor* PassedRows::room(std::uint32_t count) {
  if (rows_.size() < count_ + count) rows_.resize(2 * count_ + count);
  return rows_.data() + count_;
}

void PassedRows::take(std::uint32_t count, std::uint32_t base) {
  for (std::size_t i = count_; i < count_ + count; ++i) rows_[i].row += base;
  count_ += count;
}

float PassedRows::bound_at(std::size_t rank, std::vector<float>& scratch) const {
  scratch.resize(std::max(scratch.size(), count_));
  for (std::size_t i = 0; i < count_; ++i) scratch[i] = rows_[i].bound;
  return value_at_rank(std::span(scratch).first(count_), rank);
}

void PassedRows::drop_within(float most) {
  const auto first = rows_.begin();
  const auto left = std::remove_if(first, first + static_cast<std::ptrdiff_t>(count_),
                                   [most](const SketchSurvivor& row) { return row.bound <= most; });
  count_ = static_cast<std::size_t>(left - first);
  at_ = asked_ = 0;
}

std::uint32_t PassedRows::choose(std::uint64_t base, std::uint32_t rows, float most,
                                 std::vector<std::uint64_t>& chosen) {
  const std::uint64_t end = base + rows;
  std::uint32_t count = 0;
  for (; at_ < count_ && rows_[at_].row < end; ++at_) {
    if (rows_[at_].bound > most) continue;
    if (count == 0) {
      const std::size_t words = (std::size_t{rows} + 63) / 64;
      chosen.resize(std::max(chosen.size(), words));
      std::fill_n(chosen.begin(), words, std::uint64_t{0});
    }
    const std::uint64_t row = rows_[at_].row - base;
    chosen[row / 64] |= std::uint64_t{1} << (row % 64);
    ++count;
  }
  return count;
}

}  // namespace vecserve::engine
