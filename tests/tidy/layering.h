// The rule of who may include whom, and where each third-party name may appear: the table of the
// design, as a program. Comes after source; used by tidy_test on the tree and by layering_test on
// samples. Test thread only. Invariant: an include that no line of the tables allows is a finding.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy/source.h"

namespace vecserve::tidy {

// The layer that a path belongs to, such as "engine/scan", "engine" (plan, collection, database),
// "net", "tools/bench" or "tests"; empty for none.
[[nodiscard]] std::string layer_of(std::string_view path);

// Judges every #include of the file.
void check_includes(const Source& source, std::vector<Finding>& findings);

}  // namespace vecserve::tidy
