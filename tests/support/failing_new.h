// Makes the n-th allocation of a thread fail, to prove that no failure leaves half a change behind.
// For tests only: a program that names fail_allocation gets the operator new of failing_new.cc.
// Any thread, each for itself. Always holds: off until asked for, and off again after it failed
// once.
#pragma once

namespace vecserve::test {

// Lets `count` more allocations of this thread succeed and the next one throw std::bad_alloc.
// Negative: none fails.
void fail_allocation(long count);

// True when the failure that was asked for has not come yet.
[[nodiscard]] bool allocation_failure_pending();

}  // namespace vecserve::test
