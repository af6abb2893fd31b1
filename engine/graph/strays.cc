// See strays.h.
// The keeper's thread, after linking and repair; walks go on meanwhile.
// Always holds: a round ends, whatever it finds.
#include "engine/graph/strays.h"

namespace vecserve::engine {

void Strays::begin() {
  busy_ = true;
  next_ = 0;
  found_ = 0;
}

bool Strays::step(std::uint32_t nodes) {
  for (; busy_ && nodes > 0; --nodes) {
    if (next_ >= graph_.nodes()) {
      busy_ = false;
      break;
    }
    const std::uint32_t node = next_++;
    if (graph_.state(node) == NodeState::live && linker_.bring_near(node)) ++found_;
  }
  return busy_;
}

}  // namespace vecserve::engine
