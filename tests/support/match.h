// Strict comparison of what a scanner proposed, and of what was decided, with the oracle. Comes
// last in tests of the scan. Single-threaded. Always holds: the text is empty if and only if all is
// well, and otherwise names the first thing that is wrong.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/scan/rescore.h"
#include "engine/scan/scanner.h"
#include "tests/support/oracle.h"

namespace vecserve::test {

// Checks the contract of scanner.h for one query. `rows`: what oracle_rows gave for it.
[[nodiscard]] std::string contract_violation(const engine::ScanQuery& query,
                                             const engine::QueryCandidates& candidates,
                                             std::span<const OracleRow> rows);

// Checks that `best` is exactly the first k of `rows`: ids, order and distances, bit for bit.
[[nodiscard]] std::string answer_difference(std::span<const engine::ScanBlock> blocks,
                                            std::span<const engine::Scored> best,
                                            std::span<const OracleRow> rows, std::size_t k);

}  // namespace vecserve::test
