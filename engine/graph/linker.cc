// See linker.h.
// A linking thread. Always holds: one lock is held at a time, and only for one list; estimates of
// distances that come out below zero count as zero.
#include "engine/graph/linker.h"

#include <algorithm>
#include <cstddef>

#include "engine/base/check.h"

namespace vecserve::engine {

namespace {

// Of two neighbours in one direction the further is left out, when it is nearer to the other than
// to the node: few that lead everywhere are what saves steps to a walk of many.
constexpr float kApart = 1.0f;
// Where there is room behind those, the furthest apart of the rest: left out is what is nearer to
// another than this part of its distance (squared: 0.79 of the length). Longer lists that also keep
// detours are what lets a walk of few steps get near. With 2.0 lists are full of what is near, and
// from other crowds some rows are not found while others come.
constexpr float kDetour = 1.6f;
// A list begins with room for those that will point back; one that overflows is cut to this.
constexpr std::uint32_t kChosenMax = 24;

// A row that so much of the list of its nearest node is nearer to than the row is lies where there
// was nothing yet. (Three quarters.)
constexpr std::uint32_t kBeyondOf = 4;
constexpr std::uint32_t kBeyond = 3;

// Nearest first, of those beyond neighbours that have died.
constexpr std::size_t kReplacementsTried = 8;

bool nearer(const Near& a, const Near& b) {
  return a.score < b.score;
}

void prefetch(const std::uint8_t* record, std::uint32_t lines) {
  for (std::uint32_t line = 0; line < lines; ++line) {
    __builtin_prefetch(record + std::size_t{line} * kGraphLineBytes);
  }
}

bool is_marked(std::uint32_t link) {
  return link != kNoNode && (link & kTreeEdge) != 0;
}

// With the lock of the list, which has all marked edges of `list`. They stay where they are: a walk
// that reads the list meanwhile may miss others but not them.
void store_list(Links& links, const std::vector<std::uint32_t>& list) {
  std::size_t next = 0;
  for (auto& link : links) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (is_marked(value) && std::find(list.begin(), list.end(), value) != list.end()) continue;
    while (next < list.size() && is_marked(list[next])) ++next;
    link.store(next < list.size() ? list[next++] : kNoNode, std::memory_order_release);
  }
}

}  // namespace

Linker::Linker(Graph& graph)
    : graph_(graph),
      codes_(std::size_t{2} * graph.axes().record_bytes()),
      scratch_(graph.axes().scratch_floats()) {}

void Linker::probe_node(std::uint32_t node) {
  square_ = graph_.axes().make_probe(graph_.record(node),
                                     reinterpret_cast<std::int8_t*>(codes_.data()), probe_);
}

void Linker::measure(std::span<const std::uint32_t> nodes, std::vector<Near>& out) {
  records_.clear();
  for (const std::uint32_t node : nodes) {
    records_.push_back(graph_.record(node));
    prefetch(records_.back(), probe_.lines);
  }
  scores_.resize(nodes.size());
  graph_.kernels().score(probe_, records_.data(), static_cast<std::uint32_t>(nodes.size()),
                         scores_.data());
  out.clear();
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    out.push_back({std::max(0.0f, square_ + scores_[i]), nodes[i]});
  }
}

void Linker::prune(std::uint32_t most) {
  detours_.clear();
  choose(most, kApart);
  if (chosen_.size() >= most || detours_.empty()) return;
  std::sort(detours_.begin(), detours_.end(), nearer);
  choice_.swap(detours_);
  detours_.clear();
  choose(most, kDetour);
}

