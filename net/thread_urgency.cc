// A turn's length, as Linux knows it per thread. Called by threads at their start.
// Always holds: niceness and policy stay what they were; what the kernel refuses changes nothing.
// Format: sched_setattr(2). That sched_runtime is how long a turn of an ordinary thread is, and
// that shorter turns come sooner, is so since Linux 6.12; earlier ones ignore it.
#include "net/thread_urgency.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace vecserve::net {

namespace {

constexpr std::uint64_t kTurnNs = 200'000;  // the kernel takes 100 us to 100 ms

// As the kernel has it; the C library does not declare it.
struct SchedulingAttributes {
  std::uint32_t size = 48;
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

}  // namespace

void be_prompt() noexcept {
  // Who runs under another policy was given it by somebody who knows better.
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  SchedulingAttributes attributes;
  errno = 0;
  attributes.nice = ::getpriority(PRIO_PROCESS, 0);  // -1 may be a niceness: errno tells
  if (attributes.nice == -1 && errno != 0) return;
  attributes.runtime_ns = kTurnNs;
  static_cast<void>(::syscall(SYS_sched_setattr, 0, &attributes, 0U));
}

}  // namespace vecserve::net
