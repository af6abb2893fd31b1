// From the flags to a target. Comes between commands and the kinds of
// targets; main thread. Always holds: what it returns is ready for its first
// request.
#pragma once

#include <memory>

#include "tools/loadgen/commands.h"
#include "tools/loadgen/sender.h"

namespace vecserve::loadgen {

// Throws std::runtime_error with the reason when there is none.
[[nodiscard]] std::unique_ptr<Target> make_target(const Settings& settings);

}  // namespace vecserve::loadgen
