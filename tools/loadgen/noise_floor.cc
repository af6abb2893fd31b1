// The thread that measures the host. Comes beside the sender; its own thread.
// Always holds: no look is farther away than 10 ms, so that stopping never takes
// longer.
#include "tools/loadgen/noise_floor.h"

#include <algorithm>

#include "tools/loadgen/random.h"
#include "tools/loadgen/sender.h"

namespace vecserve::loadgen {
namespace {

constexpr double kGapMaxNs = 10e6;

}  // namespace

NoiseFloor::NoiseFloor(const NoiseOptions& options) : thread_([this, options] { run(options); }) {}

NoiseFloor::~NoiseFloor() {
  if (thread_.joinable()) static_cast<void>(stop());
}

engine::Histogram NoiseFloor::stop() {
  stop_.store(true, std::memory_order_relaxed);
  if (thread_.joinable()) thread_.join();
  return lateness_;
}

void NoiseFloor::run(const NoiseOptions& options) {
  prepare_thread(options.cpu);
  Random random(options.seed);
  const double gap = 1e9 / std::max(1.0, options.rate);
  std::uint64_t due = steady_ns();
  while (!stop_.load(std::memory_order_relaxed)) {
    due += static_cast<std::uint64_t>(std::min(kGapMaxNs, random.exponential() * gap));
    const std::uint64_t now = wait_until(due, options.spin_ns);
    lateness_.record(now - due);
    // After a long hold-up the looks that fell into it are late too, as requests would be; but a
    // look that is due seconds ago tells nothing new.
    if (now > due + 1'000'000'000) due = now;
  }
}

}  // namespace vecserve::loadgen
