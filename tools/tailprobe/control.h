// A thread that does nothing but sleep for a millisecond at a time and note how late it wakes: the
// noise floor of the machine, measured while the probe runs. Beside probe.h; owns its thread.
// Always holds: what it keeps is bounded (kTicksMax wake-ups, an hour) and allocated before the
// first; how late it was can be asked after stop().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace vecserve::tailprobe {

class ControlThread {
 public:
  ControlThread();
  ~ControlThread() { stop(); }
  ControlThread(const ControlThread&) = delete;
  ControlThread& operator=(const ControlThread&) = delete;

  void stop();

  // After stop(). Lateness of every wake-up, in microseconds.
  [[nodiscard]] std::vector<double> lateness_us() const;
  // After stop(). The longest time for which it was late between the two moments.
  [[nodiscard]] double late_within_us(std::chrono::steady_clock::time_point from,
                                      std::chrono::steady_clock::time_point to) const;

 private:
  struct Wake {
    std::chrono::steady_clock::time_point due;
    std::chrono::steady_clock::time_point woken;
  };
  void run();

  std::vector<Wake> wakes_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace vecserve::tailprobe
