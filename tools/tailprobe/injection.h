// Causes on purpose: makes single runs of an operation slow in a known way, so that the probe's
// judgement can be checked. For the self-test only. Belongs to the probing thread; owns the threads
// that disturb it.
// Always holds: a disturbance is over when the run that it disturbs is over (but for a busy disk,
// which is busy in bursts), and all threads are joined on destruction.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tools/tailprobe/causes.h"
#include "tools/tailprobe/operations.h"

namespace vecserve::tailprobe {

// A fixed computation of some 40 µs that a chosen run extends by one disturbance.
class Disturbance {
 public:
  // preempted, slept, page_faults or allocation.
  explicit Disturbance(Cause cause);
  ~Disturbance();
  Disturbance(const Disturbance&) = delete;
  Disturbance& operator=(const Disturbance&) = delete;

  // The next run is disturbed.
  void arm() { armed_ = true; }
  [[nodiscard]] Operation operation();

 private:
  void disturb();
  void preempt();
  void touch_pages();
  void antagonise();

  const Cause cause_;
  bool armed_ = false;
  std::vector<float> floats_;
  void* pages_ = nullptr;
  // The antagonist: shares the probe's processor, and comes first there.
  std::thread antagonist_;
  std::atomic<std::uint32_t> bursts_asked_{0};
  std::atomic<std::uint32_t> bursts_begun_{0};
  std::atomic<bool> stopping_{false};
  int processor_ = -1;
  std::vector<unsigned long> old_affinity_;
};

// Writes bursts to the disk of `folder` from another thread, with pauses.
class BusyDisk {
 public:
  explicit BusyDisk(const std::string& folder);
  ~BusyDisk();
  BusyDisk(const BusyDisk&) = delete;
  BusyDisk& operator=(const BusyDisk&) = delete;

  using Clock = std::chrono::steady_clock;

  // For how much of that time the last burst was on its way to the disk.
  [[nodiscard]] Clock::duration busy_within(Clock::time_point from, Clock::time_point to) const;

 private:
  void write_bursts();
  void burst(int file, bool direct, const void* data);

  const std::string path_;
  // Of the last burst; max(): not yet.
  std::atomic<Clock::time_point> begun_{Clock::time_point::max()};
  std::atomic<Clock::time_point> ended_{Clock::time_point::max()};
  std::atomic<bool> stopping_{false};
  std::thread writer_;
};

}  // namespace vecserve::tailprobe
