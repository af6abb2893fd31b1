// Spreads independent pieces of work over the cores, for what a bench does before it measures. Any
// thread; returns when all is done. Always holds: every piece runs exactly once, in no order.
// Part of bench_support, which every bench links.
#pragma once

#include <cstddef>
#include <functional>

namespace vecserve::bench {

// Calls work(piece) for each piece in [0, count). An exception ends the run and is thrown again.
void spread(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace vecserve::bench