void Linker::choose(std::uint32_t most, float apart) {
  auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data()) + graph_.axes().record_bytes();
  GraphProbe probe;
  std::size_t done = 0;
  // Marked ones were put in front, and are kept whatever lies in their direction.
  while (done < choice_.size() && (chosen_.size() < most || is_marked(choice_[done].node))) {
    const std::uint32_t node = choice_[done++].node;
    chosen_.push_back(node);
    const float square = graph_.axes().make_probe(graph_.record(node & kNodeMask), codes, probe);
    records_.clear();
    for (const Near& near : detours_) records_.push_back(graph_.record(near.node));
    for (std::size_t i = done; i < choice_.size(); ++i) {
      records_.push_back(graph_.record(choice_[i].node & kNodeMask));
    }
    scores_.resize(records_.size());
    graph_.kernels().score(probe, records_.data(), static_cast<std::uint32_t>(records_.size()),
                           scores_.data());
    const std::size_t detours = detours_.size();
    const auto between = [&](std::size_t i) { return std::max(0.0f, square + scores_[i]); };
    std::size_t left = 0;
    for (std::size_t i = 0; i < detours; ++i) {
      if (kDetour * between(i) > detours_[i].score) detours_[left++] = detours_[i];
    }
    detours_.resize(left);
    std::size_t kept = done;
    for (std::size_t i = done; i < choice_.size(); ++i) {
      const Near near = choice_[i];
      const float apart_by = between(detours + i - done);
      if (is_marked(near.node) || apart * apart_by > near.score) {
        choice_[kept++] = near;
      } else if (kDetour * apart_by > near.score) {
        detours_.push_back(near);
      }
    }
    choice_.resize(kept);
  }
}

bool Linker::link(std::uint64_t slot, const float* row) {
  const std::uint32_t node = graph_.take_node(slot);
  if (node == kNoNode) return false;
  graph_.axes().encode(row, scratch_.data(), graph_.mutable_record(node));
  if (graph_.entry(0) == kNoNode) {
    graph_.set_entry(0, node);
    return true;
  }
  probe_node(node);
  choose_near(node);
  chosen_.clear();
  std::vector<Near> all = choice_;
  prune(kChosenMax);
  const std::vector<std::uint32_t> chosen = chosen_;
  store_list(graph_.mutable_links(node), chosen);
  bool adopted = false;
  for (std::size_t i = 0; i < all.size() && !adopted; ++i) adopted = adopt(all[i].node, node);
  if (!adopted) adopted = find_parent_in_tree(node);
  VECSERVE_CHECK(adopted);
  if (!all.empty() && lies_beyond(all.front())) graph_.add_newcomer(node);
  for (const std::uint32_t neighbour : chosen) point_back(neighbour, node);
  return true;
}

// What is named is what walks come by: the lists around such a node are full of what is nearer, and
// soon none has it. Those that come after it would not meet it, and choose from the wrong crowd.
bool Linker::lies_beyond(const Near& nearest) {
  auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data()) + graph_.axes().record_bytes();
  GraphProbe probe;
  const float square = graph_.axes().make_probe(graph_.record(nearest.node), codes, probe);
  records_.clear();
  for (const auto& link : graph_.links(nearest.node)) {
    const std::uint32_t value = link.load(std::memory_order_acquire);
    if (value != kNoNode) records_.push_back(graph_.record(value & kNodeMask));
  }
  scores_.resize(records_.size());
  graph_.kernels().score(probe, records_.data(), static_cast<std::uint32_t>(records_.size()),
                         scores_.data());
  const auto within = std::count_if(scores_.begin(), scores_.end(),
                                    [&](float score) { return square + score < nearest.score; });
  return static_cast<std::size_t>(within) * kBeyondOf >= records_.size() * kBeyond;
}

// What a walk to the probed node finds, without itself and what is dying.
void Linker::choose_near(std::uint32_t node) {
  beam_.walk(graph_, probe_, {kLinkBeam, UINT32_MAX, true});
  choice_.clear();
  for (const Near& near : beam_.found()) {
    if (near.node == node || graph_.state(near.node) != NodeState::live) continue;
    choice_.push_back({std::max(0.0f, square_ + near.score), near.node});
  }
}

// Of a node's marked edges some may lead to dying children, for as long as those have live ones of
// their own: they do not count, or a graph of which nearly all has died would have no room left.
bool Linker::has_room(const Links& links) const {
  std::uint32_t children = 0;
  for (const auto& link : links) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (is_marked(value) && graph_.state(value & kNodeMask) == NodeState::live) ++children;
  }
  return children < kChildrenMax;
}

