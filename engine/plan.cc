// See plan.h.
// Runs on the searching thread, once per batch; no state.
// Always holds: at least one thread; candidates_wanted(k) > k.
#include "engine/plan.h"

#include <algorithm>
#include <limits>

#include "engine/rows/coarse_plane.h"

namespace vecserve::engine {

namespace {

// A search that is split ends with its slowest worker, and on a machine that does other work one of
// them is sooner or later off the core for a few hundred microseconds: measured with a writer at
// full speed, two threads tripled the 99th percentile of a 100 us search and took 10% off its
// median. So a thread must be worth about that hiccup: 4 MiB of vectors, 300 us at the 12 to
// 20 GB/s of a core.
constexpr std::uint64_t kBytesPerThread = std::uint64_t{4} << 20;

// A row that lies anywhere takes as long as so many that are read in turn: 2.9 GB/s for the few of
// bench_exact --data fashion-mnist --k 10 --batch 250.
constexpr std::uint64_t kReadsPerJump = 4;

// From about four queries on a scan is bound by arithmetic, not by reading: it counts once per
// four.
constexpr std::uint64_t kQueriesPerPass = 4;

// A step of a walk meets some 16 nodes, whose codes are anywhere: measured 250 to 500 ns with a
// million rows. A scan of the coarse plane costs 20 ns for 784 bytes of codes, sketches and
// survivors together; where few rows of a block are eligible, each is a jump.
constexpr double kStepNs = 350.0;
constexpr double kScanNsPerByte = 0.007;  // of the full vector
constexpr double kScanNsPerRow = 4.0;
// With a filter a walk leaves nodes until `ef` of those that pass are the nearest: it goes on where
// it is wide, and asks of each node whether it passes. Measured 0.7 to 1.4 us a step
// (Fashion-MNIST, text, a million descriptors). The scan costs about as much for each row that
// passes as a jump to it, and where many pass no more than reading all in turn.
constexpr double kFilteredStepNs = 1'000.0;
constexpr double kPassingNsPerByte = 0.007;
constexpr double kPassingNsPerRow = 8.0;
constexpr double kReadNsPerByte = 0.0018;
constexpr double kReadNsPerRow = 2.0;
// A scan is exact: a walk must be cheaper by more than what is not known about either.
constexpr double kWalkGain = 0.8;
// Nodes that a walk leaves beyond those that it keeps.
constexpr double kStepsToGetThere = 12.0;
// An estimate of how many steps a filter costs may be wrong by so much before the walk is given up.
constexpr double kPatience = 2.0;

std::uint32_t threads_for(std::uint64_t bytes, std::uint32_t threads_max) {
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(
      bytes / kBytesPerThread, 1, std::max<std::uint32_t>(threads_max, 1)));
}

}  // namespace

SearchPlan plan_search(const PlanInput& input) {
  const std::uint64_t passes = (input.queries + kQueriesPerPass - 1) / kQueriesPerPass;
  const std::uint64_t bytes =
      input.eligible_rows * input.row_bytes * std::max<std::uint64_t>(passes, 1);
  return {threads_for(bytes, input.threads_max)};
}

SearchPlan plan_rescore(std::uint64_t rows, std::uint64_t row_bytes, std::uint32_t threads_max) {
  return {threads_for(rows * row_bytes * kReadsPerJump, threads_max)};
}

GraphPlan plan_graph(const GraphPlanInput& input) {
  GraphPlan plan;
  const auto eligible = static_cast<double>(input.eligible_rows);
  const auto rows = static_cast<double>(std::max<std::uint64_t>(input.rows, 1));
  const auto bytes = static_cast<double>(input.row_bytes);
  // Of the tail, the same share is eligible.
  const double walked = 1.0 - static_cast<double>(input.tail_rows) / rows;
  // Dead rows of the tail are in nobody's way.
  const double nodes = std::max(rows - static_cast<double>(input.tail_rows), 1.0);
  const double share = std::min(std::max(eligible, 1.0) / nodes, 1.0);
  // One row in ten that is dead or filtered only makes the beam a tenth shorter.
  plan.filtered = share < 0.9;
  double scan_ns = eligible * walked * (kScanNsPerRow + kScanNsPerByte * bytes);
  double step_ns = kStepNs;
  double steps = kStepsToGetThere + input.ef;
  if (plan.filtered) {
    const double jumps_ns = eligible * (kPassingNsPerRow + kPassingNsPerByte * bytes);
    const double all_ns = rows * (kReadNsPerRow + kReadNsPerByte * bytes);
    scan_ns = kWalkGain * walked * std::min(jumps_ns, all_ns);
    step_ns = kFilteredStepNs;
    steps = kStepsToGetThere + input.ef / share;
  }
  plan.walk = walked > 0.0 && steps * step_ns < scan_ns;
  plan.steps_max =
      static_cast<std::uint32_t>(std::min(kPatience * std::max(scan_ns / step_ns, steps), 1e9));
  return plan;
}

bool wants_coarse_plane(const RowShape& shape, Planes planes) {
  if (planes == Planes::full || !CoarsePlane::serves(shape)) {
    return false;
  }
  // Reading two thirds and then the survivors is about where it begins to pay.
  return planes == Planes::coarse || planes == Planes::sketch ||
         CoarsePlane::bytes_per_row(shape) * 3 <= std::size_t{shape.stride} * 2;
}

std::uint32_t candidates_wanted(std::uint32_t k) {
  // Scores in single precision order all but near ties as the reference does; eight rows and an
  // eighth of k more than asked for leave re-runs to real ties.
  const std::uint64_t wanted = std::uint64_t{k} + 8 + k / 8;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(wanted, std::numeric_limits<std::uint32_t>::max()));
}

}  // namespace vecserve::engine
