// Which of many values is the n-th least: thresholds are such values, and are asked for often while
// rows are scanned. Comes below the lists of bounds and the sieve. Any thread; pure.
// Always holds: the answer of sorting; time in proportion to the values for any of them, a few
// cycles each where they are spread out, as distances are.
#pragma once

#include <cstddef>
#include <span>

namespace vecserve::engine {

// The value that would stand at `rank`, 0 the least, were they sorted. rank < values.size(); no
// NaN. Brings the values into another order.
[[nodiscard]] float value_at_rank(std::span<float> values, std::size_t rank);

}  // namespace vecserve::engine
