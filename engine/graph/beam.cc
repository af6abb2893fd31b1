// See beam.h.
// One thread. Always holds: found_ is sorted and, until the walk is over, has at most ef nodes; all
// nodes before `next` of a walk were left.
#include "engine/graph/beam.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kLeft = 0x80000000U;
constexpr std::uint32_t kTableMin = 1'024;
// Heads whose members a walk looks at.
constexpr std::size_t kHeadsUsed = 3;

bool nearer(const Near& a, const Near& b) {
  return a.score < b.score;
}

bool further(const Near& a, const Near& b) {
  return a.score > b.score;
}

constexpr float kNowhere = std::numeric_limits<float>::infinity();

// The least that the score of a record may be.
float least_of(const GraphProbe& probe, const std::uint8_t* record, float score) {
  float left = 0.0f;
  std::memcpy(&left, record + std::size_t{probe.lines} * kGraphLineBytes - sizeof(left),
              sizeof(left));
  return score - probe.rest_left * left;
}

// Into the second level cache, which waits for more lines at a time than the first: the records of
// a list are dozens.
constexpr int kSecondLevel = 2;

void prefetch_record(const std::uint8_t* record, std::uint32_t lines) {
  for (std::uint32_t line = 0; line < lines; ++line) {
    __builtin_prefetch(record + std::size_t{line} * kGraphLineBytes, 0, kSecondLevel);
  }
}

void prefetch_links(const Graph& graph, std::uint32_t node) {
  const auto* const links = reinterpret_cast<const char*>(&graph.links(node));
  __builtin_prefetch(links);
  __builtin_prefetch(links + kGraphLineBytes);
}

}  // namespace

void MetNodes::clear() {
  if (table_.empty()) {
    table_.resize(kTableMin);
    shift_ = 32 - static_cast<std::uint32_t>(std::countr_zero(kTableMin));
  }
  // One wide walk must not make all later ones clear what it took.
  while (table_.size() > kTableMin && std::size_t{count_} * 8 < table_.size()) {
    table_.resize(table_.size() / 2);
    ++shift_;
  }
  std::fill(table_.begin(), table_.end(), 0U);
  count_ = 0;
}

std::size_t MetNodes::place_of(std::uint32_t node) const {
  std::size_t place = (node * 0x9e3779b1U) >> shift_;
  while (table_[place] != 0 && table_[place] != node + 1) {
    place = (place + 1) & (table_.size() - 1);
  }
  return place;
}

bool MetNodes::add(std::uint32_t node) {
  std::uint32_t& place = table_[place_of(node)];
  if (place != 0) return false;
  place = node + 1;
  if (++count_ * 2 > table_.size()) grow();
  return true;
}

void MetNodes::grow() {
  std::vector<std::uint32_t> before(table_.size() * 2);
  before.swap(table_);
  --shift_;
  for (const std::uint32_t entry : before) {
    if (entry != 0) table_[place_of(entry - 1)] = entry;
  }
}

void Beam::meet_entries(const Graph& graph, const GraphProbe& probe, std::uint32_t first,
                        std::uint32_t count) {
  static_assert(kAtOnce >= kDegree && kAtOnce >= 1 + kHeads && kAtOnce >= kMembers &&
                kAtOnce >= kNewcomers);
  const std::uint8_t* records[kAtOnce] = {};
  std::uint32_t met = 0;
  for (std::uint32_t i = first; i < first + count; ++i) {
    const std::uint32_t node = graph.entry(i);
    if (node == kNoNode || !met_.add(node)) continue;
    records[met] = graph.record(node);
    prefetch_record(records[met], probe.lines);
    fresh_[met++] = node;
  }
  graph.kernels().score(probe, records, met, scores_);
  scored_ += met;
  for (std::uint32_t i = 0; i < met; ++i) found_.push_back({scores_[i], fresh_[i]});
}

