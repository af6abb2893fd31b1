// Selection of candidates by their lower bounds. Runs on every worker of a scan, once per tile and
// query, and once more for the merge.
// Always holds: see topk.h.
#include "engine/scan/topk.h"

#include <algorithm>
#include <cmath>

namespace vecserve::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
// Room for rows between two cuts: a cut is linear, so each row pays a constant.
constexpr std::size_t kRoomMin = 256;

// The smallest float that is not below.
float round_up(double value) {
  const auto nearest = static_cast<float>(value);
  return static_cast<double>(nearest) >= value ? nearest : std::nextafter(nearest, kInfinity);
}

// NaN counts as nothing. Written for compilers to keep 16 minima side by side.
float smallest(const float* lower) {
  constexpr std::uint32_t kLanes = 16;
  static_assert(kTileRows % kLanes == 0);
  float least[kLanes];
  std::fill_n(least, kLanes, kInfinity);
  for (std::uint32_t i = 0; i < kTileRows; i += kLanes) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      least[lane] = lower[i + lane] < least[lane] ? lower[i + lane] : least[lane];
    }
  }
  return *std::min_element(least, least + kLanes);
}

bool below(const Candidate& a, const Candidate& b) {
  return a.lower < b.lower;
}

}  // namespace

void TopK::reset(std::uint32_t want, double limit) {
  list_.clear();
  want_ = std::max(want, 1u);
  capacity_ = want_ + std::max(want_, kRoomMin);
  limit_ = limit;
  threshold_ = round_up(limit);
  floor_ = kInfinity;
}

void TopK::add_tile(const float* lower, std::uint32_t block, std::uint32_t position) {
  const float least = smallest(lower);
  if (least > threshold_) {
    floor_ = std::min(floor_, least);
    return;
  }
  for (std::uint32_t r = 0; r < kTileRows; ++r) {
    // False for NaN.
    if (lower[r] <= kInfinity) add(lower[r], block, position + r);
  }
}

void TopK::add(float lower, std::uint32_t block, std::uint32_t position) {
  if (lower > threshold_) {
    floor_ = std::min(floor_, lower);
    return;
  }
  list_.push_back({static_cast<double>(lower), block, position});
  if (list_.size() >= capacity_) prune();
}

// Rows that tie with the last one wanted are kept while they are few: dropping one would make the
// floor equal to a bound in the list, and ties could then not be certified.
void TopK::prune() {
  const auto last = list_.begin() + static_cast<std::ptrdiff_t>(want_ - 1);
  std::nth_element(list_.begin(), last, list_.end(), below);
  const double cut = last->lower;
  const auto ties_end =
      std::partition(last + 1, list_.end(), [cut](const Candidate& c) { return c.lower == cut; });
  if (ties_end != list_.end()) {
    const auto next = std::min_element(ties_end, list_.end(), below);
    floor_ = std::min(floor_, static_cast<float>(next->lower));
  }
  const auto kept = static_cast<std::size_t>(ties_end - list_.begin());
  if (kept <= want_ + (capacity_ - want_) / 2) {
    list_.resize(kept);
    threshold_ = static_cast<float>(cut);
  } else {
    list_.resize(want_);
    floor_ = std::min(floor_, static_cast<float>(cut));
    threshold_ = std::nextafter(static_cast<float>(cut), -kInfinity);
  }
}

void TopK::merge(const TopK& other) {
  floor_ = std::min(floor_, other.floor_);
  for (const Candidate& c : other.list_) add(static_cast<float>(c.lower), c.block, c.position);
}

void TopK::finish(QueryCandidates& out) {
  if (list_.size() > want_) prune();
  out.list.assign(list_.begin(), list_.end());
  const auto floor = static_cast<double>(floor_);
  out.floor = floor > limit_ ? std::numeric_limits<double>::infinity() : floor;
}

}  // namespace vecserve::engine
