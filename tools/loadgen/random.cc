// Von Neumann's exponential and unbiased integers. Comes below schedule; any thread. Always
// holds: the number of draws that a value takes depends on the draws alone, never on the
// machine.
#include "tools/loadgen/random.h"

namespace vecserve::loadgen {

std::uint64_t Random::below(std::uint64_t bound) {
  // Draws from the incomplete last round of 2^64 / bound would favour small numbers.
  const std::uint64_t excess = (0 - bound) % bound;
  while (true) {
    const std::uint64_t drawn = next();
    if (drawn >= excess) return drawn % bound;
  }
}

double Random::exponential() {
  std::uint64_t whole = 0;
  while (true) {
    const std::uint64_t first = next();
    std::uint64_t last = first;
    bool odd = true;
    while (true) {
      const std::uint64_t drawn = next();
      if (drawn >= last) break;
      last = drawn;
      odd = !odd;
    }
    if (odd) return static_cast<double>(whole) + static_cast<double>(first >> 11) * 0x1p-53;
    ++whole;
  }
}

}  // namespace vecserve::loadgen
