// Chooses where walks begin. Rows often lie in clusters whose nodes only name each other, so a walk
// must begin in the right one: heads are nodes of a sample that lie as far apart as can be, and
// around each head its part of the sample is spread out likewise. A walk looks at all heads and at
// the members of the nearest few. The keeper's thread, when the graph has grown or was repaired.
// Always holds: only live nodes become entries; the root stays.
#pragma once

#include "engine/graph/graph.h"

namespace vecserve::engine {

// Costs some 300,000 scores. May throw std::bad_alloc; then the entries are as they were or fewer.
void spread_entries(Graph& graph);

}  // namespace vecserve::engine
