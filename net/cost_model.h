// What batches of one group cost: for each size (powers of two) the median and the slow time, from
// counts that fade, so that the model follows the device and one hiccup is soon forgotten. Feeds
// admission (how long will this wait) and the batcher (how large is a batch worth making).
// Guarded by the dispatch's mutex. Always holds: a size never seen is predicted from its
// neighbours, cautiously: no cheaper per unit than a smaller batch, no dearer than a larger one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/work.h"

namespace vecserve::net {

// Quantiles of recent durations. A count loses half its say every kHalfLife records.
class FadingQuantiles {
 public:
  static constexpr double kHalfLife = 128.0;

  void record(Duration duration);
  [[nodiscard]] bool empty() const { return total_ == 0.0; }
  [[nodiscard]] std::uint64_t records() const { return records_; }
  // Within 9 %, from above; kept up to date by record().
  [[nodiscard]] Duration median() const { return median_; }
  [[nodiscard]] Duration slow() const { return slow_; }  // 99 of 100 are at most this
  // Finer than the cells: the mean, in which a hiccup counts no more than the slow time did then.
  [[nodiscard]] double mean_ns() const { return total_ == 0.0 ? 0.0 : sum_ns_ / total_; }

 private:
  // Eight cells to a doubling, from 256 ns to 73 minutes.
  static constexpr std::size_t kPerOctave = 8;
  static constexpr unsigned kFirstBit = 8;
  static constexpr std::size_t kCells = (42 - kFirstBit) * kPerOctave;
  [[nodiscard]] static std::size_t cell_of(Duration duration);
  [[nodiscard]] static Duration high_of(std::size_t cell);
  void read();
  void rescale();

  std::array<float, kCells> cells_{};
  double total_ = 0.0;
  double sum_ns_ = 0.0;
  double say_ = 1.0;  // what one record counts now; grows instead of fading all others
  std::size_t lowest_ = kCells;
  std::size_t highest_ = 0;
  std::uint64_t records_ = 0;
  Duration median_{0};
  Duration slow_{0};
};

class CostModel {
 public:
  // Until something is measured, a batch of any size takes `first_guess`. Batches grow to at most
  // `batch_max`.
  CostModel(Duration first_guess, std::uint32_t batch_max);

  void record(std::uint32_t weight, Duration duration);

  [[nodiscard]] bool measured() const { return measured_; }
  [[nodiscard]] Duration median(std::uint32_t weight) const;
  [[nodiscard]] Duration slow(std::uint32_t weight) const;

  // The batch size worth making: doubled as long as that serves at least 10 % more per second.
  [[nodiscard]] std::uint32_t batch_limit() const { return limit_; }
  [[nodiscard]] Duration slow_batch() const { return slow_at_limit_; }
  // The size to make when `waiting` is there: now and then twice the limit, to learn what it costs.
  [[nodiscard]] std::uint32_t next_limit(std::uint64_t waiting);

 private:
  static constexpr std::size_t kBuckets = 18;  // weights up to 2^17
  [[nodiscard]] static std::size_t bucket_of(std::uint32_t weight);
  [[nodiscard]] Duration predict(std::uint32_t weight, bool slow) const;
  void choose_limit();

  std::array<FadingQuantiles, kBuckets> buckets_;
  Duration first_guess_;
  std::uint32_t batch_max_;
  std::uint32_t limit_;
  Duration slow_at_limit_;
  std::uint32_t closes_ = 0;  // since a larger batch was tried
  bool measured_ = false;
};

}  // namespace vecserve::net
