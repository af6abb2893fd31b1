// The load generator's proof of itself on this machine: is the sender on time, does a stall show in
// full, is the plan what it claims, and what does recording cost? Comes beside ordinary runs; the
// main thread plus those it starts. Always holds: a check that does not hold is reported as such,
// with its figure; nothing is retried until it does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace vecserve::loadgen {

struct CheckLine {
  std::string name{};
  double figure = 0.0;
  double limit = 0.0;
  bool holds = false;
  bool at_least = false;  // the figure is to reach the limit, not to stay within it
  std::string unit{};
  std::string note{};  // what the figure is: n, what it is compared with
};

struct SelfTestOptions {
  bool smoke = false;  // a second or two; times are then too short to judge
  // The number of allocations of the calling thread so far; empty: that check is left out.
  std::function<std::uint64_t()> allocations{};
  std::function<void(const std::string&)> progress{};  // for people who wait
  std::function<void(const CheckLine&)> report{};      // each line as soon as it is known
};

// About 35 s. True when every line holds.
bool self_test(const SelfTestOptions& options);

// The parts of it, for tests.
void check_stall(const SelfTestOptions& options, bool blocking, std::vector<CheckLine>& lines);
void check_plan(const SelfTestOptions& options, std::vector<CheckLine>& lines);
void check_cost(const SelfTestOptions& options, std::vector<CheckLine>& lines);

// The q-quantile of response times when constant arrivals meet a stall of `stall_s` within
// `run_s` and an otherwise immediate server: who arrives in the stall waits for what is left of it.
[[nodiscard]] double stall_quantile_s(double quantile, double stall_s, double run_s);

}  // namespace vecserve::loadgen
