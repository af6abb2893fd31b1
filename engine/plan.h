// Chooses how a batch of queries is scanned: how many candidates to ask for and how many threads to
// use. A pure function of numbers; comes after the snapshot and its masks, before the scanner.
// Any thread. Always holds: the choice changes the cost of a search, never its answer.
#pragma once

#include <cstdint>

#include "engine/rows/row_shape.h"
#include "vecserve/options.h"

namespace vecserve::engine {

struct PlanInput {
  std::uint64_t eligible_rows = 0;  // over all blocks, of the widest mask
  std::uint64_t row_bytes = 0;
  std::uint32_t queries = 0;
  std::uint32_t threads_max = 1;
};

struct SearchPlan {
  std::uint32_t threads = 1;
};

[[nodiscard]] SearchPlan plan_search(const PlanInput& input);

// The same for deciding among candidates, of which so many are read, each anywhere in memory.
[[nodiscard]] SearchPlan plan_rescore(std::uint64_t rows, std::uint64_t row_bytes,
                                      std::uint32_t threads_max);

// Whether an approximate search walks through the graph, from what both ways are known to cost.
struct GraphPlanInput {
  std::uint64_t rows = 0;           // in the graph and past the watermark, dead ones included
  std::uint64_t tail_rows = 0;      // of these, past the watermark: scanned either way
  std::uint64_t eligible_rows = 0;  // that pass live bits, expiry and filter
  std::uint64_t row_bytes = 0;
  std::uint32_t ef = 0;
};

struct GraphPlan {
  bool walk = false;
  bool filtered = false;        // rows that do not match are in the way of the others
  std::uint32_t steps_max = 0;  // a walk that took more would have been slower than the scan
};

[[nodiscard]] GraphPlan plan_graph(const GraphPlanInput& input);

// Whether the blocks of a collection get a coarse plane.
[[nodiscard]] bool wants_coarse_plane(const RowShape& shape, Planes planes);

// Candidates to ask a scanner for so that k survive the reference: k and some slack. What the slack
// does not catch is found by the certificate and costs a second scan of that query.
[[nodiscard]] std::uint32_t candidates_wanted(std::uint32_t k);

}  // namespace vecserve::engine
