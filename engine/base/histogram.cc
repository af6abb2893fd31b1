// The parts of the histogram that are not on a hot path: merging, quantiles, moments, intervals.
// Comes after whoever recorded and before whoever reports; a reader's thread. Always holds: totals
// are the sums of the cells they were read from, so a report adds up even while others record.
#include "engine/base/histogram.h"

#include <algorithm>
#include <cmath>

namespace vecserve::engine {
namespace {

// A product of a quantile and a count is exact to a few units in the last place, 2^-52 each; this
// is far above that and far below one rank for any count up to 10^9.
constexpr double kWholeTolerance = 1e-12;

}  // namespace

Histogram::Histogram() : cells_(std::make_unique<Cells>()) {}

Histogram::Histogram(const Histogram& other)
    : cells_(std::make_unique<Cells>(*other.cells_)),
      total_(other.total_),
      min_(other.min_),
      max_(other.max_),
      clipped_(other.clipped_) {}

Histogram& Histogram::operator=(const Histogram& other) {
  if (this == &other) return *this;
  if (cells_ == nullptr) cells_ = std::make_unique<Cells>();
  *cells_ = *other.cells_;
  total_ = other.total_;
  min_ = other.min_;
  max_ = other.max_;
  clipped_ = other.clipped_;
  return *this;
}

void Histogram::add_cell(std::size_t cell, std::uint64_t times) {
  if (times == 0) return;
  (*cells_)[cell] += times;
  total_ += times;
  min_ = std::min(min_, HistogramCells::low(cell));
  max_ = std::max(max_, HistogramCells::high(cell));
}

void Histogram::merge(const Histogram& other) {
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    (*cells_)[cell] += (*other.cells_)[cell];
  }
  total_ += other.total_;
  min_ = std::min(min_, other.min_);
  max_ = std::max(max_, other.max_);
  clipped_ += other.clipped_;
}

void Histogram::clear() {
  cells_->fill(0);
  total_ = 0;
  min_ = UINT64_MAX;
  max_ = 0;
  clipped_ = 0;
}

double Histogram::mean() const {
  if (total_ == 0) return 0.0;
  double sum = 0.0;
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    if ((*cells_)[cell] == 0) continue;
    sum += static_cast<double>((*cells_)[cell]) * static_cast<double>(HistogramCells::middle(cell));
  }
  return sum / static_cast<double>(total_);
}

double Histogram::standard_deviation() const {
  if (total_ == 0) return 0.0;
  const double center = mean();
  double sum = 0.0;
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    if ((*cells_)[cell] == 0) continue;
    const double apart = static_cast<double>(HistogramCells::middle(cell)) - center;
    sum += static_cast<double>((*cells_)[cell]) * apart * apart;
  }
  return std::sqrt(sum / static_cast<double>(total_));
}

std::uint64_t Histogram::count_up_to(std::uint64_t value) const {
  const std::size_t last = HistogramCells::cell_of(std::min(value, HistogramCells::value_max));
  std::uint64_t sum = 0;
  for (std::size_t cell = 0; cell <= last; ++cell) sum += (*cells_)[cell];
  return sum;
}

std::uint64_t Histogram::value_at(double quantile) const {
  if (total_ == 0) return 0;
  if (quantile <= 0.0) return min_;
  return value_at_rank(rank_of(quantile, total_));
}

std::uint64_t Histogram::value_at_rank(std::uint64_t rank) const {
  std::uint64_t sum = 0;
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    sum += (*cells_)[cell];
    if (sum >= rank && sum > 0) return std::min(HistogramCells::high(cell), max_);
  }
  return max_;
}

double Histogram::value_within(double rank) const {
  const double wanted = std::clamp(rank, 0.5, std::max(0.5, static_cast<double>(total_)));
  double sum = 0.0;
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    const auto here = static_cast<double>((*cells_)[cell]);
    if (here > 0.0 && sum + here >= wanted) {
      const auto low = static_cast<double>(HistogramCells::low(cell));
      const auto wide = static_cast<double>(HistogramCells::low(cell + 1)) - low;
      return std::clamp(low + wide * (wanted - sum) / here, static_cast<double>(min()),
                        static_cast<double>(max_));
    }
    sum += here;
  }
  return static_cast<double>(max_);
}

std::uint64_t rank_of(double quantile, std::uint64_t total) {
  if (total == 0) return 0;
  const double product = quantile * static_cast<double>(total) * (1.0 - kWholeTolerance);
  if (!(product > 0.0)) return 1;
  const double rank = std::ceil(product);
  if (rank >= static_cast<double>(total)) return total;
  return std::max<std::uint64_t>(1, static_cast<std::uint64_t>(rank));
}

SharedHistogram::SharedHistogram()
    : cells_(std::make_unique<std::array<std::atomic<std::uint64_t>, HistogramCells::count>>()),
      taken_(std::make_unique<std::array<std::uint64_t, HistogramCells::count>>()) {}

void SharedHistogram::read(Histogram& out) const {
  out.clear();
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    out.add_cell(cell, (*cells_)[cell].load(std::memory_order_relaxed));
  }
}

void SharedHistogram::take_interval(Histogram& out) {
  out.clear();
  for (std::size_t cell = 0; cell < HistogramCells::count; ++cell) {
    const std::uint64_t now = (*cells_)[cell].load(std::memory_order_relaxed);
    out.add_cell(cell, now - (*taken_)[cell]);
    (*taken_)[cell] = now;
  }
}

}  // namespace vecserve::engine
