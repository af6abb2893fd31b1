// The highest rate at which a percentile stays within its limit, found in few short runs. Comes
// above single runs (real or simulated), below the commands; pure logic, one thread. Always holds:
// a rate passes only when chance would hide a broken limit in at most one of a hundred runs,
// however often the test looked; a run that decides nothing does not pass.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "vecserve/status.h"

namespace vecserve::loadgen {

struct Slo {
  double quantile = 0.99;
  std::uint64_t limit_ns = 5'000'000;
};
// "p99=5ms", "p99.9=800us", "p50=1s".
[[nodiscard]] Result<Slo> parse_slo(std::string_view text);

enum class Decision : std::uint8_t { open, pass, fail };

inline constexpr double kFalsePassMax = 0.01;
// What each run may spend of it: half, for the effective samples are themselves estimated. The
// looks of one run share it among them: at the first number of samples, twice that, ...
inline constexpr double kDoubt = kFalsePassMax / 2;
inline constexpr int kLooks = 7;
// Of a run's samples, the share at which look number `look` (from 0) is due.
[[nodiscard]] std::size_t look_at(std::size_t samples_max, int look);

// Early stopping: is the share of latencies above the limit below (pass) or above (fail) what the
// quantile leaves? `latencies` are all so far, in time order. Neighbours that resemble each other
// count as fewer samples, by the worse of two measures: how the broken limits cluster, and how the
// slowest tenth does, which shows clusters even where no limit is broken yet.
// Fewer than kSamplesMin decide nothing: one hold-up of the host could be all of them.
inline constexpr std::uint64_t kSamplesMin = 512;
[[nodiscard]] Decision decide(std::span<const std::uint64_t> latencies, const Slo& slo);

// The fewest samples that can pass, independent and none above the limit: 785 for p99, 7,853 for
// p99.9.
[[nodiscard]] std::uint64_t samples_to_decide(const Slo& slo);

struct KneeStep {
  double rate = 0.0;
  Decision decision = Decision::open;
  double share_over = 0.0;  // of the samples, above the limit
  std::uint64_t samples = 0;
  std::uint64_t quantile_ns = 0;  // the percentile as measured
};

// Chooses the rates: outward until the knee is enclosed, then inward by the slope of the logarithm
// of the share of broken limits, which near the knee is nearly a straight line in the rate.
class KneeSearch {
 public:
  struct Options {
    Slo slo{};
    double rate_first = 1'000.0;
    double rate_max = 10e6;
    double precision = 0.01;  // ends when fail / pass is within 1 + this
    std::uint32_t steps_max = 12;
  };
  explicit KneeSearch(const Options& options) : options_(options), next_(options.rate_first) {}

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] double next_rate() const { return next_; }
  void add(const KneeStep& step);

  [[nodiscard]] const std::vector<KneeStep>& steps() const { return steps_; }
  // The highest rate that passed; 0: none did.
  [[nodiscard]] double passed() const { return pass_.rate; }
  // Where the share of broken limits crosses what the quantile leaves: on the line through the
  // steps near it, each weighed by the broken limits it saw; what passed when nothing failed.
  [[nodiscard]] double knee() const;
  // Nothing failed up to rate_max, or everything did.
  [[nodiscard]] bool enclosed() const { return pass_.rate > 0.0 && fail_.rate > 0.0; }

 private:
  void choose_next();
  // The highest rate that decided nothing, when no step near the knee broke the limit too often; 0
  // when one did.
  [[nodiscard]] double highest_below() const;

  Options options_;
  double next_;
  bool done_ = false;
  KneeStep pass_{};  // the highest rate that passed
  KneeStep fail_{};  // the lowest that did not
  std::vector<KneeStep> steps_;
};

}  // namespace vecserve::loadgen
