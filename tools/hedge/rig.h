// A rig of replicas: three real servers in this process, behind one HedgedClient, with stalls from
// a seed. What the servers run is a device that only takes time, because few machines have cores
// for three full scans and their client, or real scans of a small collection; a result says which.
// For the bench and the lab; main thread, and the threads of servers, client and sender.
// Always holds: runs of one seed get the same arrivals and the same stalls, hedged or not.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tools/batchd/batch_service.h"
#include "tools/loadgen/run_load.h"
#include "vecserve/hedge.h"

namespace vecserve::hedge {

struct RigOptions {
  std::uint32_t replicas = 3;
  bool hedging = true;
  bool real_scans = false;
  double load = 0.6;     // of what the replicas can do together, stalls not counted; real scans get
                         // at most 2,000 a second, for their client and sender need cores too
  double turn_us = 0.0;  // that a replica needs from one call to the next; see probe_turn_us()
  double seconds = 10.0;
  double warm_up_s = 2.0;  // ahead of these, not reported: the client learns its delay
  // One call at a time on each replica, of a lognormal time with this median; a few take longer.
  std::uint32_t service_us = 1'000;
  double service_sigma = 0.3;
  double slow_share = 0.01;
  double slow_factor = 5.0;
  double stall_every_s = 2.5;  // of each replica, on average; 0: none
  double stall_ms = 50.0;
  // In the middle of the run all calls take so many times as long; 1: never.
  double all_slow_factor = 1.0;
  std::uint64_t rows = 60'000;  // of real scans
  std::uint32_t dim = 128;
  std::uint64_t seed = 1;
  // Instead of all of the above but stalls: replicas that are batch services of this policy.
  std::optional<batchd::Policy> batch_policy{};
  HedgeOptions hedge{};
};

struct RigRun {
  loadgen::LoadRun run;
  HedgeStats stats;
  std::string replicas;      // what they are, in words
  double offered = 0.0;      // calls a second
  double load = 0.0;         // so much of what the replicas can do
  double service_us = 0.0;   // mean of one call, stalls not counted
  double finished_us = 0.0;  // that the devices worked for calls they answered; 0: real scans
  double stopped_us = 0.0;   // and for such that were stopped on the way

  // Response times from the intended start, warm-up not counted, in order of arrival.
  [[nodiscard]] std::vector<double> latencies_us() const;
  // Work for somebody and for nobody, by the devices' own count; of real scans by the number of
  // calls and of losers that ran, each as a whole call.
  [[nodiscard]] double useful_us() const;
  [[nodiscard]] double wasted_us() const;
  [[nodiscard]] double extra_work() const;  // the second against the first
  [[nodiscard]] std::uint64_t losers() const;
  // Of the copies that lost, how many never ran.
  [[nodiscard]] double cancelled_queued_share() const;
};

[[nodiscard]] Result<RigRun> run_rig(const RigOptions& options);

// What a server over a timed device takes between two calls beside the device: waking, answering,
// taking the next. A replica can do less than its device by that; runs that are compared share one
// figure, so that they get the same arrivals. 0 for replicas whose device is not timed.
[[nodiscard]] Result<double> probe_turn_us(const RigOptions& options);

}  // namespace vecserve::hedge
