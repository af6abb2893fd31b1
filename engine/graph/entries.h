// Chooses where walks begin. Rows often lie in clusters whose nodes only name each other, so a walk
// must begin in the right one: heads are nodes of a sample that lie as far apart as can be, and
// around each head its part of the sample is spread out likewise. A walk looks at all heads and at
// the members of the nearest few. Rows that come later may lie where there is no entry: then every
// walk goes where it always went, and what is near among the new ones is found by none. So entries
// are chosen anew as the graph changes. The keeper's thread.
// Always holds: only live nodes become entries; the root stays.
#pragma once

#include "engine/graph/graph.h"

namespace vecserve::engine {

// Costs some 300,000 scores. May throw std::bad_alloc; then the entries are as they were or fewer.
void spread_entries(Graph& graph);

// When that is due: after so many changes that a crowd of new rows may be among them.
class EntrySpreader {
 public:
  explicit EntrySpreader(Graph& graph) : graph_(graph) {}

  // Nodes were linked, or freed by a repair.
  void changed(std::uint64_t nodes) { changed_ += nodes; }
  // `caught_up`: no rows wait to be linked, so there is time for it, and walks will tell whether it
  // was done. True when it was. May throw std::bad_alloc.
  bool spread_if_due(bool caught_up);
  void spread();

 private:
  Graph& graph_;
  std::uint64_t changed_ = 0;  // nodes, since it was last done
};

}  // namespace vecserve::engine
