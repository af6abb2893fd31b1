// How long calls of one kind take, learned from those that were answered and from those that were
// given up before they were (censored: "longer than this"). Below hedge_policy; belongs to whoever
// locks that. Dropping censored calls would teach that replicas are faster than they are; counting
// them as answered would do the same. The Kaplan-Meier estimate does neither.
// Always holds: quantiles are within one cell, 1 %, of the estimate; old samples fade, by half in
// kFadeHalf, or at once when recent ones contradict them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "net/work.h"

namespace vecserve::net {

class SurvivalEstimate {
 public:
  // What must have been seen before a quantile is given: 59 samples are the fewest whose largest
  // bounds p95 with 95 % confidence; 100 leave some for the censored.
  static constexpr double kSamplesMin = 100.0;
  static constexpr Duration kFadeHalf = std::chrono::seconds(10);
  // A change is looked for in what came within about this.
  static constexpr Duration kRecentHalf = std::chrono::milliseconds(150);

  void answered(Duration latency) { add(latency, false); }
  void given_up(Duration age) { add(age, true); }

  // Fades old samples and looks for a change; call it some ten times a second.
  void refresh(TimePoint now);

  // The duration that `quantile` of all calls do not exceed; nullopt with too few samples, or when
  // more calls than that were given up and nobody can know.
  [[nodiscard]] std::optional<Duration> quantile(double quantile) const;
  [[nodiscard]] double samples() const { return long_.total; }
  [[nodiscard]] std::uint64_t changes() const { return changes_; }

 private:
  // 1 µs to 100 s in steps of 1 %: ln(1e8) / ln(1.01).
  static constexpr std::size_t kCells = 1'852;
  struct Cells {
    std::array<float, kCells> answered{};
    std::array<float, kCells> given_up{};
    double total = 0.0;
  };

  void add(Duration latency, bool given_up);
  static void fade(Cells& cells, double factor);
  static std::size_t cell_of(Duration latency);
  static std::optional<std::size_t> quantile_cell(const Cells& cells, double quantile);
  static double survival_past(const Cells& cells, std::size_t cell);
  bool look_for_change();

  Cells long_;
  Cells recent_;
  std::optional<TimePoint> refreshed_;
  std::optional<TimePoint> settled_;  // until then, only the recent samples count
  std::uint64_t changes_ = 0;
};

}  // namespace vecserve::net
