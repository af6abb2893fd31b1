// What batches of one group cost: for each size (powers of two) the median and the slow time, from
// counts that fade with each record and with time, so that the model follows the device and one
// hiccup is soon forgotten. Feeds admission (how long will this wait) and the batcher (how large is
// a batch worth making).
// Guarded by the dispatch's mutex. Always holds: a size never seen is predicted from its
// neighbours, cautiously: no cheaper per unit than a smaller batch, no dearer than a larger one.
// And no size is dearer than twice the next smaller one that ran lately: a large size that was slow
// once would else be refused ever after, and never be measured again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "net/work.h"

namespace vecserve::net {

// Quantiles of recent durations. A count loses half its say every kHalfLife records, and every
// kHalfTime that passes between two records.
class FadingQuantiles {
 public:
  static constexpr double kHalfLife = 128.0;
  static constexpr Duration kHalfTime = std::chrono::seconds(2);

  // `units`: how much was done in that time.
  void record(Duration duration, std::uint32_t units, TimePoint now);
  [[nodiscard]] bool empty() const { return records_ == 0; }
  [[nodiscard]] std::uint64_t records() const { return records_; }
  [[nodiscard]] TimePoint last() const { return last_; }  // when the newest came
  // Within 9 %, from above; kept up to date by record().
  [[nodiscard]] Duration median() const { return median_; }
  [[nodiscard]] Duration slow() const { return slow_; }  // 99 of 100 are at most this
  // Finer than the cells: the mean, in which a hiccup counts no more than the slow time did then.
  [[nodiscard]] double mean_ns() const { return total_ == 0.0 ? 0.0 : sum_ns_ / total_; }
  [[nodiscard]] double mean_units() const { return total_ == 0.0 ? 0.0 : sum_units_ / total_; }
  [[nodiscard]] Duration mean() const { return Duration(static_cast<Duration::rep>(mean_ns())); }

 private:
  // Eight cells to a doubling, from 256 ns to 73 minutes.
  static constexpr std::size_t kPerOctave = 8;
  static constexpr unsigned kFirstBit = 8;
  static constexpr std::size_t kCells = (42 - kFirstBit) * kPerOctave;
  [[nodiscard]] static std::size_t cell_of(Duration duration);
  [[nodiscard]] static Duration high_of(std::size_t cell);
  void fade(TimePoint now);
  void read();
  void rescale();

  std::array<float, kCells> cells_{};
  double total_ = 0.0;
  double sum_ns_ = 0.0;
  double sum_units_ = 0.0;
  double say_ = 1.0;  // what one record counts now; grows instead of fading all others
  std::size_t lowest_ = kCells;
  std::size_t highest_ = 0;
  std::uint64_t records_ = 0;
  TimePoint last_{};
  Duration median_{0};
  Duration slow_{0};
};

class CostModel {
 public:
  // Until something is measured, a batch of any size takes `first_guess`. Batches grow to at most
  // `batch_max`.
  CostModel(Duration first_guess, std::uint32_t batch_max);

  void record(std::uint32_t weight, Duration duration, TimePoint now);

  [[nodiscard]] bool measured() const { return measured_; }
  [[nodiscard]] Duration median(std::uint32_t weight) const;
  [[nodiscard]] Duration slow(std::uint32_t weight) const;
  // What predictions are made of: the slow time, but at most a quarter above the mean. A device
  // that takes ten times as long now and then is no reason to refuse what nearly always is in time,
  // and of several batches in a row hardly more than one is slow.
  [[nodiscard]] Duration careful(std::uint32_t weight) const;

  // The batch size worth making: doubled as long as that serves at least 10 % more per second.
  [[nodiscard]] std::uint32_t batch_limit() const { return limit_; }
  [[nodiscard]] Duration slow_batch() const { return slow_at_limit_; }
  // The size to make when `waiting` is there: now and then up to twice the limit, to learn what
  // that costs.
  [[nodiscard]] std::uint32_t next_limit(std::uint64_t waiting);

 private:
  static constexpr std::size_t kBuckets = 18;  // weights up to 2^17
  [[nodiscard]] static std::size_t bucket_of(std::uint32_t weight);
  using Predictions = std::array<Duration, kBuckets>;
  void predict_all(Predictions& to, Duration (FadingQuantiles::*value)() const) const;
  [[nodiscard]] bool ran_lately(std::size_t bucket) const;
  void choose_limit();

  std::array<FadingQuantiles, kBuckets> buckets_;
  Predictions means_;  // these three: per size, as of the newest record
  Predictions medians_;
  Predictions slows_;
  std::uint32_t batch_max_;
  std::uint32_t limit_;
  Duration slow_at_limit_;
  TimePoint last_{};          // when a batch of any size was measured
  std::uint32_t closes_ = 0;  // since a larger batch was tried
  bool measured_ = false;
};

}  // namespace vecserve::net
