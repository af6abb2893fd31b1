// The knee of a real target: KneeSearch fed with runs that stop as soon as they have decided. Comes
// above run_load, below commands; the main thread, plus those of each run. Always holds: a request
// that was refused or failed counts as one that broke the limit, and a run that the generator could
// not keep up with as a rate that does not pass.
#pragma once

#include <functional>
#include <vector>

#include "tools/loadgen/knee.h"
#include "tools/loadgen/run_load.h"

namespace vecserve::loadgen {

// One rate of a sweep or a search.
struct SweepPoint {
  double rate = 0.0;
  double goodput = 0.0;
  engine::QuantileEstimate p50{};
  engine::QuantileEstimate p99{};
  double share_over = 0.0;             // of a search: broken limits
  Decision decision = Decision::open;  // of a search
  std::uint64_t samples = 0;
  Judgement judgement{};
};
[[nodiscard]] SweepPoint sweep_point(const RunReport& report);

struct KneeResult {
  KneeSearch search;
  std::vector<SweepPoint> points{};
};

// `plan` gives everything but the rate; its duration is that of a run that decides nothing.
[[nodiscard]] KneeResult find_knee(const KneeSearch::Options& options, const LoadPlan& plan,
                                   Target& target,
                                   const std::function<void(const SweepPoint&)>& step);

}  // namespace vecserve::loadgen
