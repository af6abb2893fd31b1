// Takes dead rows out of the graph, a bounded step at a time, while searches walk over it: gives
// those that hung below them new parents, makes the lists that named them anew from their own
// neighbours, and frees them once no search can be on them any more. On the keeper's thread, never
// while rows are being linked. Always holds: between two steps every live node is reachable from
// the root by marked edges; nodes are freed only when no list names them.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/graph/linker.h"

namespace vecserve::engine {

class Repair {
 public:
  explicit Repair(Graph& graph) : graph_(graph), linker_(graph) {}

  // Begins a sweep when enough rows have died to pay for one, or any when `all`. `alive` tells of a
  // slot whether its row is alive.
  void begin(const std::function<bool(std::uint64_t)>& alive, bool all);
  // Goes on with the sweep for about `nodes` nodes; false when there is nothing to do.
  bool step(std::uint32_t nodes);
  [[nodiscard]] bool busy() const { return stage_ != Stage::idle; }
  // Nothing is left to do but to see the last search go that began before.
  [[nodiscard]] bool waiting() const { return stage_ == Stage::waiting; }
  // Nodes whose rows have died, counted by the last begin().
  [[nodiscard]] std::uint32_t dying() const { return static_cast<std::uint32_t>(dying_.size()); }

 private:
  enum class Stage { idle, parents, lists, waiting };

  bool move_root();
  void replace_entries();
  void give_parents(std::uint32_t node);
  void mend(std::uint32_t node);

  Graph& graph_;
  Linker linker_;
  Stage stage_ = Stage::idle;
  std::vector<std::uint32_t> dying_;
  std::uint32_t next_ = 0;
  std::uint64_t retired_ = 0;
  std::vector<std::uint32_t> pool_;
  std::vector<std::uint32_t> broken_;  // neighbours of a node that are dying
};

struct GraphCheck {
  std::uint32_t live = 0;
  std::uint32_t unreachable = 0;  // live nodes that no path leads to from the root
  std::uint32_t orphans = 0;      // live nodes that no path of marked edges leads to
  std::uint32_t bad_links = 0;    // to unused nodes, to the node itself, or twice the same
};

// Looks at everything. While nobody writes.
[[nodiscard]] GraphCheck check_graph(const Graph& graph);

}  // namespace vecserve::engine
