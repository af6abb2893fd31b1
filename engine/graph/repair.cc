// See repair.h.
// The keeper's thread. Always holds: in stage `lists` no live node hangs below a dying one; in
// stage `waiting` no list of a live node names a dying one.
#include "engine/graph/repair.h"

#include <algorithm>
#include <utility>

namespace vecserve::engine {

namespace {

// A sweep looks at every list once: worth it for one dead row in fifty.
constexpr std::uint32_t kDeadShare = 50;
// Neighbours of a list that are replaced one by one when they have died; with more of them the list
// is made anew, which costs some ten times as much.
constexpr std::size_t kReplacedMax = 3;

}  // namespace

void Repair::begin(const std::function<bool(std::uint64_t)>& alive, bool all) {
  if (busy()) return;
  std::vector<std::uint32_t> dead;
  const std::uint32_t nodes = graph_.nodes();
  for (std::uint32_t node = 0; node < nodes; ++node) {
    if (graph_.state(node) == NodeState::live && !alive(graph_.slot(node))) dead.push_back(node);
  }
  if (dead.empty() || (!all && dead.size() * kDeadShare < graph_.live())) return;
  dying_ = std::move(dead);
  for (const std::uint32_t node : dying_) graph_.set_state(node, NodeState::dying);
  stage_ = Stage::parents;
  next_ = 0;
  if (!move_root()) {
    // Nothing is alive: no walk begins any more.
    for (std::uint32_t i = 0; i < kEntries; ++i) graph_.set_entry(i, kNoNode);
    stage_ = Stage::waiting;
    retired_ = graph_.epochs.retire();
    return;
  }
  replace_entries();
}

// Any live node with room becomes the root, and the old one its child for as long as it is there,
// so that what hangs below that stays reachable meanwhile.
bool Repair::move_root() {
  const std::uint32_t root = graph_.entry(0);
  if (graph_.state(root) == NodeState::live) return true;
  const std::uint32_t nodes = graph_.nodes();
  for (std::uint32_t node = 0; node < nodes; ++node) {
    if (graph_.state(node) != NodeState::live || !linker_.adopt(node, root)) continue;
    // Its parent keeps its edge to it, as one of many.
    if (graph_.parent(node) != kNoNode) linker_.unmark(graph_.parent(node), node);
    graph_.set_parent(node, kNoNode);
    graph_.set_entry(0, node);
    return true;
  }
  return false;
}

void Repair::replace_entries() {
  for (std::uint32_t i = 1; i < kEntries; ++i) {
    const std::uint32_t entry = graph_.entry(i);
    if (entry != kNoNode && graph_.state(entry) != NodeState::live) {
      graph_.set_entry(i, kNoNode);
    }
  }
}

void Repair::give_parents(std::uint32_t node) {
  for (const auto& link : graph_.links(node)) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (value == kNoNode || (value & kTreeEdge) == 0) continue;
    const std::uint32_t child = value & kNodeMask;
    if (graph_.state(child) == NodeState::live && graph_.parent(child) == node) {
      linker_.find_parent(child);
    }
  }
}

void Repair::mend(std::uint32_t node) {
  if (graph_.state(node) != NodeState::live) return;
  pool_.clear();
  broken_.clear();
  for (const auto& link : graph_.links(node)) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (value == kNoNode) continue;
    pool_.push_back(value);
    const std::uint32_t neighbour = value & kNodeMask;
    if (graph_.state(neighbour) == NodeState::dying) broken_.push_back(neighbour);
  }
  if (broken_.empty()) return;
  if (broken_.size() <= kReplacedMax) {
    linker_.replace(node, broken_);
    return;
  }
  for (const std::uint32_t neighbour : broken_) {
    for (const auto& beyond : graph_.links(neighbour)) {
      const std::uint32_t other = beyond.load(std::memory_order_relaxed);
      if (other != kNoNode) pool_.push_back(other & kNodeMask);
    }
  }
  linker_.relink(node, pool_);
}

bool Repair::step(std::uint32_t nodes) {
  switch (stage_) {
    case Stage::idle:
      return false;
    case Stage::parents:
      for (; nodes > 0 && next_ < dying_.size(); --nodes) give_parents(dying_[next_++]);
      if (next_ == dying_.size()) {
        stage_ = Stage::lists;
        next_ = 0;
      }
      return true;
    case Stage::lists:
      for (; nodes > 0 && next_ < graph_.nodes(); --nodes) mend(next_++);
      if (next_ == graph_.nodes()) {
        stage_ = Stage::waiting;
        retired_ = graph_.epochs.retire();
      }
      return true;
    case Stage::waiting:
      if (!graph_.epochs.quiet(retired_)) return true;
      graph_.free_nodes(std::move(dying_));
      dying_.clear();
      stage_ = Stage::idle;
      return true;
  }
  return false;
}

GraphCheck check_graph(const Graph& graph) {
  GraphCheck check;
  const std::uint32_t nodes = graph.nodes();
  if (graph.entry(0) == kNoNode) return check;
  const auto reach = [&](std::uint32_t only) {
    std::vector<std::uint8_t> seen(nodes, 0);
    std::vector<std::uint32_t> stack{graph.entry(0)};
    seen[stack.front()] = 1;
    while (!stack.empty()) {
      const std::uint32_t node = stack.back();
      stack.pop_back();
      for (const auto& link : graph.links(node)) {
        const std::uint32_t value = link.load(std::memory_order_acquire);
        if (value == kNoNode || (value & only) != only) continue;
        if (std::exchange(seen[value & kNodeMask], 1) == 0) stack.push_back(value & kNodeMask);
      }
    }
    return seen;
  };
  const std::vector<std::uint8_t> by_any = reach(0);
  const std::vector<std::uint8_t> by_marked = reach(kTreeEdge);
  for (std::uint32_t node = 0; node < nodes; ++node) {
    if (graph.state(node) != NodeState::live) continue;
    ++check.live;
    check.unreachable += by_any[node] == 0 ? 1U : 0U;
    check.orphans += by_marked[node] == 0 ? 1U : 0U;
    std::vector<std::uint32_t> list;
    for (const auto& link : graph.links(node)) {
      const std::uint32_t value = link.load(std::memory_order_acquire);
      if (value == kNoNode) continue;
      const std::uint32_t other = value & kNodeMask;
      const bool twice = std::find(list.begin(), list.end(), other) != list.end();
      if (other == node || twice || graph.state(other) == NodeState::unused) ++check.bad_links;
      list.push_back(other);
    }
  }
  return check;
}

}  // namespace vecserve::engine
