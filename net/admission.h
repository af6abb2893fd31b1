// The decision to take a work or not, as pure functions of numbers, and the budget that taken works
// hold. Comes first when a work is submitted; a refusal ends there, within 2 us.
// Pure functions: any thread. Budget: any thread, no lock.
// Always holds: what is admitted is predicted to be done by min(its deadline, the target); a budget
// is never overdrawn, and what was taken from it comes back exactly once, through Ticket.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "net/work.h"

namespace vecserve::net {

// What is ahead of a work, in time of the device (of which running batches get equal parts).
struct Ahead {
  Duration running{0};     // left of the batches that run, all together
  Duration first_done{0};  // left of the one that ends first; 0 when a lane is free
  Duration queued{0};      // of the batches that will form before its own
  Duration own{0};         // of the batch that it will be in
  Duration slow_batch{0};  // of a full one; a work dearer than that waits no less than others
  Duration slack{0};       // that it may be later than the target, for those of lower classes
  Duration of_class{0};    // of batches that will form before it of its own class alone
  double share = 1.0;      // of the device that its class is sure of
  std::uint32_t lanes = 1;
};

// When the work is done, from now: either everything ahead is done first, or a long batch keeps its
// lane meanwhile and the rest goes on beside it, whichever is sooner.
[[nodiscard]] Duration predicted_finish(const Ahead& ahead);

// Lower classes are also taken if their reserved share serves them within the target as that share
// sees it: `target / share`, since others may have all the rest.
// nullopt: take it. `left` is what is left until its deadline (Duration::max(): it has none).
[[nodiscard]] std::optional<Refusal> judge(const Ahead& ahead, Duration left, Duration target);

// Works and bytes in flight, both bounded.
class Budget {
 public:
  Budget(std::uint32_t works_max, std::size_t bytes_max)
      : works_max_(works_max), bytes_max_(bytes_max) {}

  // False, and nothing is taken, when either bound would be passed. One work larger than all bytes
  // is taken when nothing else is in flight: it was within the limits of a frame.
  [[nodiscard]] bool take(std::size_t bytes);
  void give(std::size_t bytes);

  [[nodiscard]] std::uint32_t works() const { return works_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint32_t works_max() const { return works_max_; }

 private:
  const std::uint32_t works_max_;
  const std::size_t bytes_max_;
  std::atomic<std::uint32_t> works_{0};
  std::atomic<std::size_t> bytes_{0};
};

}  // namespace vecserve::net
