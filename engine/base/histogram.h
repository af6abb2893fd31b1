// Counts of durations in cells that widen with the value: linear up to 255, then 128 cells for each
// doubling. Stands below everything that measures; statistics, load generator and probe all use it.
// A Histogram belongs to one thread; any number may record into a SharedHistogram. Always holds: a
// cell is at most 1/128 of its values wide (0.79 %), so any quantile read is within that, from
// above.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace vecserve::engine {

// Where values fall; the layout that HdrHistogram uses for a lowest value of 1 and two decimal
// digits, so that files of counts can be exchanged with it. Values have no unit here; everything in
// this project records nanoseconds.
struct HistogramCells {
  static constexpr unsigned sub_bits = 8;     // 256 linear cells, then halves of 128
  static constexpr unsigned value_bits = 42;  // 2^42 ns are 73 minutes
  static constexpr std::uint64_t value_max = (std::uint64_t{1} << value_bits) - 1;
  static constexpr std::size_t half = std::size_t{1} << (sub_bits - 1);
  static constexpr std::size_t count = (value_bits - sub_bits + 2) * half;

  // The cell of a value up to value_max. Monotone; cell_of(low(i)) == i == cell_of(high(i)).
  [[nodiscard]] static constexpr std::size_t cell_of(std::uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value | ((1u << sub_bits) - 1)));
    const unsigned shift = width - sub_bits;
    return shift * half + static_cast<std::size_t>(value >> shift);
  }
  [[nodiscard]] static constexpr std::uint64_t low(std::size_t cell) {
    if (cell < 2 * half) return cell;
    return static_cast<std::uint64_t>(cell % half + half) << (cell / half - 1);
  }
  [[nodiscard]] static constexpr std::uint64_t high(std::size_t cell) { return low(cell + 1) - 1; }
  // What stands for all values of a cell in means.
  [[nodiscard]] static constexpr std::uint64_t middle(std::size_t cell) {
    return low(cell) + (low(cell + 1) - low(cell)) / 2;
  }
};

class Histogram {
 public:
  // 36 KiB of counts; the only allocation ever.
  Histogram();
  Histogram(const Histogram& other);
  Histogram& operator=(const Histogram& other);
  Histogram(Histogram&&) noexcept = default;  // leaves `other` fit for assignment only
  Histogram& operator=(Histogram&&) noexcept = default;
  ~Histogram() = default;

  // A value above value_max counts as value_max, and in clipped(). A few nanoseconds.
  void record(std::uint64_t value) { record_many(value, 1); }
  void record_many(std::uint64_t value, std::uint64_t times) {
    if (value > HistogramCells::value_max) {
      value = HistogramCells::value_max;
      clipped_ += times;
    }
    (*cells_)[HistogramCells::cell_of(value)] += times;
    total_ += times;
    if (value < min_) min_ = value;
    if (value > max_) max_ = value;
  }
  // Counts whose exact values are not known: min() and max() widen to the ends of the cell.
  void add_cell(std::size_t cell, std::uint64_t times);
  void merge(const Histogram& other);
  void clear();

  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::uint64_t min() const { return total_ == 0 ? 0 : min_; }  // exact
  [[nodiscard]] std::uint64_t max() const { return max_; }                    // exact
  [[nodiscard]] std::uint64_t clipped() const { return clipped_; }
  [[nodiscard]] double mean() const;  // from the middles of the cells
  [[nodiscard]] double standard_deviation() const;
  [[nodiscard]] std::uint64_t count_in(std::size_t cell) const { return (*cells_)[cell]; }
  // How many values lie in the cell of `value` or below.
  [[nodiscard]] std::uint64_t count_up_to(std::uint64_t value) const;

  // The smallest recorded value (to the end of its cell, never above max()) that at least the share
  // `quantile` of all values does not exceed; 0 of none. 0 gives the minimum, 1 the maximum. Says
  // nothing about how sure that is: engine/base/quantile_bounds.h does.
  [[nodiscard]] std::uint64_t value_at(double quantile) const;
  // The same for the rank-th smallest value, ranks from 1 to total().
  [[nodiscard]] std::uint64_t value_at_rank(std::uint64_t rank) const;
  // The same with the values of a cell spread evenly over it, for differences that are finer than
  // cells: unbiased, but not certain to be above or below anything. Ranks may be broken.
  [[nodiscard]] double value_within(double rank) const;

 private:
  using Cells = std::array<std::uint64_t, HistogramCells::count>;
  std::unique_ptr<Cells> cells_;
  std::uint64_t total_ = 0;
  std::uint64_t min_ = UINT64_MAX;
  std::uint64_t max_ = 0;
  std::uint64_t clipped_ = 0;
};

// The rank of a quantile among `total` values: the smallest r with r / total >= quantile, at least
// 1. Products that are whole but for the rounding of doubles count as whole (0.999 of 3,000).
[[nodiscard]] std::uint64_t rank_of(double quantile, std::uint64_t total);

// Recorded into by any number of threads without waiting: one relaxed addition. Read by one thread
// at a time while that goes on. Each value is in exactly one interval, none is lost or seen twice;
// which interval a value recorded during the reading falls into is open.
class SharedHistogram {
 public:
  SharedHistogram();

  void record(std::uint64_t value) {
    if (value > HistogramCells::value_max) value = HistogramCells::value_max;
    (*cells_)[HistogramCells::cell_of(value)].fetch_add(1, std::memory_order_relaxed);
  }
  // Everything recorded so far; `out` is overwritten. Some microseconds; allocates nothing.
  void read(Histogram& out) const;
  // Everything recorded since the last call; `out` is overwritten. One reader at a time.
  void take_interval(Histogram& out);

 private:
  std::unique_ptr<std::array<std::atomic<std::uint64_t>, HistogramCells::count>> cells_;
  // The reader's: what the intervals taken so far hold.
  std::unique_ptr<std::array<std::uint64_t, HistogramCells::count>> taken_;
};

static_assert(HistogramCells::cell_of(HistogramCells::value_max) + 1 == HistogramCells::count);
static_assert(HistogramCells::high(HistogramCells::count - 1) == HistogramCells::value_max);

}  // namespace vecserve::engine
