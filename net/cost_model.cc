// See cost_model.h.
// Runs under the dispatch's mutex, once per batch and, for predictions, once per request; each is a
// few dozen nanoseconds and none allocates. Always holds: median and slow time are read again after
// each record, so that predicting is a lookup.
#include "net/cost_model.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vecserve::net {

namespace {

// Per record, so that 128 of them double it.
const double kGrowth = std::exp2(1.0 / FadingQuantiles::kHalfLife);
constexpr double kSayMax = 1e6;           // then all counts are scaled down; floats keep 24 bits
constexpr double kGainWanted = 1.10;      // per doubling of the batch
constexpr std::uint64_t kTrials = 4;      // of a size before it is judged
constexpr std::uint32_t kTryAgain = 256;  // full batches until a larger one is tried again

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

void FadingQuantiles::record(Duration duration) {
  const std::size_t cell = cell_of(duration);
  cells_[cell] += static_cast<float>(say_);
  total_ += say_;
  const Duration heard = records_ == 0 ? duration : std::min(duration, slow_);
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
    : first_guess_(first_guess),
      batch_max_(std::max(batch_max, 1U)),
      limit_(std::min(batch_max_, 16U)),
      slow_at_limit_(first_guess) {}

std::size_t CostModel::bucket_of(std::uint32_t weight) {
  const auto bits = static_cast<std::size_t>(std::bit_width(weight <= 1 ? 0U : weight - 1));
  return std::min(bits, kBuckets - 1);
}

void CostModel::record(std::uint32_t weight, Duration duration) {
  buckets_[bucket_of(weight)].record(duration);
  measured_ = true;
  choose_limit();
}

Duration CostModel::median(std::uint32_t weight) const {
  return predict(weight, false);
}
Duration CostModel::slow(std::uint32_t weight) const {
  return predict(weight, true);
}

Duration CostModel::predict(std::uint32_t weight, bool slow) const {
  if (!measured_) return first_guess_;
  const std::size_t bucket = bucket_of(weight);
  const auto value = [&](std::size_t i) {
    return slow ? buckets_[i].slow() : buckets_[i].median();
  };
  if (!buckets_[bucket].empty()) return value(bucket);
  Duration best = Duration::max();
  for (std::size_t i = bucket; i-- > 0;) {
    if (buckets_[i].empty()) continue;
    best = value(i) * (Duration::rep{1} << (bucket - i));
    break;
  }
  for (std::size_t i = bucket + 1; i < kBuckets; ++i) {
    if (buckets_[i].empty()) continue;
    best = std::min(best, value(i));
    break;
  }
  return best;
}

void CostModel::choose_limit() {
  // From the smallest size up; a size never tried ends the search unless a larger one was.
  std::uint32_t best = 0;
  double best_rate = 0.0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    const std::uint32_t weight = std::min(std::uint32_t{1} << i, batch_max_);
    if (buckets_[i].records() >= kTrials) {
      const double rate = weight / std::max(1.0, buckets_[i].mean_ns());
      // Each doubling since the best so far has to bring its gain.
      const double doublings = best == 0 ? 0.0 : std::log2(static_cast<double>(weight) / best);
      if (best == 0 || rate >= best_rate * std::pow(kGainWanted, doublings)) {
        best = weight;
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
  if (twice == limit_ || waiting < twice) return limit_;
  if (buckets_[bucket_of(limit_)].records() < kTrials) return limit_;
  const FadingQuantiles& larger = buckets_[bucket_of(twice)];
  if (larger.records() < kTrials) return twice;
  if (++closes_ < kTryAgain) return limit_;
  closes_ = 0;
  return twice;
}

}  // namespace vecserve::net
