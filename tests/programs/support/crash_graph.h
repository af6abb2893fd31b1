// What crash_loop --graph asks of a database after a kill: that its graph is there again, whole and
// over exactly the rows that were dumped, and that walks through it find what brute force finds.
// Comes between crash_checker, which has dumped the rows, and the public API; one thread. Always
// holds: every difference is one event; a graph that never comes is a hang, which the parent sees.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "tests/support/brute_force.h"
#include "tests/support/dice.h"
#include "vecserve/database.h"

namespace vecserve::test {

// Fewer rows, and a scan may be chosen before a walk.
inline constexpr std::uint64_t kGraphRows = 4'000;

// False when a call failed. Does nothing while there are fewer than kGraphRows rows.
[[nodiscard]] bool check_graph_after_kill(Database& database, const Collection& collection,
                                          const std::vector<OracleRow>& rows, Dice& dice);

// Approximate searches for rows of the worker, one after another, until `stop` says so: what has
// the graph made, and walks over it while it is changed, repaired, saved and restored.
void search_until(const Collection& collection, std::uint64_t seed, std::uint32_t owners,
                  std::uint64_t ids_per_owner, const std::function<bool()>& stop);

}  // namespace vecserve::test
