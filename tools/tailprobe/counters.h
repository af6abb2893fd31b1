// What the system knows about the probing thread: the cheap reading taken around every sample
// (time-stamp counter and processor number) and the dear one taken after slow samples only
// (switches, faults, run delay, processor time, allocations, disk). Below probe.h. A reader belongs
// to the thread that made it.
// Always holds: the cheap reading makes no system call where the processor has a time-stamp counter
// that the kernel trusts, and what a system does not tell reads as zero.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace vecserve::tailprobe {

struct Stamp {
  std::uint64_t ticks = 0;
  std::uint32_t processor = 0;
};

// About 20 ns.
[[nodiscard]] Stamp stamp_now();

// Measures ticks against the steady clock, from its construction until asked.
class TickScale {
 public:
  TickScale();
  [[nodiscard]] double us_per_tick() const;
  [[nodiscard]] std::uint64_t start_ticks() const { return start_ticks_; }
  [[nodiscard]] std::chrono::steady_clock::time_point start() const { return start_; }

 private:
  std::chrono::steady_clock::time_point start_;
  std::uint64_t start_ticks_;
};

// Counted by the program's operator new; zero in programs that do not count.
inline thread_local std::uint64_t allocation_count = 0;
inline thread_local std::uint64_t allocation_bytes = 0;

// Sums since the thread began; only differences mean anything.
struct Counters {
  std::uint64_t ticks = 0;
  double cpu_us = 0.0;
  double run_delay_us = 0.0;
  std::uint64_t voluntary = 0;
  std::uint64_t involuntary = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t allocations = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t disk_bytes = 0;      // written to the disk, by whomever, and completed
  std::uint64_t disk_in_flight = 0;  // requests that the disk is working on now; not a sum
};

class CounterReader {
 public:
  // For the calling thread. `disk_path` is a file or folder on the disk to watch, "" for none.
  explicit CounterReader(const std::string& disk_path = "");
  ~CounterReader();
  CounterReader(const CounterReader&) = delete;
  CounterReader& operator=(const CounterReader&) = delete;

  // Some microseconds: three to four system calls.
  [[nodiscard]] Counters read() const;
  [[nodiscard]] bool knows_run_delay() const { return schedstat_ >= 0; }
  [[nodiscard]] bool knows_disk() const { return disk_ >= 0; }

 private:
  int schedstat_ = -1;
  int disk_ = -1;
};

// Ticks of a fixed loop of dependent additions, some two microseconds: a slow processor clock shows
// as a longer loop.
[[nodiscard]] std::uint64_t clock_check_ticks();

}  // namespace vecserve::tailprobe
