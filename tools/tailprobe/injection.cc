// The disturbances. Sizes are chosen so that each alone makes a run of 40 µs several times slower
// on any machine: 2 ms of another thread, 1 ms of sleep, 512 first touches, 4 MiB allocated.
// Beside self_test; see the header for threads.
// Always holds: preemption is forced, not hoped for: both threads may run on one processor only,
// and the run waits until the other has begun.
#include "tools/tailprobe/injection.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>

namespace vecserve::tailprobe {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kPages = 512;
constexpr std::size_t kAllocationBytes = std::size_t{4} << 20;
constexpr std::chrono::microseconds kBurst{2'000};
constexpr long kSleepNs = 1'000'000;
constexpr std::size_t kFloats = 65'536;
constexpr std::size_t kDiskBurstBytes = std::size_t{64} << 20;
constexpr std::chrono::milliseconds kDiskPause{40};
constexpr std::size_t kDirectAlignment = 4096;  // of memory that a disk reads by itself

using Clock = std::chrono::steady_clock;

void keep(const void* pointer) {
  __asm__ volatile("" : : "g"(pointer) : "memory");
}

void spin_until(Clock::time_point end) {
  while (Clock::now() < end) {
  }
}

void pin_to(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(processor), &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

}  // namespace

Disturbance::Disturbance(Cause cause) : cause_(cause), floats_(kFloats, 1.0f) {
  if (cause == Cause::page_faults) {
    pages_ = mmap(nullptr, kPages * kPageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    if (pages_ == MAP_FAILED) pages_ = nullptr;
  }
  if (cause == Cause::allocation) {
    // Otherwise glibc would keep the memory of the first large block for the next ones.
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
  }
  if (cause == Cause::preempted) {
    cpu_set_t old;
    CPU_ZERO(&old);
    pthread_getaffinity_np(pthread_self(), sizeof(old), &old);
    old_affinity_.resize(sizeof(old) / sizeof(unsigned long));
    std::memcpy(old_affinity_.data(), &old, sizeof(old));
    processor_ = sched_getcpu();
    pin_to(processor_);
    antagonist_ = std::thread([this] { antagonise(); });
  }
}

Disturbance::~Disturbance() {
  if (antagonist_.joinable()) {
    stopping_.store(true);
    bursts_asked_.fetch_add(1);
    bursts_asked_.notify_one();
    antagonist_.join();
    cpu_set_t old;
    std::memcpy(&old, old_affinity_.data(), sizeof(old));
    pthread_setaffinity_np(pthread_self(), sizeof(old), &old);
  }
  if (pages_ != nullptr) munmap(pages_, kPages * kPageBytes);
}

Operation Disturbance::operation() {
  return {"disturbed", "40 µs of computing, some runs disturbed", Waits::nothing, "", [this] {
            const float sum =
                std::inner_product(floats_.begin(), floats_.end(), floats_.begin(), 0.0f);
            keep(&sum);
            if (armed_) disturb();
          }};
}

void Disturbance::disturb() {
  armed_ = false;
  switch (cause_) {
    case Cause::preempted:
      return preempt();
    case Cause::page_faults:
      return touch_pages();
    case Cause::slept: {
      const timespec time{0, kSleepNs};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
      return;
    }
    default: {
      char* const memory = static_cast<char*>(::operator new(kAllocationBytes));
      for (std::size_t at = 0; at < kAllocationBytes; at += kPageBytes) memory[at] = 1;
      keep(memory);
      ::operator delete(memory);
    }
  }
}

void Disturbance::preempt() {
  const std::uint32_t wanted = bursts_asked_.fetch_add(1) + 1;
  bursts_asked_.notify_one();
  const Clock::time_point give_up = Clock::now() + std::chrono::milliseconds(500);
  while (bursts_begun_.load(std::memory_order_acquire) < wanted && Clock::now() < give_up) {
  }
}

void Disturbance::touch_pages() {
  if (pages_ == nullptr) return;
  auto* const pages = static_cast<volatile char*>(pages_);
  for (std::size_t page = 0; page < kPages; ++page) pages[page * kPageBytes] = 1;
  madvise(pages_, kPages * kPageBytes, MADV_DONTNEED);
}

void Disturbance::antagonise() {
  pin_to(processor_);
  // Real-time priority makes it come at once; without the right to it, at the end of a time slice.
  sched_param priority{};
  priority.sched_priority = 1;
  pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
  for (std::uint32_t seen = 0;;) {
    bursts_asked_.wait(seen);
    seen = bursts_asked_.load();
    if (stopping_.load()) return;
    bursts_begun_.store(seen, std::memory_order_release);
    spin_until(Clock::now() + kBurst);
  }
}

BusyDisk::BusyDisk(const std::string& folder)
    : path_(folder + "/tailprobe.burst"), writer_([this] { write_bursts(); }) {}

BusyDisk::~BusyDisk() {
  stopping_.store(true);
  writer_.join();
  unlink(path_.c_str());
}

BusyDisk::Clock::duration BusyDisk::busy_within(Clock::time_point from,
                                                Clock::time_point to) const {
  const Clock::time_point ended = ended_.load(std::memory_order_acquire);
  const Clock::time_point begun = begun_.load(std::memory_order_acquire);
  return std::max(std::min(to, ended) - std::max(from, begun), Clock::duration::zero());
}

void BusyDisk::write_bursts() {
  // Past the page cache, where the file system can: a sync of cached pages collects them first, for
  // milliseconds in which the disk has nothing of the burst.
  constexpr int kFlags = O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC;
  int file = open(path_.c_str(), kFlags | O_DIRECT, 0600);
  const bool direct = file >= 0;
  if (!direct) file = open(path_.c_str(), kFlags, 0600);
  const std::unique_ptr<void, decltype(&std::free)> data(
      std::aligned_alloc(kDirectAlignment, kDiskBurstBytes), &std::free);
  if (file >= 0 && data != nullptr) {
    std::memset(data.get(), 'b', kDiskBurstBytes);
    while (!stopping_.load()) burst(file, direct, data.get());
  }
  if (file >= 0) close(file);
}

void BusyDisk::burst(int file, bool direct, const void* data) {
  if (!direct) (void)!pwrite(file, data, kDiskBurstBytes, 0);
  begun_.store(Clock::now(), std::memory_order_release);
  ended_.store(Clock::time_point::max(), std::memory_order_release);
  if (direct) (void)!pwrite(file, data, kDiskBurstBytes, 0);
  fdatasync(file);
  ended_.store(Clock::now(), std::memory_order_release);
  std::this_thread::sleep_for(kDiskPause);
}

}  // namespace vecserve::tailprobe
