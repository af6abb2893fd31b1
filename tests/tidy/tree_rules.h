// The rules that look at the tree as a whole: every source has its test, every test is built, and
// no text knows the machine it was written on. Comes after source; used by tidy_test on the tree
// and by tree_rules_test on samples. Test thread only; looks at names and lines, never at the file
// system.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/source.h"

namespace vecserve::tidy {

// Each .cc of engine/ and net/ has a <name>_test.cc somewhere under tests/.
void check_tested(const std::vector<Source>& sources, std::vector<Finding>& findings);

// Each .cc under tests/ stands where tests/CMakeLists.txt builds it.
void check_built(const std::vector<Source>& sources, std::vector<Finding>& findings);

// No text holds the folder of this checkout or a home folder.
void check_paths(const Source& source, std::string_view checkout, std::vector<Finding>& findings);

// Nothing but what the design names stands at the top.
void check_top(const std::vector<std::string>& names, std::vector<Finding>& findings);

}  // namespace vecserve::tidy
