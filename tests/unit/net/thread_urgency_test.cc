// Short turns: asked for, and nothing else changed. Threads of the test's own, because what they
// ask for cannot be told from outside. Skipped where the kernel does not know of turns' lengths, or
// where a sandbox forbids to ask.
#include "net/thread_urgency.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <thread>

#include "tests/support/skip.h"

namespace {

// sched_setattr(2): size, policy, flags, nice, priority, runtime, deadline, period.
struct Attributes {
  std::uint32_t size = 48, policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0, deadline_ns = 0, period_ns = 0;
};

bool read_own(Attributes& attributes) {
  return ::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0U) == 0;
}

// Whether a turn of 300 us can be asked for, and shows.
bool turns_are_known() {
  Attributes asked, seen;
  asked.nice = ::getpriority(PRIO_PROCESS, 0);
  asked.runtime_ns = 300'000;
  return ::syscall(SYS_sched_setattr, 0, &asked, 0U) == 0 && read_own(seen) &&
         seen.runtime_ns == 300'000;
}

}  // namespace

TEST_CASE("thread urgency: an io thread's turns are short, its niceness stays") {
  bool known = false, read = false;
  int nice_before = 0, nice_after = 0;
  Attributes after;
  std::thread thread([&] {
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + 1));
    nice_before = ::getpriority(PRIO_PROCESS, 0);
    known = turns_are_known();
    vecserve::net::be_prompt();
    nice_after = ::getpriority(PRIO_PROCESS, 0);
    read = read_own(after);
  });
  thread.join();
  CHECK(nice_after == nice_before);
  if (!known) return vecserve::test::skip_case("the kernel does not know of turns' lengths");
  REQUIRE(read);
  CHECK(after.runtime_ns == 200'000);
  CHECK(after.nice == nice_before);
  CHECK(after.policy == SCHED_OTHER);
}

TEST_CASE("thread urgency: a thread under another policy is left alone") {
  int policy = -1;
  bool changed = false;
  std::thread thread([&] {
    sched_param none{};
    changed = ::sched_setscheduler(0, SCHED_BATCH, &none) == 0;
    vecserve::net::be_prompt();
    policy = ::sched_getscheduler(0);
  });
  thread.join();
  if (!changed) return vecserve::test::skip_case("the policy cannot be changed here");
  CHECK(policy == SCHED_BATCH);
}
