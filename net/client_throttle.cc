// See client_throttle.h.
// A ring of slices instead of single events, so that the cost does not grow with the load. Guarded
// by the client. Always holds: a slice counts one span of five seconds only.
#include "net/client_throttle.h"

#include <algorithm>

namespace vecserve::net {

std::int64_t Throttle::number_of(TimePoint now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()) / kSlice;
}

Throttle::Slice& Throttle::slice_at(TimePoint now) {
  const std::int64_t number = number_of(now);
  Slice& slice = slices_[static_cast<std::size_t>(number) % kSlices];
  if (slice.number != number) slice = {number, 0, 0};
  return slice;
}

double Throttle::share(TimePoint now) {
  const std::int64_t oldest = number_of(now) - static_cast<std::int64_t>(kSlices) + 1;
  double requests = 0.0;
  double accepts = 0.0;
  for (const Slice& slice : slices_) {
    if (slice.number < oldest) continue;
    requests += static_cast<double>(slice.requests);
    accepts += static_cast<double>(slice.accepts);
  }
  if (requests < kThrottleCallsMin) return 0.0;
  return std::clamp((requests - 2.0 * accepts) / (requests + 1.0), 0.0, kThrottleShareMax);
}

void Throttle::on_end(TimePoint now, bool accepted) {
  Slice& slice = slice_at(now);
  ++slice.requests;
  if (accepted) ++slice.accepts;
}

void RetryBudget::on_call() {
  tenths_ = std::min(tenths_ + 1, kTenthsMax);
}

bool RetryBudget::take() {
  if (tenths_ < 10) return false;
  tenths_ -= 10;
  return true;
}

Backoff::Backoff(std::chrono::milliseconds min, std::chrono::milliseconds max, std::uint64_t seed)
    : min_(min), max_(max), span_(min), random_(seed) {}

std::chrono::microseconds Backoff::next() {
  const auto span = std::chrono::duration_cast<std::chrono::microseconds>(span_).count();
  std::uniform_int_distribution<std::int64_t> draw(span / 2, span);
  span_ = std::min(span_ * 2, max_);
  return std::chrono::microseconds(draw(random_));
}

void Backoff::reset() {
  span_ = min_;
}

}  // namespace vecserve::net
