// The operator new that can fail on demand. Linked only into tests that use failing_new.h.
// Used by the allocation tests, through failing_new.h; any thread.
// Always holds: memory comes from malloc, so that sanitizers see every block.
#include "tests/support/failing_new.h"

#include <cstdlib>
#include <new>

namespace {

thread_local long allocations_left = -1;

}  // namespace

namespace vecserve::test {

void fail_allocation(long count) {
  allocations_left = count;
}

bool allocation_failure_pending() {
  return allocations_left >= 0;
}

}  // namespace vecserve::test

// Not inlined, or the compiler takes malloc and delete for a mismatched pair.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (allocations_left >= 0 && allocations_left-- == 0) throw std::bad_alloc();
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
// Its own body, or a sanitizer would pair that of its runtime with the delete below.
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  if (allocations_left >= 0 && allocations_left-- == 0) return nullptr;
  return std::malloc(bytes == 0 ? 1 : bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
