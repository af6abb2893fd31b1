// See fiber.h. On x86-64 a switch is a dozen instructions, since an emulated warp switches for
// every shuffle; elsewhere ucontext does it. Called by the emulator only. Always holds: the
// sanitizers are told of every switch, so that they judge each stack by itself.
#include "tests/support/simt/fiber.h"

#include <cstdint>
#include <cstring>

#if defined(__has_feature)
#define VECSERVE_HAS_FEATURE(name) __has_feature(name)
#else
#define VECSERVE_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || VECSERVE_HAS_FEATURE(address_sanitizer)
#define VECSERVE_FIBER_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__) || VECSERVE_HAS_FEATURE(thread_sanitizer)
#define VECSERVE_FIBER_TSAN 1
#include <sanitizer/tsan_interface.h>
#endif
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__x86_64__)
// Keeps what a call must keep, changes the stack, and goes on where that stack was left.
asm(R"(
.text
.globl vecserve_fiber_switch
.type vecserve_fiber_switch, @function
vecserve_fiber_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size vecserve_fiber_switch, .-vecserve_fiber_switch
)");
extern "C" void vecserve_fiber_switch(void** save, void* next);
#endif

namespace vecserve::test::simt {

namespace {
// The fiber that begins: what a new stack starts with has no arguments.
thread_local Fiber* beginning = nullptr;

void begin() {
  beginning->run_entry();
}
}  // namespace

struct Fiber::Machine {
#if defined(__x86_64__)
  void* here = nullptr;   // the fiber's stack pointer while it waits
  void* there = nullptr;  // the owner's while the fiber runs
#else
  ucontext_t here;
  ucontext_t there;
#endif
#if defined(VECSERVE_FIBER_ASAN)
  void* fiber_fake = nullptr;
  void* owner_fake = nullptr;
  const void* owner_bottom = nullptr;
  std::size_t owner_size = 0;
#endif
#if defined(VECSERVE_FIBER_TSAN)
  void* fiber = nullptr;
  void* owner = nullptr;
#endif
};

Fiber::Fiber()
    : machine_(std::make_unique<Machine>()),
      stack_(std::make_unique_for_overwrite<std::byte[]>(kStackBytes)) {
#if defined(VECSERVE_FIBER_TSAN)
  machine_->fiber = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(VECSERVE_FIBER_TSAN)
  __tsan_destroy_fiber(machine_->fiber);
#endif
#if defined(VECSERVE_FIBER_ASAN)
  __asan_unpoison_memory_region(stack_.get(), kStackBytes);
#endif
}

void Fiber::start(Entry entry, void* argument) {
  entry_ = entry;
  argument_ = argument;
  finished_ = false;
#if defined(VECSERVE_FIBER_ASAN)
  __asan_unpoison_memory_region(stack_.get(), kStackBytes);
  machine_->fiber_fake = nullptr;
#endif
#if defined(__x86_64__)
  auto top = reinterpret_cast<std::uintptr_t>(stack_.get() + kStackBytes) / 16 * 16;
  auto* slots = reinterpret_cast<void**>(top);
  *--slots = nullptr;  // where begin() would return to; keeps the alignment of a call
  *--slots = reinterpret_cast<void*>(&begin);
  for (int kept = 0; kept < 6; ++kept) *--slots = nullptr;
  machine_->here = slots;
#else
  getcontext(&machine_->here);
  machine_->here.uc_stack.ss_sp = stack_.get();
  machine_->here.uc_stack.ss_size = kStackBytes;
  machine_->here.uc_link = nullptr;
  makecontext(&machine_->here, &begin, 0);
#endif
}

void Fiber::run_entry() {
#if defined(VECSERVE_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &machine_->owner_bottom, &machine_->owner_size);
#endif
  entry_(argument_);
  finished_ = true;
  switch_out(true);
}

void Fiber::resume() {
  beginning = this;
  switch_in();
}

void Fiber::yield() {
  switch_out(false);
}

void Fiber::switch_in() {
#if defined(VECSERVE_FIBER_TSAN)
  machine_->owner = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(machine_->fiber, 0);
#endif
#if defined(VECSERVE_FIBER_ASAN)
  __sanitizer_start_switch_fiber(&machine_->owner_fake, stack_.get(), kStackBytes);
#endif
#if defined(__x86_64__)
  vecserve_fiber_switch(&machine_->there, machine_->here);
#else
  swapcontext(&machine_->there, &machine_->here);
#endif
#if defined(VECSERVE_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(machine_->owner_fake, nullptr, nullptr);
#endif
}

void Fiber::switch_out(bool last) {
#if defined(VECSERVE_FIBER_TSAN)
  __tsan_switch_to_fiber(machine_->owner, 0);
#endif
#if defined(VECSERVE_FIBER_ASAN)
  __sanitizer_start_switch_fiber(last ? nullptr : &machine_->fiber_fake, machine_->owner_bottom,
                                 machine_->owner_size);
#else
  static_cast<void>(last);
#endif
#if defined(__x86_64__)
  vecserve_fiber_switch(&machine_->here, machine_->there);
#else
  swapcontext(&machine_->here, &machine_->there);
#endif
#if defined(VECSERVE_FIBER_ASAN)
  __sanitizer_finish_switch_fiber(machine_->fiber_fake, &machine_->owner_bottom,
                                  &machine_->owner_size);
#endif
}

}  // namespace vecserve::test::simt
