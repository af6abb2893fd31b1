// See cost_model.h.
// Runs under the dispatch's mutex, once per batch and, for predictions, once per request; each is a
// few dozen nanoseconds and none allocates. Always holds: all predictions are made after each
// record, so that predicting is a lookup.
#include "net/cost_model.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vecserve::net {

namespace {

// Per record, so that 128 of them double it.
const double kGrowth = std::exp2(1.0 / FadingQuantiles::kHalfLife);
constexpr double kHalvingsMax = 60.0;  // after a longer pause nothing of the past is left
// A size counts as run lately if it was measured so shortly before the newest of any size.
constexpr Duration kLately = std::chrono::milliseconds(500);
constexpr int kCarefulParts = 4;          // of the mean, that a predicted batch may take beyond it
constexpr double kSayMax = 1e6;           // then all counts are scaled down; floats keep 24 bits
constexpr double kGainWanted = 1.10;      // per doubling of the batch
constexpr std::uint64_t kTrials = 4;      // of a size before it is judged
constexpr std::uint32_t kTryAgain = 256;  // full batches until a larger one is tried again,
constexpr Duration kTryAfter = std::chrono::seconds(1);  // or so much time

}  // namespace

std::size_t FadingQuantiles::cell_of(Duration duration) {
  const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(duration.count(), 0));
  if (ns < (std::uint64_t{1} << kFirstBit)) return 0;
  const auto bit = static_cast<unsigned>(std::bit_width(ns)) - 1;
  const std::size_t eighth = static_cast<std::size_t>(ns >> (bit - 3)) - kPerOctave;
  return std::min(kCells - 1, (bit - kFirstBit) * kPerOctave + eighth);
}

Duration FadingQuantiles::high_of(std::size_t cell) {
  const std::size_t next = cell + 1;
  const auto bit = static_cast<unsigned>(next / kPerOctave) + kFirstBit;
  return Duration(static_cast<Duration::rep>((next % kPerOctave + kPerOctave) << (bit - 3)));
}

void FadingQuantiles::fade(TimePoint now) {
  if (records_ != 0 && now > last_) {
    const auto halvings =
        static_cast<double>((now - last_).count()) / static_cast<double>(kHalfTime.count());
    say_ *= std::exp2(std::min(halvings, kHalvingsMax));
  }
  last_ = std::max(last_, now);
  if (say_ > kSayMax) rescale();
}

void FadingQuantiles::record(Duration duration, std::uint32_t units, TimePoint now) {
  fade(now);
  const std::size_t cell = cell_of(duration);
  cells_[cell] += static_cast<float>(say_);
  total_ += say_;
  const Duration heard = records_ == 0 ? duration : std::min(duration, slow_);
  sum_units_ += say_ * units;
  sum_ns_ += say_ * static_cast<double>(std::max(heard, Duration(0)).count());
  say_ *= kGrowth;
  ++records_;
  lowest_ = std::min(lowest_, cell);
  highest_ = std::max(highest_, cell);
  if (say_ > kSayMax) rescale();
  read();
}

// What has faded to nothing is dropped, which narrows the span that read() walks.
void FadingQuantiles::rescale() {
  const double mean = mean_ns();
  const double units = mean_units();
  total_ = 0.0;
  std::size_t lowest = kCells;
  std::size_t highest = 0;
  for (std::size_t i = lowest_; i <= highest_; ++i) {
    cells_[i] = static_cast<float>(cells_[i] / say_);
    if (cells_[i] < 1e-5f) {
      cells_[i] = 0.0f;
      continue;
    }
    total_ += cells_[i];
    lowest = std::min(lowest, i);
    highest = i;
  }
  sum_ns_ = mean * total_;
  sum_units_ = units * total_;
  say_ = 1.0;
  lowest_ = lowest;
  highest_ = highest;
}

void FadingQuantiles::read() {
  double above = 0.0;
  std::size_t cell = highest_ + 1;
  slow_ = Duration(0);
  while (cell > lowest_) {
    --cell;
    above += cells_[cell];
    if (slow_.count() == 0 && above > 0.01 * total_) slow_ = high_of(cell);
    if (above >= 0.5 * total_) break;
  }
  median_ = high_of(cell);
  if (slow_.count() == 0) slow_ = median_;
}

