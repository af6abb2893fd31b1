// How a test case says that this machine cannot run it (no such instruction set, no device). Used
// by any Catch2 test; implemented beside main() in tests/main.cc. Test thread only. Invariant: a
// process whose every case was skipped exits with 77, which ctest shows as "skipped", never as
// "passed".
#pragma once

#include <string>

namespace vecserve::test {

// Prints the reason and counts the running case as skipped. The case should return right after.
void skip_case(const std::string& reason);

}  // namespace vecserve::test
