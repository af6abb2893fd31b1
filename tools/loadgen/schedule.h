// When each request is to be sent and what it is, all of it known before the first one goes out.
// Comes after the flags, before the sender; main thread. Always holds: a plan depends on its
// description alone; the same one gives the same bits on every machine, and times never fall.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/status.h"

namespace vecserve::loadgen {

// A request keeps 72 bytes until the report is made: 2.2 GiB.
inline constexpr std::uint64_t kRequestsMax = 32'000'000;
inline constexpr double kRateMax = 10e6;  // requests in a second
inline constexpr double kDurationMaxS = 86'400;
inline constexpr std::uint32_t kBurstMax = 65'536;

enum class Arrivals : std::uint8_t {
  poisson,   // independent users: exponential gaps
  constant,  // equal gaps
  burst,     // groups that arrive at one instant; the groups are Poisson, the rate is as asked
  trace,     // times from a file
};

struct ScheduleSpec {
  Arrivals arrivals = Arrivals::poisson;
  double rate = 1'000.0;  // requests a second; of a trace: 0 keeps its own times
  double duration_s = 10.0;
  std::uint32_t burst = 1;  // requests of one group
  std::vector<std::uint64_t> trace_ns{};
  std::uint64_t seed = 1;
};

// "poisson", "constant", "burst:SIZE" or "trace:FILE", which is read here.
[[nodiscard]] Status parse_arrivals(std::string_view text, ScheduleSpec& spec);

// One time a line, in seconds from the start, not falling; blank lines and those with # are passed
// over. invalid_argument names the line.
[[nodiscard]] Result<std::vector<std::uint64_t>> read_trace(std::istream& in);

// Nanoseconds from the start of the run, not falling, below its duration. A rate for a trace
// stretches or shortens it to that mean rate.
[[nodiscard]] Result<std::vector<std::uint64_t>> plan_arrivals(const ScheduleSpec& spec);

// For each request which of the kinds it is, by their weights, which need not add up to anything.
[[nodiscard]] std::vector<std::uint8_t> plan_kinds(const std::vector<std::uint32_t>& weights,
                                                   std::size_t count, std::uint64_t seed);

// A number for the whole plan, to tell in reports that two runs sent the same.
[[nodiscard]] std::uint64_t fingerprint(const std::vector<std::uint64_t>& at_ns);

}  // namespace vecserve::loadgen
