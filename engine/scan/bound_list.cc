// See bound_list.h.
// Runs on whichever thread scans. Always holds: a prune costs time in proportion to the entries,
// and there are at least as many new ones since the last prune as were kept then, or `want`.
#include "engine/scan/bound_list.h"

#include <algorithm>
#include <cmath>

namespace vecserve::engine {

namespace {

// Below this many new entries a prune costs more than the rows that it would turn away.
constexpr std::size_t kNewMin = 32;

}  // namespace

void BoundList::reset(std::uint32_t want) {
  entries_.clear();
  want_ = want;
  prune_at_ = want_;
}

void BoundList::tighten(SharedThreshold& threshold) {
  if (entries_.size() >= prune_at_) {
    prune(threshold);
  }
}

void BoundList::prune(SharedThreshold& threshold) {
  if (entries_.size() >= want_) {
    const auto at = entries_.begin() + static_cast<std::ptrdiff_t>(want_ - 1);
    std::nth_element(entries_.begin(), at, entries_.end(),
                     [](const Entry& a, const Entry& b) { return a.upper < b.upper; });
    threshold.lower_to(at->upper);
  }
  const float most = threshold.get();
  std::erase_if(entries_, [most](const Entry& entry) { return entry.lower > most; });
  prune_at_ = std::max(want_, entries_.size() + std::max(kNewMin, entries_.size() / 2));
}

void BoundList::merge(const BoundList& other) {
  entries_.insert(entries_.end(), other.entries_.begin(), other.entries_.end());
}

void BoundList::finish(SharedThreshold& threshold, double limit, QueryCandidates& out) {
  prune(threshold);
  out.list.clear();
  for (const Entry& entry : entries_) {
    out.list.push_back({static_cast<double>(entry.lower), entry.block, entry.position});
  }
  // What was turned away is above a threshold that was never below this one. While it is still the
  // limit, only rows beyond the limit were.
  const float most = threshold.get();
  const double infinity = std::numeric_limits<double>::infinity();
  out.floor = static_cast<double>(most) >= limit
                  ? infinity
                  : std::nextafter(static_cast<double>(most), infinity);
}

}  // namespace vecserve::engine