CostModel::CostModel(Duration first_guess, std::uint32_t batch_max)
    : batch_max_(std::max(batch_max, 1U)),
      limit_(std::min(batch_max_, 16U)),
      slow_at_limit_(first_guess) {
  means_.fill(first_guess);
  medians_.fill(first_guess);
  slows_.fill(first_guess);
}

std::size_t CostModel::bucket_of(std::uint32_t weight) {
  const auto bits = static_cast<std::size_t>(std::bit_width(weight <= 1 ? 0U : weight - 1));
  return std::min(bits, kBuckets - 1);
}

void CostModel::record(std::uint32_t weight, Duration duration, TimePoint now) {
  buckets_[bucket_of(weight)].record(duration, weight, now);
  last_ = std::max(last_, now);
  measured_ = true;
  predict_all(means_, &FadingQuantiles::mean);
  predict_all(medians_, &FadingQuantiles::median);
  predict_all(slows_, &FadingQuantiles::slow);
  choose_limit();
}

Duration CostModel::median(std::uint32_t weight) const {
  return medians_[bucket_of(weight)];
}
Duration CostModel::slow(std::uint32_t weight) const {
  return slows_[bucket_of(weight)];
}
Duration CostModel::careful(std::uint32_t weight) const {
  const std::size_t bucket = bucket_of(weight);
  return std::min(slows_[bucket], means_[bucket] + means_[bucket] / kCarefulParts);
}

// Up from the smallest size, then what was never measured once more from above.
void CostModel::predict_all(Predictions& to, Duration (FadingQuantiles::*value)() const) const {
  const auto doubled = [](Duration one) { return one == Duration::max() ? one : 2 * one; };
  Duration below = Duration::max();   // by the next smaller size that was measured
  Duration lately = Duration::max();  // by the smaller ones that ran lately
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const Duration own = buckets_[i].empty() ? doubled(below) : (buckets_[i].*value)();
    lately = doubled(lately);
    to[i] = below = std::min(own, lately);
    if (ran_lately(i)) lately = to[i];
  }
  Duration above = Duration::max();
  for (std::size_t i = kBuckets; i-- > 0;) {
    if (buckets_[i].empty()) {
      to[i] = std::min(to[i], above);
    } else {
      above = to[i];
    }
  }
}

bool CostModel::ran_lately(std::size_t bucket) const {
  return !buckets_[bucket].empty() && last_ - buckets_[bucket].last() <= kLately;
}

void CostModel::choose_limit() {
  // From the smallest size up; a size never tried ends the search unless a larger one was.
  std::uint32_t best = 0;
  double best_units = 1.0;
  double best_rate = 0.0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::uint32_t weight = std::min(std::uint32_t{1} << i, batch_max_);
    if (buckets_[i].records() >= kTrials) {
      const double units = std::max(1.0, buckets_[i].mean_units());
      const double rate = units / std::max(1.0, buckets_[i].mean_ns());
      // Each doubling since the best so far has to bring its gain.
      if (best == 0 || rate >= best_rate * std::pow(kGainWanted, std::log2(units / best_units))) {
        best = weight;
        best_units = units;
        best_rate = rate;
      }
    }
    if (weight == batch_max_) break;
  }
  // Small sizes seen in quiet times do not make batches small: below 16 the limit never falls.
  limit_ = std::min(batch_max_, std::max(best, 16U));
  slow_at_limit_ = slow(limit_);
}

std::uint32_t CostModel::next_limit(std::uint64_t waiting) {
  const std::uint32_t twice = std::min(batch_max_, limit_ * 2);
  // What is a little over the limit shows too what the larger size costs; under a target that holds
  // little more than one batch there may never be more.
  if (twice == limit_ || waiting <= limit_) return limit_;
  if (buckets_[bucket_of(limit_)].records() < kTrials) return limit_;
  const FadingQuantiles& larger = buckets_[bucket_of(twice)];
  if (larger.records() < kTrials) return twice;
  if (++closes_ < kTryAgain && last_ - larger.last() < kTryAfter) return limit_;
  closes_ = 0;
  return twice;
}

}  // namespace vecserve::net
