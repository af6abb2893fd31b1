// Hedged against unhedged on the rig, in rounds: a shared host changes from one minute to the next,
// so the two take turns, each round in the other order, and what they met is put together. After
// rig; before bench. Main thread.
// Always holds: both see the same arrivals and stalls in each round, which are others in the next.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/hedge/resampled.h"
#include "tools/hedge/rig.h"

namespace vecserve::hedge {

// What several runs of one kind add up to.
struct RoundsSum {
  std::vector<double> latencies_us;       // of all, ascending
  std::vector<RoundLatencies> rounds_us;  // of each run, in order
  double useful_us = 0.0, wasted_us = 0.0;
  HedgeStats stats;  // its counts
  std::uint64_t losers = 0;
  double sender_lag_p99_us = 0.0;  // the most of any round

  void add(const RigRun& run);
  // p of 0 to 1; 0 without a call.
  [[nodiscard]] double at(double p) const;
  [[nodiscard]] double extra_work() const;
  // Shares of the copies that lost.
  [[nodiscard]] double cancelled_queued_share() const;
  [[nodiscard]] double cancelled_running_share() const;
};

struct Rounds {
  RoundsSum plain, hedged;
  std::string replicas;     // what they are, in words
  double load = 0.0;        // mean of the rounds: real scans set their own
  double service_us = 0.0;  // the same
  double turn_us = 0.0;     // that a replica needs from one call to the next, and load counts

  // The hedged median against the unhedged one, of each round: how far they lie apart is what one
  // of them alone is worth.
  [[nodiscard]] std::vector<double> median_ratios() const;
  // The unhedged p99.9 against the hedged one: 95 % of what as many other rounds would give.
  [[nodiscard]] RatioInterval p999_interval() const;
};

// How many rounds. What they ask is how sure the gain is, never how large: a rule that ends on a
// good figure would find one.
struct RoundsRule {
  std::uint32_t least = 1;  // at least one
  std::uint32_t most = 1;
  double precision = 0.0;  // between the two, p999_interval() is to be at least as narrow
};

// Pairs of runs of options.seconds each, the first with options.seed and each later one with the
// next.
[[nodiscard]] Result<Rounds> run_rounds(RigOptions options, const RoundsRule& rule);

}  // namespace vecserve::hedge
