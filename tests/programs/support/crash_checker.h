// The child that looks at what a kill left behind: opens the database, verifies it, and dumps every
// row to the parent, which alone knows what should be there. Comes after the kill, before
// crash_journal judges. Always holds: it says `done` only if every call succeeded and every row was
// dumped.
#pragma once

#include <cstdint>
#include <string>

#include "vecserve/options.h"

namespace vecserve::test {

struct CheckerSettings {
  std::string path;
  std::uint64_t seed = 1;
  Durability durability = Durability::sync;
  bool power_loss = false;
  bool graph = false;      // look at the graph too
  bool read_only = false;  // for checkpoints: nothing may change them
};

// The exit code of the child; 0 when everything was dumped, whether it is right or not.
[[nodiscard]] int run_crash_checker(const CheckerSettings& settings);

}  // namespace vecserve::test
