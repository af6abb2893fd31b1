// The rules that look at one file: its opening comment, its sizes, and what it may not call or
// leave unfinished. Comes after source; used by tidy_test on the tree and by code_rules_test on
// samples. Test thread only. Invariant: a rule reports a line at most once.
#pragma once

#include <vector>

#include "tests/tidy/source.h"

namespace vecserve::tidy {

inline constexpr std::size_t kLineCharsMax = 100;
inline constexpr std::size_t kFileLinesMax = 500;
inline constexpr std::size_t kFunctionLinesMax = 70;
inline constexpr std::size_t kOpeningLinesMin = 3;

// The file opens with a comment of at least three lines, and a header has #pragma once.
void check_opening(const Source& source, std::vector<Finding>& findings);

// Lines, the file and its functions stay within the sizes above.
void check_sizes(const Source& source, std::vector<Finding>& findings);

// Nothing in the product prints, exits, throws or sleeps, and no test sleeps.
void check_banned(const Source& source, std::vector<Finding>& findings);

// No words that say that something is still to be done. Works on any text.
void check_finished(const Source& source, std::vector<Finding>& findings);

}  // namespace vecserve::tidy
