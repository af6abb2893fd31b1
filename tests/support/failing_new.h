// Makes the n-th allocation of a thread fail, to prove that no failure leaves half a change behind,
// and counts them, to prove that a warm search makes none. For tests only: a program that names
// one of these functions gets the operator new of failing_new.cc. Any thread; failures and counts
// are each thread's own. Always holds: none fails until asked for, nor after one did.
#pragma once

#include <cstdint>

namespace vecserve::test {

// Lets `count` more allocations of this thread succeed and the next one throw std::bad_alloc.
// Negative: none fails.
void fail_allocation(long count);

// True when the failure that was asked for has not come yet.
[[nodiscard]] bool allocation_failure_pending();

// Calls of any form of operator new since the program began, by this thread: what a background
// thread does meanwhile is not the search's.
[[nodiscard]] std::uint64_t allocation_count();

}  // namespace vecserve::test
