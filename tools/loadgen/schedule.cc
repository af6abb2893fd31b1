// Plans of arrivals. Comes between flags and sender; main thread. Always holds: times are sums of
// doubles in one fixed order, which IEEE arithmetic without contraction makes the same everywhere;
// a double holds the nanoseconds of a day with bits to spare.
#include "tools/loadgen/schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <istream>
#include <numeric>

#include "tools/loadgen/random.h"

namespace vecserve::loadgen {
namespace {

constexpr double kNsPerSecond = 1e9;
constexpr std::uint64_t kStreamArrivals = 1;
constexpr std::uint64_t kStreamKinds = 2;

Status check(const ScheduleSpec& spec) {
  const bool trace = spec.arrivals == Arrivals::trace;
  if (!(spec.duration_s > 0.0) || spec.duration_s > kDurationMaxS) {
    return Status::invalid_argument("duration", "must be above 0 and at most a day");
  }
  if (!(spec.rate >= 0.0) || spec.rate > kRateMax || (spec.rate == 0.0 && !trace)) {
    return Status::invalid_argument("rate", "must be above 0 and at most 10,000,000 a second");
  }
  if (spec.burst < 1 || spec.burst > kBurstMax) {
    return Status::invalid_argument("arrivals", "a burst has 1 to 65,536 requests");
  }
  if (trace && spec.trace_ns.empty()) {
    return Status::invalid_argument("arrivals", "the trace is empty");
  }
  if (spec.rate * spec.duration_s > static_cast<double>(kRequestsMax) * 0.99) {
    return Status::invalid_argument(
        "duration", "more than 32,000,000 requests; take a lower rate or a shorter run");
  }
  return {};
}

void plan_random(const ScheduleSpec& spec, std::vector<std::uint64_t>& at_ns) {
  Random random(spec.seed, kStreamArrivals);
  const std::uint32_t group = spec.arrivals == Arrivals::burst ? spec.burst : 1;
  const double gap = kNsPerSecond * static_cast<double>(group) / spec.rate;
  const double end = spec.duration_s * kNsPerSecond;
  for (double at = random.exponential() * gap; at < end; at += random.exponential() * gap) {
    if (at_ns.size() + group > kRequestsMax) return;
    at_ns.insert(at_ns.end(), group, static_cast<std::uint64_t>(at));
  }
}

void plan_constant(const ScheduleSpec& spec, std::vector<std::uint64_t>& at_ns) {
  const double gap = kNsPerSecond / spec.rate;
  const double end = spec.duration_s * kNsPerSecond;
  for (std::uint64_t i = 0;; ++i) {
    const double at = static_cast<double>(i) * gap;
    if (at >= end) return;
    at_ns.push_back(static_cast<std::uint64_t>(at));
  }
}

void plan_trace(const ScheduleSpec& spec, std::vector<std::uint64_t>& at_ns) {
  double stretch = 1.0;
  const std::uint64_t last = spec.trace_ns.back();
  if (spec.rate > 0.0 && last > 0) {
    const double own = static_cast<double>(spec.trace_ns.size()) * kNsPerSecond;
    stretch = own / static_cast<double>(last) / spec.rate;
  }
  const double end = spec.duration_s * kNsPerSecond;
  for (const std::uint64_t at : spec.trace_ns) {
    const double moved = static_cast<double>(at) * stretch;
    if (moved >= end) return;
    at_ns.push_back(static_cast<std::uint64_t>(moved));
  }
}

}  // namespace

Status parse_arrivals(std::string_view text, ScheduleSpec& spec) {
  if (text == "poisson" || text == "constant") {
    spec.arrivals = text == "poisson" ? Arrivals::poisson : Arrivals::constant;
    return {};
  }
  if (text.starts_with("burst:")) {
    text.remove_prefix(6);
    std::uint32_t burst = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), burst);
    if (error == std::errc() && end == text.data() + text.size() && burst > 0) {
      spec.arrivals = Arrivals::burst;
      spec.burst = burst;
      return {};
    }
  }
  if (text.starts_with("trace:")) {
    std::ifstream in{std::string(text.substr(6))};
    if (!in) return Status::invalid_argument("arrivals", "cannot read the trace file");
    Result<std::vector<std::uint64_t>> times = read_trace(in);
    if (!times.ok()) return times.status();
    spec.arrivals = Arrivals::trace;
    spec.trace_ns = std::move(times).value();
    return {};
  }
  return Status::invalid_argument("arrivals",
                                  "must be poisson, constant, burst:SIZE or trace:FILE");
}

Result<std::vector<std::uint64_t>> read_trace(std::istream& in) {
  std::vector<std::uint64_t> times;
  std::size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == line.npos || line[first] == '#') continue;
    const std::string field = "line " + std::to_string(number);
    double seconds = 0.0;
    const auto [end, error] =
        std::from_chars(line.data() + first, line.data() + line.size(), seconds);
    if (error != std::errc() || !(seconds >= 0.0) || seconds > kDurationMaxS) {
      return Status::invalid_argument(field, "must be seconds from 0 to 86,400");
    }
    const auto at = static_cast<std::uint64_t>(seconds * kNsPerSecond);
    if (!times.empty() && at < times.back()) {
      return Status::invalid_argument(field, "times must not fall");
    }
    if (times.size() == kRequestsMax) {
      return Status::invalid_argument(field, "more than 32,000,000 requests");
    }
    times.push_back(at);
  }
  return times;
}

Result<std::vector<std::uint64_t>> plan_arrivals(const ScheduleSpec& spec) {
  VECSERVE_TRY(check(spec));
  std::vector<std::uint64_t> at_ns;
  at_ns.reserve(static_cast<std::size_t>(spec.rate * spec.duration_s * 1.01) + 64);
  switch (spec.arrivals) {
    case Arrivals::poisson:
    case Arrivals::burst:
      plan_random(spec, at_ns);
      break;
    case Arrivals::constant:
      plan_constant(spec, at_ns);
      break;
    case Arrivals::trace:
      plan_trace(spec, at_ns);
      break;
  }
  return at_ns;
}

std::vector<std::uint8_t> plan_kinds(const std::vector<std::uint32_t>& weights, std::size_t count,
                                     std::uint64_t seed) {
  std::vector<std::uint8_t> kinds(count, 0);
  const std::uint64_t sum = std::accumulate(weights.begin(), weights.end(), std::uint64_t{0});
  if (sum == 0) return kinds;
  Random random(seed, kStreamKinds);
  for (std::uint8_t& kind : kinds) {
    std::uint64_t drawn = random.below(sum);
    while (drawn >= weights[kind]) drawn -= weights[kind++];
  }
  return kinds;
}

std::uint64_t fingerprint(const std::vector<std::uint64_t>& at_ns) {
  // FNV-1a over words.
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (const std::uint64_t at : at_ns) hash = (hash ^ at) * 0x100000001B3u;
  return hash;
}

}  // namespace vecserve::loadgen
