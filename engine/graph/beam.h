// A walk through the graph towards a query: from the best entry on, always to the neighbours of the
// nearest node that was not left yet, until the `ef` nearest that were met have all been left. The
// scratch memory of one walking thread; used by searches and by the linker. Nothing in it is as
// large as the graph: which nodes were met stands in a hash table that grows with the walk.
// An estimate takes what the axes do not see of two rows to be little alike. So a row of which they
// see little looks far from its own vector, and dozens of others look nearer. A walk towards such a
// vector finds beside those `ef`, of the nodes that it met, a few that may be nearest of all.
// Always holds: what is found was live or dying when it was met, each once, nearest first by the
// estimate of the codes; no more than ef + kMaybes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/graph/graph.h"

namespace vecserve::engine {

struct Near {
  float score = 0.0f;
  std::uint32_t node = 0;  // kLeft within a walk: its neighbours were met
};

// Those that may be nearest. One is enough for the row itself; others may be dead rows with the
// same vector that no repair has taken out yet.
inline constexpr std::uint32_t kMaybes = 4;

// Nodes that a walk has met. Cleared in proportion to what it held.
class MetNodes {
 public:
  void clear();
  // False when it is here already. May throw std::bad_alloc.
  bool add(std::uint32_t node);
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (const std::uint32_t entry : table_) {
      if (entry != 0) visit(entry - 1);
    }
  }

 private:
  void grow();
  [[nodiscard]] std::size_t place_of(std::uint32_t node) const;

  std::vector<std::uint32_t> table_;  // node + 1, 0: empty; a power of two
  std::uint32_t count_ = 0;
  std::uint32_t shift_ = 0;
};

// Which nodes may be answers; a walk goes over the others too.
class NodeFilter {
 public:
  virtual ~NodeFilter() = default;
  [[nodiscard]] virtual bool passes(std::uint32_t node) const = 0;
};

struct WalkLimits {
  std::uint32_t ef = 0;                  // nodes that are wanted
  std::uint32_t steps_max = UINT32_MAX;  // nodes that are left at most
  bool newcomers = false;                // begins at those as well
};

class Beam {
 public:
  // The caller is Reading the graph, or is one of its writers. May throw std::bad_alloc.
  void walk(const Graph& graph, const GraphProbe& probe, const WalkLimits& limits);
  // Only what passes the filter is found; false when steps_max ended it.
  bool walk_filtered(const Graph& graph, const GraphProbe& probe, const WalkLimits& limits,
                     const NodeFilter& filter);

  [[nodiscard]] std::span<const Near> found() const { return found_; }
  // Whether the last walk, which had the same probe and ended by itself, would have found the node
  // if it had met it.
  [[nodiscard]] bool has_place_for(const Graph& graph, const GraphProbe& probe,
                                   std::uint32_t node) const;
  [[nodiscard]] std::uint64_t scored() const { return scored_; }  // nodes, in the last walk
  [[nodiscard]] std::uint64_t steps() const { return steps_; }    // nodes that were left

 private:
  void begin(const Graph& graph, const GraphProbe& probe, bool newcomers);
  // Scores entries [first, first + count) that were not met and adds them to found_.
  void meet_entries(const Graph& graph, const GraphProbe& probe, std::uint32_t first,
                    std::uint32_t count);
  // Neighbours of the node that were not met: their numbers and scores side by side.
  std::uint32_t meet_neighbours(const Graph& graph, const GraphProbe& probe, std::uint32_t node);
  // Leaves of found_ the ef nearest, in order.
  void keep_nearest(std::uint32_t ef);
  std::size_t insert(const Near& near, std::uint32_t ef);
  // The walk is over: what may be nearest is found as well, of what passes where there is a filter.
  void add_maybes(const Graph& graph, const GraphProbe& probe, std::uint32_t ef,
                  const NodeFilter* filter);
  void keep_maybes(const Graph& graph, const GraphProbe& probe, std::uint32_t count,
                   const NodeFilter* filter);
  // Whether the row itself would not be among the ef.
  [[nodiscard]] bool looks_far(const GraphProbe& probe) const;

  MetNodes met_;
  std::vector<Near> found_;
  std::vector<Near> ahead_;   // filtered: a heap of what is still to be left
  float place_below_ = 0.0f;  // scores for which there was a place among the ef
  struct Maybe {
    Near near;
    float least = 0.0f;  // that the score may be
  };
  Maybe maybes_[kMaybes];  // the least first; infinity where there is none
  static constexpr std::uint32_t kAtOnce = 64;
  std::uint32_t fresh_[kAtOnce] = {};
  float scores_[kAtOnce] = {};
  std::uint64_t scored_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace vecserve::engine