void Beam::begin(const Graph& graph, const GraphProbe& probe, bool newcomers) {
  met_.clear();
  found_.clear();
  ahead_.clear();
  scored_ = 0;
  steps_ = 0;
  meet_entries(graph, probe, 0, 1 + kHeads);
  // A head that changes meanwhile only means that other members are looked at.
  Near best[kHeadsUsed];
  std::size_t used = 0;
  for (std::uint32_t head = 0; head < kHeads; ++head) {
    const std::uint32_t node = graph.entry(head_entry(head));
    const auto at = std::find_if(found_.begin(), found_.end(),
                                 [node](const Near& near) { return near.node == node; });
    if (at == found_.end()) continue;
    std::size_t place = used;
    while (place > 0 && at->score < best[place - 1].score) --place;
    if (place == kHeadsUsed) continue;
    used = std::min(used + 1, kHeadsUsed);
    for (std::size_t i = used - 1; i > place; --i) best[i] = best[i - 1];
    best[place] = {at->score, head};
  }
  for (std::size_t i = 0; i < used; ++i) {
    meet_entries(graph, probe, member_entry(best[i].node, 0), kMembers);
  }
  if (newcomers) meet_entries(graph, probe, newcomer_entry(0), kNewcomers);
}

std::uint32_t Beam::meet_neighbours(const Graph& graph, const GraphProbe& probe,
                                    std::uint32_t node) {
  const std::uint8_t* records[kDegree];
  std::uint32_t count = 0;
  for (const auto& link : graph.links(node)) {
    const std::uint32_t value = link.load(std::memory_order_acquire);
    if (value == kNoNode) continue;
    const std::uint32_t neighbour = value & kNodeMask;
    if (!met_.add(neighbour)) continue;
    records[count] = graph.record(neighbour);
    prefetch_record(records[count], probe.lines);
    fresh_[count++] = neighbour;
  }
  graph.kernels().score(probe, records, count, scores_);
  scored_ += count;
  ++steps_;
  return count;
}

void Beam::keep_nearest(std::uint32_t ef) {
  if (found_.size() > ef) {
    std::nth_element(found_.begin(), found_.begin() + ef, found_.end(), nearer);
    found_.resize(ef);
  }
  std::sort(found_.begin(), found_.end(), nearer);
}

std::size_t Beam::insert(const Near& near, std::uint32_t ef) {
  const auto at = std::upper_bound(found_.begin(), found_.end(), near, nearer);
  const auto place = static_cast<std::size_t>(at - found_.begin());
  if (found_.size() == ef) found_.pop_back();
  found_.insert(found_.begin() + static_cast<std::ptrdiff_t>(place), near);
  return place;
}

// With those of fresh_, of which there are `count`.
void Beam::keep_maybes(const Graph& graph, const GraphProbe& probe, std::uint32_t count,
                       const NodeFilter* filter) {
  const std::uint8_t* records[kAtOnce] = {};
  for (std::uint32_t i = 0; i < count; ++i) {
    records[i] = graph.record(fresh_[i]);
    prefetch_record(records[i], probe.lines);
  }
  graph.kernels().score(probe, records, count, scores_);
  for (std::uint32_t i = 0; i < count; ++i) {
    const float least = least_of(probe, records[i], scores_[i]);
    if (!(least < maybes_[kMaybes - 1].least)) continue;
    if (filter != nullptr && !filter->passes(fresh_[i])) continue;
    std::uint32_t place = kMaybes - 1;
    for (; place > 0 && least < maybes_[place - 1].least; --place) {
      maybes_[place] = maybes_[place - 1];
    }
    maybes_[place] = {{scores_[i], fresh_[i]}, least};
  }
}

bool Beam::looks_far(const GraphProbe& probe) const {
  return probe.rest_left != 0.0f && !(probe.own_score < place_below_);
}

