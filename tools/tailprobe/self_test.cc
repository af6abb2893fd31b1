// The self-test: causes one after the other, then the totals. After probe and injection; the main
// thread. About ten seconds.
// Always holds: the same seed disturbs the same runs.
#include "tools/tailprobe/self_test.h"

#include <algorithm>
#include <cstdio>
#include <random>

#include "tools/tailprobe/injection.h"
#include "tools/tailprobe/probe.h"

namespace vecserve::tailprobe {
namespace {

constexpr double kNamedMin = 0.95;
constexpr double kExplainedMin = 0.90;
constexpr double kFastPathMaxNs = 200.0;
constexpr std::size_t kRunsPerInjection = 12;

struct Tally {
  std::size_t injected = 0;
  std::size_t slow = 0;
  std::size_t named = 0;
  std::size_t set_aside = 0;
  double excess_us = 0.0;
  double explained_us = 0.0;

  void add(const Tally& other) {
    injected += other.injected;
    slow += other.slow;
    named += other.named;
    excess_us += other.excess_us;
    explained_us += other.explained_us;
  }
};

// Another program had the processor for most of what made the run slow, by the kernel's own
// account: whatever was injected as well, it is not the answer.
bool elsewhere(const SlowSample& sample) {
  return sample.evidence.run_delay_us > 0.5 * sample.evidence.excess_us;
}

bool names(const SlowSample& sample, Cause wanted) {
  for (const NamedCause& cause : sample.causes) {
    if (cause.cause == wanted) return true;
    if (cause.cause != Cause::preempted && cause.cause != Cause::machine_stall) return false;
  }
  return false;
}

Tally tally(const ProbeResult& result, const std::vector<bool>& injected, Cause cause) {
  Tally count;
  count.injected = static_cast<std::size_t>(std::count(injected.begin(), injected.end(), true));
  for (const SlowSample& sample : result.slow) {
    count.excess_us += sample.evidence.excess_us;
    for (const NamedCause& named : sample.causes) count.explained_us += named.explained_us;
    if (!injected[sample.index]) continue;
    if (cause != Cause::preempted && elsewhere(sample)) {
      ++count.set_aside;
      continue;
    }
    ++count.slow;
    count.named += names(sample, cause) ? 1u : 0u;
  }
  return count;
}

Tally inject(Cause cause, const SelfTestOptions& options) {
  std::mt19937_64 random(options.seed * 31 + static_cast<std::uint64_t>(cause));
  ProbeOptions probing;
  probing.count = options.injections * kRunsPerInjection;
  std::vector<bool> injected(probing.count, false);
  for (std::size_t i = 0; i < options.injections; ++i) {
    injected[i * kRunsPerInjection + random() % kRunsPerInjection] = true;
  }
  Disturbance disturbance(cause);
  const Operation operation = disturbance.operation();
  const ProbeResult result = probe(operation, probing, [&](std::size_t index) {
    if (injected[index]) disturbance.arm();
  });
  return tally(result, injected, cause);
}

// Runs of fsync for at least half of whose time a burst of another thread was on its way to the
// disk: one that was over, or nearly so, when the burst came was slow for another reason.
Result<Tally> inject_busy_disk(const SelfTestOptions& options) {
  Result<Operation> sync = make_operation("fsync", {0, options.folder});
  if (!sync.ok()) return sync.status();
  ProbeOptions probing;
  probing.count = options.injections * 200;
  probing.seconds_max = 6.0;
  probing.slow_factor = 2.0;  // a good disk shares well: a burst may no more than double a sync
  std::vector<bool> injected(probing.count, false);
  std::unique_ptr<BusyDisk> disk;
  std::size_t current = 0;
  Operation operation = *sync;
  operation.run = [&] {
    const auto begin = BusyDisk::Clock::now();
    sync->run();
    if (disk == nullptr) return;
    const auto end = BusyDisk::Clock::now();
    if (2 * disk->busy_within(begin, end) >= end - begin) injected[current] = true;
  };
  const ProbeResult result = probe(operation, probing, [&](std::size_t index) {
    if (disk == nullptr) disk = std::make_unique<BusyDisk>(options.folder);
    current = index;
  });
  return tally(result, injected, Cause::disk_busy);
}

Finding named_finding(Cause cause, const Tally& count) {
  const double share =
      count.slow == 0 ? 0.0 : static_cast<double>(count.named) / static_cast<double>(count.slow);
  return {"named_" + std::string(to_string(cause)), share, kNamedMin, true,
          std::to_string(count.named) + " of " + std::to_string(count.slow) + " slow runs; " +
              std::to_string(count.injected) + " runs were disturbed, " +
              std::to_string(count.set_aside) + " set aside: preempted by other programs"};
}

}  // namespace

void self_test(const SelfTestOptions& options, const std::function<void(const Finding&)>& found) {
  found({"fast_path_ns", measure_fast_path_ns(), kFastPathMaxNs, false,
         "per run: two stamps, a comparison and its share of the dear readings"});
  Tally total;
  for (const Cause cause :
       {Cause::page_faults, Cause::preempted, Cause::slept, Cause::allocation}) {
    const Tally count = inject(cause, options);
    found(named_finding(cause, count));
    total.add(count);
  }
  const Result<Tally> disk = inject_busy_disk(options);
  if (disk.ok()) {
    found(named_finding(Cause::disk_busy, *disk));
    total.add(*disk);
  } else {
    found({"named_disk_busy", 0.0, kNamedMin, true, disk.status().to_string()});
  }
  found(
      {"named_all",
       static_cast<double>(total.named) / static_cast<double>(std::max<std::size_t>(total.slow, 1)),
       kNamedMin, true, std::to_string(total.slow) + " slow runs that were disturbed"});
  found({"explained_share", total.excess_us > 0.0 ? total.explained_us / total.excess_us : 0.0,
         kExplainedMin, true,
         std::to_string(static_cast<std::uint64_t>(total.excess_us / 1e3)) +
             " ms of slow runs beyond the median, disturbed or not"});
}

}  // namespace vecserve::tailprobe
