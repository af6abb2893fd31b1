// A database of random rows, made once and used by several benches, and questions that check its
// answers; and the wait for the planes of any collection that was just loaded. Comes between
// bench_report and the benches that need many rows. Main thread. Always holds: the rows follow from
// the seed, so a reader in another process knows them too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vecserve/database.h"

namespace vecserve::bench {

struct DatabaseShape {
  std::uint64_t rows = 1'000'000;
  std::uint32_t dim = 128;
  std::uint64_t seed = 1;
};

// The vector of one row.
[[nodiscard]] std::vector<float> row_vector(const DatabaseShape& shape, std::uint64_t row);

// Writes the rows into a new collection "rows" in batches; says on standard error how far it is.
[[nodiscard]] Collection load_rows(Database& database, const DatabaseShape& shape);

// Returns once the background thread has looked after the planes of all rows, a second or two after
// they are there. Throws when it never does.
void wait_for_planes(const Collection& rows);

// Asks for some of the rows by their own vectors and throws when an answer is wrong.
void check_rows(const Collection& rows, const DatabaseShape& shape);

}  // namespace vecserve::bench
