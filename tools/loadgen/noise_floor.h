// How late this machine lets a thread be that has nothing to do but be on time, measured while the
// load runs. Comes beside the sender, before summary and verdict; a thread of its own. Always
// holds: it waits exactly as the sender does, so what it sees is what the sender could at best do.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "engine/base/histogram.h"

namespace vecserve::loadgen {

struct NoiseOptions {
  double rate = 1'000.0;  // looks a second, at exponential distances
  std::uint64_t spin_ns = 100'000;
  int cpu = -1;
  std::uint64_t seed = 0x6E6F697365;
};

class NoiseFloor {
 public:
  explicit NoiseFloor(const NoiseOptions& options);
  ~NoiseFloor();
  NoiseFloor(const NoiseFloor&) = delete;
  NoiseFloor& operator=(const NoiseFloor&) = delete;

  // Ends the thread; what it saw. Blocks until its next look, 10 ms at most.
  [[nodiscard]] engine::Histogram stop();

 private:
  void run(const NoiseOptions& options);

  engine::Histogram lateness_;  // the thread's until it is joined
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace vecserve::loadgen