bool Linker::adopt(std::uint32_t parent, std::uint32_t child) {
  const std::lock_guard lock(graph_.lock_of(parent));
  Links& links = graph_.mutable_links(parent);
  // Where the edge is already, else a free place, else that of the furthest that may go.
  std::uint32_t mine = kDegree;
  std::uint32_t free = kDegree;
  std::uint32_t plain = kDegree;
  for (std::uint32_t i = 0; i < kDegree; ++i) {
    const std::uint32_t link = links[i].load(std::memory_order_relaxed);
    if (link == kNoNode) {
      free = i;
    } else if ((link & kNodeMask) == child) {
      mine = i;
    } else if (!is_marked(link)) {
      plain = i;
    }
  }
  const std::uint32_t place = mine != kDegree ? mine : free != kDegree ? free : plain;
  if (place == kDegree || !has_room(links)) return false;
  graph_.set_parent(child, parent);
  links[place].store(child | kTreeEdge, std::memory_order_release);
  return true;
}

void Linker::point_back(std::uint32_t from, std::uint32_t to) {
  const std::lock_guard lock(graph_.lock_of(from));
  Links& links = graph_.mutable_links(from);
  std::uint32_t place = kDegree;
  for (std::uint32_t i = 0; i < kDegree; ++i) {
    const std::uint32_t link = links[i].load(std::memory_order_relaxed);
    if (link != kNoNode && (link & kNodeMask) == to) return;
    if (link == kNoNode && place == kDegree) place = i;
  }
  if (place != kDegree) {
    links[place].store(to, std::memory_order_release);
  } else {
    shrink(from, to);
  }
}

// Which of the pool the node keeps: marked ones before all others, then the nearest.
void Linker::choose_of(std::uint32_t node, const std::vector<std::uint32_t>& pool) {
  probe_node(node);
  std::vector<std::uint32_t> plain(pool);
  for (std::uint32_t& value : plain) value &= kNodeMask;
  measure(plain, choice_);
  for (std::size_t i = 0; i < pool.size(); ++i) choice_[i].node = pool[i];
  std::sort(choice_.begin(), choice_.end(), nearer);
  std::stable_partition(choice_.begin(), choice_.end(),
                        [](const Near& near) { return is_marked(near.node); });
  chosen_.clear();
  prune(kChosenMax);
}

// With the lock of the node.
void Linker::shrink(std::uint32_t node, std::uint32_t more) {
  std::vector<std::uint32_t> pool{more};
  for (const auto& link : graph_.links(node)) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (value != kNoNode) pool.push_back(value);
  }
  choose_of(node, pool);
  store_list(graph_.mutable_links(node), chosen_);
}

void Linker::relink(std::uint32_t node, std::vector<std::uint32_t>& pool) {
  // Marked ones sort behind their unmarked twins, which go.
  std::sort(pool.begin(), pool.end(), [](std::uint32_t a, std::uint32_t b) {
    return (a & kNodeMask) != (b & kNodeMask) ? (a & kNodeMask) < (b & kNodeMask) : a > b;
  });
  pool.erase(std::unique(pool.begin(), pool.end(),
                         [](std::uint32_t a, std::uint32_t b) {
                           return (a & kNodeMask) == (b & kNodeMask);
                         }),
             pool.end());
  std::erase_if(pool, [&](std::uint32_t value) {
    const std::uint32_t other = value & kNodeMask;
    return other == node || graph_.state(other) != NodeState::live;
  });
  choose_of(node, pool);
  const std::vector<std::uint32_t> chosen = chosen_;
  {
    const std::lock_guard lock(graph_.lock_of(node));
    store_list(graph_.mutable_links(node), chosen);
  }
  // Of those that named it some have died.
  for (const std::uint32_t neighbour : chosen) point_back(neighbour & kNodeMask, node);
}

bool Linker::is_led_to(const Near& candidate, std::span<const std::uint32_t> nodes) {
  auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data()) + graph_.axes().record_bytes();
  GraphProbe probe;
  const float square = graph_.axes().make_probe(graph_.record(candidate.node), codes, probe);
  records_.clear();
  for (const std::uint32_t node : nodes) records_.push_back(graph_.record(node & kNodeMask));
  scores_.resize(records_.size());
  graph_.kernels().score(probe, records_.data(), static_cast<std::uint32_t>(records_.size()),
                         scores_.data());
  return std::any_of(scores_.begin(), scores_.end(), [&](float score) {
    return kDetour * std::max(0.0f, square + score) <= candidate.score;
  });
}

