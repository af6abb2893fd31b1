// Many rows by their distance, or a bound of it, without comparing them: each goes into one of some
// drawers of equal width, and rows of an earlier drawer are never further than those of a later
// one. Comparing rows that come in no order costs a wrong guess of the processor every other time,
// and counting costs none. Comes below the scoring of candidates. Any thread; pure but for
// NearestDrawers, which is one query's. Always holds: no row is lost or made.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <span>

#include "engine/scan/extremes.h"

namespace vecserve::engine {

// Below so many rows, comparing them is as fast.
inline constexpr std::size_t kDrawersPay = 128;

// Which of the drawers a distance belongs to.
class Drawers {
 public:
  static constexpr std::size_t kCount = 256;

  Drawers() = default;
  Drawers(double least, double most)
      : from_(least), scale_(static_cast<double>(kCount) / (most - least)) {}
  // Not where all are alike, or where numbers end.
  [[nodiscard]] bool usable() const {
    return std::isfinite(from_) && std::isfinite(scale_) && scale_ > 0.0;
  }
  // Of a distance that is no number, or below the least, the first; above the most, the last.
  [[nodiscard]] std::size_t of(double distance) const {
    const double drawer = (distance - from_) * scale_;
    if (!(drawer > 0.0)) return 0;
    return static_cast<std::size_t>(std::min(drawer, static_cast<double>(kCount - 1)));
  }

 private:
  double from_ = 0.0;
  double scale_ = 0.0;
};

// `distance_of(row)` is no NaN.
template <typename Row, typename F>
[[nodiscard]] Drawers drawers_for(std::span<const Row> rows, F&& distance_of) {
  const auto [least, most] = extremes_of<double>(rows, distance_of);
  return {least, most};
}

// Where each drawer ends among rows that are in their order.
using DrawerEnds = std::array<std::uint32_t, Drawers::kCount>;

// Brings rows into the order of their drawers, which are usable, by way of `spare`, which is as
// long; within a drawer they stay as they were.
template <typename Row, typename F>
DrawerEnds bring_into_drawers(std::span<Row> rows, std::span<Row> spare, const Drawers& drawers,
                              F&& distance_of) {
  std::array<std::uint32_t, Drawers::kCount + 1> ends{};
  for (const Row& row : rows) ++ends[drawers.of(distance_of(row)) + 1];
  std::partial_sum(ends.begin(), ends.end(), ends.begin());
  std::copy(rows.begin(), rows.end(), spare.begin());
  for (const Row& row : spare) rows[ends[drawers.of(distance_of(row))]++] = row;
  DrawerEnds found;
  std::copy(ends.begin(), ends.end() - 1, found.begin());
  return found;
}

// A distance that k rows are within, while more and more rows become known: about the k-th, and
// never below it.
class NearestDrawers {
 public:
  // From k distances on, `drawers` made for the first of them.
  NearestDrawers(const Drawers& drawers, std::size_t k) : drawers_(drawers), k_(k) {
    furthest_.fill(-std::numeric_limits<double>::infinity());
  }
  void add(double distance) {
    const std::size_t drawer = drawers_.of(distance);
    if (drawer > last_) return;
    ++counts_[drawer];
    furthest_[drawer] = std::max(furthest_[drawer], distance);
    ++count_;
  }
  // Infinity while there are fewer than k, which is not 0.
  [[nodiscard]] double bound() {
    if (count_ < k_) return std::numeric_limits<double>::infinity();
    while (count_ - counts_[last_] >= k_) count_ -= counts_[last_--];
    return furthest_[last_];
  }

 private:
  Drawers drawers_;
  std::size_t k_;
  std::size_t count_ = 0;                   // in the drawers up to the last
  std::size_t last_ = Drawers::kCount - 1;  // those before it have fewer than k
  std::array<std::uint32_t, Drawers::kCount> counts_{};
  std::array<double, Drawers::kCount> furthest_;
};

}  // namespace vecserve::engine
