// Counts every allocation of the program, whichever thread makes it, to prove that a warm search
// makes none. For tests only: a program that names allocation_count gets the operator new of
// counting_new.cc. Any thread. Always holds: the count only rises; memory comes from malloc, so
// that sanitizers see every block.
#pragma once

#include <cstdint>

namespace vecserve::test {

// Calls of any form of operator new since the program began.
[[nodiscard]] std::uint64_t allocation_count();

}  // namespace vecserve::test
