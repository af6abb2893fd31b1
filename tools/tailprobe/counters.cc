// Reads the processor's counter, /proc and /sys. After nothing of ours, before probe. Each reader
// on its own thread. Formats: Documentation/scheduler/sched-stats (the second number of schedstat
// is the run delay in ns) and Documentation/block/stat (the seventh is sectors written, of 512
// bytes, the ninth requests in flight).
// Always holds: a file that is missing or reads badly counts as zero for ever.
#include "tools/tailprobe/counters.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace vecserve::tailprobe {
namespace {

constexpr std::size_t kSectorBytes = 512;
constexpr int kClockCheckSteps = 4'000;

// The first numbers of the text that the file holds now.
using Numbers = std::array<std::uint64_t, 10>;
Numbers numbers_in(int file) {
  Numbers numbers{};
  std::array<char, 256> buffer{};
  const ssize_t count = file < 0 ? 0 : pread(file, buffer.data(), buffer.size(), 0);
  if (count <= 0) return numbers;
  std::string_view text(buffer.data(), static_cast<std::size_t>(count));
  for (std::uint64_t& number : numbers) {
    const std::size_t from = text.find_first_of("0123456789");
    if (from == std::string_view::npos) break;
    text.remove_prefix(from);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) break;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return numbers;
}

int open_block_stat(const std::string& path) {
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return -1;
  const std::string file = "/sys/dev/block/" + std::to_string(major(info.st_dev)) + ":" +
                           std::to_string(minor(info.st_dev)) + "/stat";
  return open(file.c_str(), O_RDONLY | O_CLOEXEC);
}

double us_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) * 1e-3;
}

}  // namespace

Stamp stamp_now() {
  Stamp stamp;
#if defined(__x86_64__)
  unsigned processor = 0;
  stamp.ticks = __rdtscp(&processor);
  stamp.processor = processor & 0xFFF;  // Linux keeps the node above these bits
#else
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  stamp.ticks = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u +
                static_cast<std::uint64_t>(now.tv_nsec);
  stamp.processor = static_cast<std::uint32_t>(sched_getcpu());
#endif
  return stamp;
}

TickScale::TickScale()
    : start_(std::chrono::steady_clock::now()), start_ticks_(stamp_now().ticks) {}

double TickScale::us_per_tick() const {
  const std::uint64_t ticks = stamp_now().ticks - start_ticks_;
  const std::chrono::duration<double, std::micro> time = std::chrono::steady_clock::now() - start_;
  return ticks == 0 ? 1e-3 : time.count() / static_cast<double>(ticks);
}

CounterReader::CounterReader(const std::string& disk_path)
    : schedstat_(open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)),
      disk_(open_block_stat(disk_path)) {}

CounterReader::~CounterReader() {
  if (schedstat_ >= 0) close(schedstat_);
  if (disk_ >= 0) close(disk_);
}

Counters CounterReader::read() const {
  Counters counters;
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  counters.voluntary = static_cast<std::uint64_t>(usage.ru_nvcsw);
  counters.involuntary = static_cast<std::uint64_t>(usage.ru_nivcsw);
  counters.minor_faults = static_cast<std::uint64_t>(usage.ru_minflt);
  counters.major_faults = static_cast<std::uint64_t>(usage.ru_majflt);
  counters.run_delay_us = static_cast<double>(numbers_in(schedstat_)[1]) * 1e-3;
  if (disk_ >= 0) {
    const Numbers disk = numbers_in(disk_);
    counters.disk_bytes = disk[6] * kSectorBytes;
    counters.disk_in_flight = disk[8];
  }
  counters.allocations = allocation_count;
  counters.allocated_bytes = allocation_bytes;
  // Both times last and together: their difference is what counts as off the processor.
  timespec cpu{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &cpu);
  counters.cpu_us = us_of(cpu);
  counters.ticks = stamp_now().ticks;
  return counters;
}

std::uint64_t clock_check_ticks() {
  const std::uint64_t begin = stamp_now().ticks;
  std::uint64_t value = begin;
  for (int i = 0; i < kClockCheckSteps; ++i) {
    value += value >> 7 | 1;             // each step needs the one before
    __asm__ volatile("" : "+r"(value));  // and none is folded away
  }
  return stamp_now().ticks - begin;
}

}  // namespace vecserve::tailprobe
