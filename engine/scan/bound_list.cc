// See bound_list.h.
// Runs on whichever thread scans. Always holds: a prune costs time in proportion to the entries,
// and there are at least as many new ones since the last prune as were kept then, or `want`; among
// the entries, or in the heap, are the smallest upper bounds of all that were ever added: an entry
// goes when its lower bound, and so its upper, is above as many others.
#include "engine/scan/bound_list.h"

#include <algorithm>
#include <cmath>

#include "engine/scan/rank_select.h"

namespace vecserve::engine {

namespace {

// Below this many new entries it is not worth looking for those that are above the threshold.
constexpr std::size_t kNewMin = 32;
// More entries than so many times what is wanted: the guess was not near.
constexpr std::size_t kGuessedMany = 2;

}  // namespace

void BoundList::reset(std::uint32_t want, bool guessed) {
  entries_.clear();
  uppers_.clear();
  want_ = want;
  guessed_ = guessed;
  prune_at_ = guessed ? kGuessedMany * want_ : want_;
}

// The new value sinks from the top to its place: one pass down instead of a pop and a push.
void BoundList::replace_upper(float upper) {
  const std::size_t count = uppers_.size();
  std::size_t at = 0;
  for (std::size_t child = 1; child < count; child = 2 * at + 1) {
    if (child + 1 < count && uppers_[child] < uppers_[child + 1]) ++child;
    if (uppers_[child] <= upper) break;
    uppers_[at] = uppers_[child];
    at = child;
  }
  uppers_[at] = upper;
}

void BoundList::lower(SharedThreshold& threshold) {
  if (want_ <= kHeapMax) {
    if (uppers_.size() >= want_) threshold.lower_to(uppers_.front());
    return;
  }
  if (entries_.size() < want_) return;
  uppers_.clear();
  for (const Entry& entry : entries_) uppers_.push_back(entry.upper);
  threshold.lower_to(value_at_rank(uppers_, want_ - 1));
}

void BoundList::tighten(SharedThreshold& threshold) {
  if (want_ <= kHeapMax) lower(threshold);
  if (entries_.size() >= prune_at_) {
    prune(threshold);
  }
}

void BoundList::prune(SharedThreshold& threshold) {
  lower(threshold);
  const float most = threshold.get();
  // Each is written, and written over where it goes: which those are is anybody's guess.
  std::size_t kept = 0;
  for (const Entry entry : entries_) {
    entries_[kept] = entry;
    kept += entry.lower > most ? 0 : 1;
  }
  entries_.resize(kept);
  prune_at_ = std::max(want_, entries_.size() + std::max(kNewMin, entries_.size()));
}

void BoundList::merge(const BoundList& other) {
  for (const Entry& entry : other.entries_) {
    add(entry);
  }
}

void BoundList::finish(SharedThreshold& threshold, double limit, QueryCandidates& out) {
  if (!guessed_ || entries_.size() >= prune_at_) prune(threshold);
  out.list.resize(entries_.size());
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    out.list[i] = {static_cast<double>(entry.lower), entry.block, entry.position};
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
