// Sends a plan: each request at its time, whether or not earlier ones came back. Comes after
// schedule, before summary; runs on its caller's thread, which it may pin to a core. Always holds:
// a late request is sent at once and keeps its intended time; none is skipped.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

#include "tools/loadgen/record.h"

namespace vecserve::loadgen {

// What requests are sent to. send() should return at once; the time that it does not is shown as
// "blocked". Two kinds exist: in the same process, and over the wire.
class Target {
 public:
  virtual ~Target() = default;
  // Calls records.complete(index, ...) exactly once, from any thread, now or later.
  virtual void send(std::size_t index, std::uint8_t kind, Records& records) = 0;
  // Ends what is still waiting: when it returns, every request is completed or will never be. The
  // target is then as new.
  virtual void give_up() {}
};

struct SenderOptions {
  // Sleeps until so long before a request is due, then spins: a sleeping thread wakes late, by
  // microseconds at best, and by the host's whim at worst.
  std::uint64_t spin_ns = 100'000;
  int cpu = -1;  // the core to pin this thread to; -1: none
  // How long to wait for replies after the last request.
  std::uint64_t drain_ns = 10'000'000'000;
  const std::atomic<bool>* stop = nullptr;  // ends the run early when it becomes true
};

struct SendResult {
  std::size_t sent = 0;        // less than the plan only when stopped
  bool stopped = false;        // by SenderOptions::stop, before the end of the plan
  bool drained = true;         // all replies came within drain_ns
  std::uint64_t end_ns = 0;    // from the start of the run to the end of the drain
  double clocks_differ = 0.0;  // relative difference of steady and system clock over the run
  std::uint64_t cpu_ns = 0;    // processor time of the sending thread
};

// Blocks until all replies are there or the drain is over. When it returns with drained == false,
// completions may still come: let the target give up before touching the records.
SendResult send_plan(Records& records, Target& target, const SenderOptions& options);

// Closed loop, for those who ask for it: `users` requests are out at any time, the next one goes as
// one comes back, as fast as that is. There is no intended time, so response equals service and
// says nothing about what independent users would see. Ends after duration_ns or when the records
// are used up.
SendResult send_closed_loop(Records& records, Target& target, std::uint32_t users,
                            std::uint64_t duration_ns, const SenderOptions& options);

// Waits for a moment of steady_ns() in the sender's way and returns the time when it went on.
std::uint64_t wait_until(std::uint64_t when_ns, std::uint64_t spin_ns);

// Pins the calling thread and asks for exact timers. A core that is not there leaves it unpinned.
void prepare_thread(int cpu);

}  // namespace vecserve::loadgen
