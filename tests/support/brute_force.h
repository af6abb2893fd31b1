// The slow and obvious search: every distance in double precision, a full sort, the first k. The
// oracle of the harnesses and the system tests, sharing no line with the engine. Pure, any thread.
// Always holds: order is distance, then id, as the public API promises it.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "vecserve/types.h"

namespace vecserve::test {

struct OracleRow {
  RowId id;
  std::vector<float> vector;
};

// For bits, coordinates are 0 and 1.
[[nodiscard]] double oracle_distance(Metric metric, std::span<const float> a,
                                     std::span<const float> b);

// The k nearest, or every row when k is larger.
[[nodiscard]] std::vector<Neighbor> oracle_nearest(Metric metric, std::span<const OracleRow> rows,
                                                   std::span<const float> query, std::size_t k);

// Every row within the radius, nearest first.
[[nodiscard]] std::vector<Neighbor> oracle_within(Metric metric, std::span<const OracleRow> rows,
                                                  std::span<const float> query, double radius);

}  // namespace vecserve::test
