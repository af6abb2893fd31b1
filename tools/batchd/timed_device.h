// A device that only takes the time of a batch, for services and replicas whose cost is to be
// chosen: so much for a batch and so much for each request, with a spread, rare slow ones, and
// stalls from a plan. On the processor, or elsewhere, where the processor sleeps meanwhile. Behind
// net/lane in the real server; called by lanes.
// Always holds: between parts of a batch it looks whether anybody still wants it; the same seed
// draws the same times in the same order.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "net/device.h"
#include "tools/loadgen/local_target.h"
#include "vecserve/collection.h"

namespace vecserve::batchd {

struct TimedDeviceOptions {
  std::chrono::microseconds batch_cost{300};
  std::chrono::microseconds request_cost{100};  // of each in the batch
  double sigma = 0.0;                           // of the logarithm of a batch's time
  double slow_share = 0.0;                      // of batches take slow_factor times as long
  double slow_factor = 5.0;
  bool on_processor = true;  // false: the time passes elsewhere
  std::uint32_t parts = 8;   // of a batch
  std::uint32_t lanes = 1;
  std::vector<loadgen::Stall> stalls{};  // from begin() on, rising; nothing moves meanwhile
  // From here to there all batches take so many times as long.
  loadgen::Stall all_slow{};
  double all_slow_factor = 1.0;
  std::uint64_t seed = 1;

  [[nodiscard]] double mean_us(double requests) const;
};

// Stalls of one replica: a pause of `every_s` on average, from a seed, then `length_ms` of stall.
[[nodiscard]] std::vector<loadgen::Stall> plan_stalls(double every_s, double length_ms,
                                                      double duration_s, std::uint64_t seed);

class TimedDevice final : public net::Device {
 public:
  explicit TimedDevice(TimedDeviceOptions options);

  // The moment that stalls count from; before it there are none. Between runs.
  void begin(std::uint64_t now_ns) { begin_ns_.store(now_ns, std::memory_order_relaxed); }

  void run(net::Batch& batch) noexcept override;

  // Time that it worked, stalls not counted: for batches that were finished, and for those that
  // were stopped on the way.
  [[nodiscard]] double finished_us() const { return ns(finished_ns_); }
  [[nodiscard]] double stopped_us() const { return ns(stopped_ns_); }
  [[nodiscard]] std::uint64_t finished() const { return finished_; }

 private:
  static double ns(const std::atomic<std::uint64_t>& value) {
    return static_cast<double>(value.load(std::memory_order_relaxed)) * 1e-3;
  }
  [[nodiscard]] std::uint64_t draw_ns(std::size_t requests, std::uint64_t now_ns);
  [[nodiscard]] std::uint64_t end_of(std::uint64_t at_ns, std::uint64_t length_ns) const;
  void answer(net::Batch& batch);

  const TimedDeviceOptions options_;
  std::atomic<std::uint64_t> begin_ns_{0};  // 0: not begun
  std::atomic<std::uint64_t> drawn_{0};
  std::atomic<std::uint64_t> finished_ns_{0}, stopped_ns_{0}, finished_{0};
  std::vector<std::unique_ptr<SearchResult>> results_;  // per lane; empty answers
};

}  // namespace vecserve::batchd
