// Looks for nodes that a walk to their own place does not find: their neighbours have given up the
// edges to them for better ones, and what is left is the marked edge of a parent that walks do not
// come by. Such a node gets a parent among those that the walk did find, whose edge to it is never
// pruned. Comes after linking and repair, a bounded step at a time, on the keeper's thread; never
// while rows are being linked, a sweep is on its way or an image is being written. Always holds:
// the marked edges are a tree before and after every step.
#pragma once

#include <cstdint>

#include "engine/graph/linker.h"

namespace vecserve::engine {

class Strays {
 public:
  explicit Strays(Graph& graph) : graph_(graph), linker_(graph) {}

  // A round over all nodes begins.
  void begin();
  // Looks at about `nodes` more of them; false when the round is over.
  bool step(std::uint32_t nodes);
  [[nodiscard]] bool busy() const { return busy_; }
  // Nodes that were not found, in the last round.
  [[nodiscard]] std::uint64_t found() const { return found_; }

 private:
  Graph& graph_;
  Linker linker_;
  std::uint32_t next_ = 0;
  bool busy_ = false;
  std::uint64_t found_ = 0;
};

}  // namespace vecserve::engine
