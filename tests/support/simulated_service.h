// A dispatch with a simulated device and a clock that moves from event to event: arrivals and
// batch ends, in order of time. Used by the property tests of the serving core and by overload_sim.
// One thread; no real time passes. Always holds: the same seed and calls give the same run; after
// every event each free lane was offered the next batch.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "net/dispatch.h"
#include "tests/support/dice.h"

namespace vecserve::test {

// What the simulated device takes for a batch: fixed + per_weight * weight, times a factor drawn
// between 1 - spread and 1 + spread.
struct SimulatedDevice {
  net::Duration fixed{300'000};
  net::Duration per_weight{5'000};
  double spread = 0.0;
  bool serial = true;  // one batch computes at a time, however many are in flight
};

// What became of one work.
struct Served {
  std::uint32_t finishes = 0;
  StatusCode code = StatusCode::ok;
  net::Duration latency{0};  // from submit to finish
  net::TimePoint finished{};
  net::Outcome outcome;
};

class SimulatedService {
 public:
  SimulatedService(const net::DispatchOptions& options, const SimulatedDevice& device,
                   std::uint64_t seed);
  ~SimulatedService();
  SimulatedService(const SimulatedService&) = delete;
  SimulatedService& operator=(const SimulatedService&) = delete;

  [[nodiscard]] net::Dispatch& dispatch() { return *dispatch_; }
  [[nodiscard]] net::TimePoint now() const { return clock_.steady_now(); }
  [[nodiscard]] SimulatedDevice& device() { return device_; }

  // Submits now. The work, so that it can be cancelled; null: refused, see last_refusal(). `then`
  // is called when it is finished.
  using Then = std::function<void(const Served&)>;
  std::shared_ptr<net::Work> submit(const std::shared_ptr<net::Peer>& peer,
                                    const net::WorkTerms& terms, Then then = {});
  [[nodiscard]] const std::optional<net::Refusal>& last_refusal() const { return refusal_; }

  // Lets time pass until `until`; what ends on the way is completed, and lanes take what waits.
  void run_until(net::TimePoint until);
  void run_for(net::Duration duration) { run_until(now() + duration); }
  // Until nothing runs or waits.
  void run_dry();
  // Offers the next batch to every free lane, as its thread would at once.
  void feed_lanes();

  // Called with every batch that begins.
  std::function<void(const net::Batch&)> on_batch;

 private:
  struct Lane {
    net::Batch batch;
    bool busy = false;
    net::TimePoint done{};
  };
  [[nodiscard]] Lane* next_done();
  void begin(Lane& lane);

  engine::ManualClock clock_;
  SimulatedDevice device_;
  Dice dice_;
  std::unique_ptr<net::Dispatch> dispatch_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  net::TimePoint device_free_{};
  std::optional<net::Refusal> refusal_;
};

// As usual but for the size of batches.
[[nodiscard]] inline net::DispatchOptions dispatch_options(std::uint32_t batch_max = 64) {
  net::DispatchOptions options;
  options.batch_max = batch_max;
  return options;
}

[[nodiscard]] net::WorkTerms terms_of(net::GroupId group,
                                      Priority priority = Priority::interactive);

// So many works of one peer at once; their ends go to `done`, which must outlive the service's run.
void flood(SimulatedService& service, const std::shared_ptr<net::Peer>& peer,
           const net::WorkTerms& terms, int count, std::vector<Served>& done);

// Runs the device full until the cost model knows it.
void learn(SimulatedService& service, const net::WorkTerms& terms);

}  // namespace vecserve::test
