// Finds where functions begin and end, by braces. Comes after source, before the rule about their
// size. Test thread only. A heuristic, not a parser: it is right for code that clang-format has
// laid out, and what it may get wrong is where a function begins, never by more than its own
// declaration.
#pragma once

#include <vector>

#include "tests/tidy/source.h"

namespace vecserve::tidy {

// Lines count from 1: from the first line of the declaration to the closing brace.
struct Function {
  std::size_t first_line = 0;
  std::size_t last_line = 0;
};

[[nodiscard]] std::vector<Function> functions_of(const Source& source);

}  // namespace vecserve::tidy
