// The judgement, in two parts: time off the processor, which the kernel counts exactly, and time on
// it, which is estimated from what each event costs here. After counters, before output; pure.
// Always holds: time is given out once; what no counter accounts for stays unexplained.
#include "tools/tailprobe/causes.h"

#include <algorithm>
#include <array>

namespace vecserve::tailprobe {
namespace {

// A cause below this share of the excess, or below a microsecond, is noise of the counters.
constexpr double kShareMin = 0.03;
constexpr double kTimeMinUs = 1.0;
// Less than this written by others during a sample is the kernel's own book-keeping.
constexpr double kForeignBytesMin = 256.0 * 1024.0;
// Faults and allocations cost more when caches and locks are contended than when measured alone.
constexpr double kCostSlack = 2.0;
constexpr double kAllocatedBytesMin = 64.0 * 1024.0;
constexpr double kAllocationsMin = 16.0;
constexpr double kFaultsMin = 4.0;
constexpr double kClockRatioMin = 1.15;

class Account {
 public:
  explicit Account(double excess_us) : excess_(excess_us), left_(excess_us) {}

  // Gives up to `us` of what is left to the cause.
  void give(Cause cause, double us) {
    const double given = std::min(us, left_);
    if (given < std::max(kTimeMinUs, kShareMin * excess_)) return;
    left_ -= given;
    causes_.push_back({cause, given});
  }
  double left() const { return left_; }
  std::vector<NamedCause> take() {
    std::stable_sort(causes_.begin(), causes_.end(),
                     [](const auto& a, const auto& b) { return a.explained_us > b.explained_us; });
    return std::move(causes_);
  }

 private:
  double excess_, left_;
  std::vector<NamedCause> causes_;
};

// Blocked: not running and not ready to run either.
Cause blocked_by(const Evidence& evidence, Waits waits) {
  if (evidence.major_faults >= 1.0) return Cause::major_faults;
  if (waits == Waits::disk) {
    const bool busy =
        evidence.foreign_bytes >= kForeignBytesMin || evidence.foreign_requests >= 1.0;
    return busy ? Cause::disk_busy : Cause::disk;
  }
  return waits == Waits::peer ? Cause::peer : Cause::slept;
}

void judge_off_cpu(const Evidence& evidence, Waits waits, Account& account) {
  double waiting = evidence.run_delay_us;
  if (!evidence.run_delay_known) {
    // Without the kernel's figure: switched out against its will means it was ready all along.
    waiting = evidence.involuntary >= 0.5 ? evidence.off_cpu_us : 0.0;
  }
  waiting = std::clamp(waiting, 0.0, std::max(0.0, evidence.off_cpu_us));
  account.give(Cause::preempted, waiting);
  const double blocked = evidence.off_cpu_us - waiting;
  // Blocking takes a voluntary switch; without one, off-processor time is the hypervisor's.
  if (evidence.voluntary >= 0.5) {
    account.give(blocked_by(evidence, waits), blocked);
  } else {
    account.give(Cause::machine_stall, blocked);
  }
}

void judge_on_cpu(const Evidence& evidence, const Costs& costs, Account& account) {
  const double faults = std::max(0.0, evidence.minor_faults) * costs.fault_us;
  const bool allocated =
      evidence.allocated_bytes >= kAllocatedBytesMin || evidence.allocations >= kAllocationsMin;
  if (allocated) {
    const double calls = std::max(0.0, evidence.allocations) * costs.allocation_us;
    account.give(Cause::allocation, (faults + calls) * kCostSlack);
  } else if (evidence.minor_faults >= kFaultsMin) {
    account.give(Cause::page_faults, faults * kCostSlack);
  }
  if (evidence.clock_ratio >= kClockRatioMin) {
    account.give(Cause::slow_clock, evidence.duration_us * (1.0 - 1.0 / evidence.clock_ratio));
  }
  account.give(Cause::machine_stall, std::max(0.0, evidence.control_late_us));
  if (evidence.migrated) account.give(Cause::migration, costs.migration_us);
}

}  // namespace

std::string_view to_string(Cause cause) {
  static constexpr std::array<std::string_view, kCauseCount> kNames = {
      "preempted",    "slept",      "disk",      "disk_busy",  "peer",         "page_faults",
      "major_faults", "allocation", "migration", "slow_clock", "machine_stall"};
  return kNames[static_cast<std::size_t>(cause)];
}

std::vector<NamedCause> judge(const Evidence& evidence, Waits waits, const Costs& costs) {
  Account account(std::max(0.0, evidence.excess_us));
  judge_off_cpu(evidence, waits, account);
  judge_on_cpu(evidence, costs, account);
  return account.take();
}

}  // namespace vecserve::tailprobe