void Linker::replace(std::uint32_t node, std::span<const std::uint32_t> dying) {
  probe_node(node);
  chosen_.clear();
  for (const auto& link : graph_.links(node)) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (value != kNoNode && graph_.state(value & kNodeMask) == NodeState::live) {
      chosen_.push_back(value);
    }
  }
  std::vector<std::uint32_t> beyond;
  for (const std::uint32_t gone : dying) {
    for (const auto& link : graph_.links(gone)) {
      const std::uint32_t value = link.load(std::memory_order_relaxed);
      const std::uint32_t other = value & kNodeMask;
      if (value == kNoNode || other == node || graph_.state(other) != NodeState::live) continue;
      const bool there = std::any_of(chosen_.begin(), chosen_.end(), [other](std::uint32_t kept) {
        return (kept & kNodeMask) == other;
      });
      if (!there) beyond.push_back(other);
    }
  }
  std::sort(beyond.begin(), beyond.end());
  beyond.erase(std::unique(beyond.begin(), beyond.end()), beyond.end());
  measure(beyond, choice_);
  std::sort(choice_.begin(), choice_.end(), nearer);
  const std::size_t kept = chosen_.size();
  for (std::size_t i = 0; i < std::min<std::size_t>(choice_.size(), kReplacementsTried); ++i) {
    if (chosen_.size() == kept + dying.size() || chosen_.size() == kDegree) break;
    if (!is_led_to(choice_[i], chosen_)) chosen_.push_back(choice_[i].node);
  }
  const std::vector<std::uint32_t> chosen = chosen_;
  {
    const std::lock_guard lock(graph_.lock_of(node));
    store_list(graph_.mutable_links(node), chosen);
  }
  for (std::size_t i = kept; i < chosen.size(); ++i) point_back(chosen[i], node);
}

bool Linker::is_below(std::uint32_t node, std::uint32_t top) const {
  for (std::uint32_t at = node; at != kNoNode; at = graph_.parent(at)) {
    if (at == top) return true;
  }
  return false;
}

void Linker::find_parent(std::uint32_t node) {
  probe_node(node);
  choose_near(node);
  for (const Near& near : choice_) {
    if (!is_below(near.node, node) && adopt(near.node, node)) return;
  }
  VECSERVE_CHECK(find_parent_in_tree(node));
}

void Linker::unmark(std::uint32_t parent, std::uint32_t child) {
  const std::lock_guard lock(graph_.lock_of(parent));
  for (auto& link : graph_.mutable_links(parent)) {
    if (link.load(std::memory_order_relaxed) == (child | kTreeEdge)) {
      link.store(child, std::memory_order_release);
    }
  }
}

bool Linker::bring_near(std::uint32_t node) {
  const std::uint32_t before = graph_.parent(node);
  if (before == kNoNode) return false;  // the root, where every walk begins
  probe_node(node);
  beam_.walk(graph_, probe_, {kOwnBeam});
  const std::span<const Near> found = beam_.found();
  for (const Near& near : found) {
    if (near.node == node) return false;
  }
  // Of rows that are all the same a walk finds some, and those are as good.
  if (!beam_.has_place_for(graph_, probe_, node)) return false;
  for (const Near& near : found) {
    // One that is below the node depends on it, one that is its parent has the edge already.
    if (near.node == before || graph_.state(near.node) != NodeState::live) continue;
    if (is_below(near.node, node) || !adopt(near.node, node)) continue;
    unmark(before, node);
    return true;
  }
  return false;
}

// Down from the root, another way each time, to the first with room: a leaf has, and a tree has
// fewer edges than nodes. Not below the node itself, nor along edges whose child has moved.
bool Linker::find_parent_in_tree(std::uint32_t node) {
  std::vector<std::uint32_t> stack{graph_.entry(0)};
  std::uint32_t turn = node;
  while (!stack.empty()) {
    const std::uint32_t at = stack.back();
    stack.pop_back();
    if (at == node) continue;
    if (graph_.state(at) == NodeState::live && adopt(at, node)) return true;
    turn = turn * 0x9e3779b1U + 1;
    const Links& links = graph_.links(at);
    for (std::uint32_t i = 0; i < kDegree; ++i) {
      const std::uint32_t value =
          links[(turn / 65'536 + i) % kDegree].load(std::memory_order_acquire);
      if (is_marked(value) && graph_.parent(value & kNodeMask) == at) {
        stack.push_back(value & kNodeMask);
      }
    }
  }
  return false;
}

}  // namespace vecserve::engine
