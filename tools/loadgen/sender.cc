// The sending loops. Comes between plan and target; the caller's thread. Always holds:
// between two requests nothing is allocated, locked or written but the record of the one in
// hand.
#include "tools/loadgen/sender.h"

#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace vecserve::loadgen {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

// How often waiting for the last replies looks: they carry their own times, so this costs nothing
// but the end of the run.
constexpr std::uint64_t kDrainLookNs = 200'000;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  std::atomic_signal_fence(std::memory_order_seq_cst);
#endif
}

void sleep_until_ns(std::uint64_t when_ns) {
  timespec when = {};
  when.tv_sec = static_cast<time_t>(when_ns / kNsPerSecond);
  when.tv_nsec = static_cast<long>(when_ns % kNsPerSecond);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, nullptr);
}

std::uint64_t thread_cpu_ns() {
  timespec used = {};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return static_cast<std::uint64_t>(used.tv_sec) * kNsPerSecond +
         static_cast<std::uint64_t>(used.tv_nsec);
}

std::uint64_t system_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

// Both clocks at the start, to compare with at the end.
struct Clocks {
  std::uint64_t steady = steady_ns();
  std::uint64_t system = system_ns();
  std::uint64_t cpu = thread_cpu_ns();

  void finish(SendResult& result) const {
    const auto steady_span = static_cast<double>(steady_ns() - steady);
    const auto system_span = static_cast<double>(static_cast<std::int64_t>(system_ns() - system));
    result.clocks_differ = std::abs(system_span - steady_span) / std::max(1.0, steady_span);
    result.cpu_ns = thread_cpu_ns() - cpu;
  }
};

bool stopped(const SenderOptions& options) {
  return options.stop != nullptr && options.stop->load(std::memory_order_relaxed);
}

void drain(Records& records, std::uint64_t drain_ns, SendResult& result) {
  const std::uint64_t end = steady_ns() + drain_ns;
  while (records.completed() < result.sent && steady_ns() < end) {
    sleep_until_ns(steady_ns() + kDrainLookNs);
  }
  result.drained = records.completed() >= result.sent;
  result.end_ns = steady_ns() - records.start_ns();
}

}  // namespace

void prepare_thread(int cpu) {
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // the default lets the kernel wake us 50 us late
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

std::uint64_t wait_until(std::uint64_t when_ns, std::uint64_t spin_ns) {
  std::uint64_t now = steady_ns();
  if (now + spin_ns < when_ns) {
    sleep_until_ns(when_ns - spin_ns);
    now = steady_ns();
  }
  while (now < when_ns) {
    pause_briefly();
    now = steady_ns();
  }
  return now;
}

SendResult send_plan(Records& records, Target& target, const SenderOptions& options) {
  prepare_thread(options.cpu);
  SendResult result;
  const Clocks clocks;
  // A little ahead, so that the first request is not late because of what came before.
  const std::uint64_t start = steady_ns() + options.spin_ns + 1'000'000;
  records.start(start);
  std::uint64_t freed = 0;
  for (Record& record : records.all()) {
    if (stopped(options)) {
      result.stopped = true;
      break;
    }
    const std::uint64_t now = wait_until(start + record.intended_ns, options.spin_ns);
    record.freed_ns = freed;
    record.sent_ns = now - start;
    target.send(result.sent, record.kind, records);
    ++result.sent;
    freed = steady_ns() - start;
  }
  drain(records, options.drain_ns, result);
  clocks.finish(result);
  return result;
}

SendResult send_closed_loop(Records& records, Target& target, std::uint32_t users,
                            std::uint64_t duration_ns, const SenderOptions& options) {
  prepare_thread(options.cpu);
  SendResult result;
  const Clocks clocks;
  const std::uint64_t start = steady_ns();
  records.start(start);
  std::uint64_t now = 0;
  while (result.sent < records.all().size() && now < duration_ns && !stopped(options)) {
    if (result.sent - records.completed() >= users) {
      pause_briefly();
      now = steady_ns() - start;
      continue;
    }
    Record& record = records.all()[result.sent];
    now = steady_ns() - start;
    record.intended_ns = record.sent_ns = record.freed_ns = now;
    target.send(result.sent, record.kind, records);
    ++result.sent;
  }
  drain(records, options.drain_ns, result);
  clocks.finish(result);
  return result;
}

}  // namespace vecserve::loadgen