void Beam::add_maybes(const Graph& graph, const GraphProbe& probe, std::uint32_t ef,
                      const NodeFilter* filter) {
  place_below_ = found_.size() < ef ? kNowhere : found_.back().score;
  std::fill_n(maybes_, kMaybes, Maybe{{}, kNowhere});
  // Nearly always the row itself would be among what looks nearest.
  if (!looks_far(probe)) return;
  std::uint32_t count = 0;
  met_.for_each([&](std::uint32_t node) {
    fresh_[count++] = node;
    if (count == kAtOnce) keep_maybes(graph, probe, std::exchange(count, 0U), filter);
  });
  keep_maybes(graph, probe, count, filter);
  for (const Maybe& maybe : maybes_) {
    const auto same = [&maybe](const Near& near) { return near.node == maybe.near.node; };
    if (maybe.least == kNowhere || std::any_of(found_.begin(), found_.end(), same)) continue;
    insert(maybe.near, ef + kMaybes);
  }
}

bool Beam::has_place_for(const Graph& graph, const GraphProbe& probe, std::uint32_t node) const {
  const std::uint8_t* const record = graph.record(node);
  float score = 0.0f;
  graph.kernels().score(probe, &record, 1, &score);
  if (score < place_below_) return true;
  return looks_far(probe) && least_of(probe, record, score) < maybes_[kMaybes - 1].least;
}

void Beam::walk(const Graph& graph, const GraphProbe& probe, const WalkLimits& limits) {
  begin(graph, probe, limits.newcomers);
  keep_nearest(limits.ef);
  std::size_t next = 0;
  while (next < found_.size() && steps_ < limits.steps_max) {
    const std::uint32_t node = found_[next].node;
    found_[next].node |= kLeft;
    // Left after this one, unless what this one names is nearer.
    std::size_t second = next + 1;
    while (second < found_.size() && (found_[second].node & kLeft) != 0) ++second;
    if (second < found_.size()) prefetch_links(graph, found_[second].node);
    const std::uint32_t count = meet_neighbours(graph, probe, node);
    std::size_t first = next + 1;
    for (std::uint32_t i = 0; i < count; ++i) {
      if (found_.size() == limits.ef && !(scores_[i] < found_.back().score)) continue;
      first = std::min(first, insert({scores_[i], fresh_[i]}, limits.ef));
    }
    next = first;
    while (next < found_.size() && (found_[next].node & kLeft) != 0) ++next;
    if (next < found_.size()) prefetch_links(graph, found_[next].node);
  }
  for (Near& near : found_) near.node &= kNodeMask;
  add_maybes(graph, probe, limits.ef, nullptr);
}

bool Beam::walk_filtered(const Graph& graph, const GraphProbe& probe, const WalkLimits& limits,
                         const NodeFilter& filter) {
  begin(graph, probe, limits.newcomers);
  ahead_.swap(found_);
  for (const Near& near : ahead_) {
    if (filter.passes(near.node)) found_.push_back(near);
  }
  keep_nearest(limits.ef);
  std::make_heap(ahead_.begin(), ahead_.end(), further);
  while (!ahead_.empty()) {
    const Near near = ahead_.front();
    if (found_.size() == limits.ef && near.score > found_.back().score) break;
    if (steps_ >= limits.steps_max) return false;
    std::pop_heap(ahead_.begin(), ahead_.end(), further);
    ahead_.pop_back();
    const std::uint32_t count = meet_neighbours(graph, probe, near.node);
    for (std::uint32_t i = 0; i < count; ++i) {
      if (found_.size() == limits.ef && !(scores_[i] < found_.back().score)) continue;
      ahead_.push_back({scores_[i], fresh_[i]});
      std::push_heap(ahead_.begin(), ahead_.end(), further);
      if (filter.passes(fresh_[i])) insert({scores_[i], fresh_[i]}, limits.ef);
    }
  }
  add_maybes(graph, probe, limits.ef, &filter);
  return true;
}

}  // namespace vecserve::engine
