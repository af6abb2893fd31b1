// One thread per core that takes the next piece until none is left. See spread.h; used by the
// synthetic data sets and by the search for the truth. Always holds: no thread outlives the call.
// Part of bench_support, which every bench links.
#include "tools/bench/spread.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace vecserve::bench {

void spread(std::size_t count, const std::function<void(std::size_t)>& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr error;
  std::mutex mutex;
  const auto take_pieces = [&] {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      const std::lock_guard lock(mutex);
      if (error == nullptr) error = std::current_exception();
    }
  };
  {
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < std::min(count, cores); ++i) threads.emplace_back(take_pieces);
    take_pieces();
  }
  if (error != nullptr) std::rethrow_exception(error);
}

}  // namespace vecserve::bench
