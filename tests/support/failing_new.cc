// The operator new that counts, and fails on demand. Linked only into tests that use failing_new.h.
// Any thread: count and failure are each thread's own.
// Always holds: memory comes from malloc, so that sanitizers see every block; nothing is counted
// twice, since no form calls another.
#include "tests/support/failing_new.h"

#include <cstdlib>
#include <new>

namespace {

thread_local long allocations_left = -1;
thread_local std::uint64_t allocations = 0;

// Null when it is to fail, or memory is out.
void* take(std::size_t bytes) {
  ++allocations;
  if (allocations_left >= 0 && allocations_left-- == 0) return nullptr;
  return std::malloc(bytes == 0 ? 1 : bytes);
}

void* take_aligned(std::size_t bytes, std::align_val_t alignment) {
  ++allocations;
  if (allocations_left >= 0 && allocations_left-- == 0) return nullptr;
  const auto unit = static_cast<std::size_t>(alignment);
  return std::aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

namespace vecserve::test {

void fail_allocation(long count) {
  allocations_left = count;
}

bool allocation_failure_pending() {
  return allocations_left >= 0;
}

std::uint64_t allocation_count() {
  return allocations;
}

}  // namespace vecserve::test

// Not inlined, or the compiler takes malloc and delete for a mismatched pair. The forms that do not
// throw have bodies of their own, or a sanitizer would pair those of its runtime with the deletes.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return or_throw(take(bytes));
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return take(bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return or_throw(take_aligned(bytes, alignment));
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
