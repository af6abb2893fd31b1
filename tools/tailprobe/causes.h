// From counters to names: why was one sample slower than its neighbours, and how much of the time
// does that explain? The judgement of tailprobe, as a pure function of numbers, so that it can be
// tested without being slow on purpose. After counters.h, before output.h.
// Always holds: causes are in falling order of the time they explain, and together never explain
// more than the excess.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace vecserve::tailprobe {

enum class Cause : std::uint8_t {
  preempted,      // ready to run, but somebody else had the processor
  slept,          // gave the processor up: a sleep, a lock, a pipe
  disk,           // waited for the disk, which served this program alone
  disk_busy,      // waited for the disk, which was writing for others
  peer,           // waited for the other end of a connection
  page_faults,    // touched memory that had no page yet
  major_faults,   // waited for a page from the disk
  allocation,     // asked the allocator for more than usual, faults included
  migration,      // went on on another processor, whose caches were cold
  slow_clock,     // the processor ran slower than before
  machine_stall,  // the control thread was late at the same moment: the whole machine stood
};
inline constexpr std::size_t kCauseCount = 11;

[[nodiscard]] std::string_view to_string(Cause cause);

// What an operation waits for by its nature; names what kind of blocking its blocking is.
enum class Waits : std::uint8_t { nothing, disk, peer, timer };

// What happened during a slow sample beyond what is usual for the operation. Times in
// microseconds.
struct Evidence {
  double excess_us = 0.0;  // duration less the median
  double duration_us = 0.0;
  double off_cpu_us = 0.0;    // wall time less processor time of the thread
  double run_delay_us = 0.0;  // of these, ready to run and waiting
  double voluntary = 0.0;     // switches, faults, allocations: less the usual number
  double involuntary = 0.0;
  double minor_faults = 0.0;
  double major_faults = 0.0;
  double allocations = 0.0;
  double allocated_bytes = 0.0;
  double foreign_bytes = 0.0;     // written to the operation's disk by others, just before too
  double foreign_requests = 0.0;  // in flight on that disk when the run had ended, or before it
  bool run_delay_known = true;
  bool migrated = false;
  double clock_ratio = 1.0;      // a fixed loop right after it against the best such loop
  double control_late_us = 0.0;  // of the control thread, while this sample ran
};

// What things cost on this machine, measured at the start of a run.
struct Costs {
  double fault_us = 0.5;       // one first touch of a page
  double allocation_us = 0.1;  // one call of the allocator
  double migration_us = 50.0;  // refilling the private cache of a processor: 1 MiB at 20 GB/s
};

struct NamedCause {
  Cause cause = Cause::slept;
  double explained_us = 0.0;
};

[[nodiscard]] std::vector<NamedCause> judge(const Evidence& evidence, Waits waits,
                                            const Costs& costs);

}  // namespace vecserve::tailprobe
