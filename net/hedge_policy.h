// Which replica a call goes to, when a second copy of it is worth sending, and where: the decisions
// of HedgedClient (include/vecserve/hedge.h), without a socket or a clock. The simulation in
// tools/hedge drives the same code. Not thread-safe: whoever drives it locks.
// Always holds: a write gets one copy; copies beyond the first are at most budget * calls + the
// bucket, of which one counts a quarter when its call's other copy was taken back before it ran;
// nothing is hedged while a refusal is fresh or the replicas are loaded beyond load_max.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <vector>

#include "net/survival.h"
#include "net/work.h"

namespace vecserve::net {

struct HedgePolicyOptions {
  std::uint32_t replicas = 1;
  bool hedging = true;
  double budget = 0.05;      // second copies and retries per call, over time
  double bucket_max = 30.0;  // how many may come at once after a quiet time
  double load_max = 0.92;    // no hedging while the replicas' load is beyond this
  Duration delay_min = std::chrono::microseconds(50);
  Duration delay_max = std::chrono::milliseconds(50);       // half of what a call may take
  Duration refusal_pause = std::chrono::milliseconds(200);  // no hedging after a refusal
  std::uint32_t cost_classes = 1;  // kinds of calls that differ in cost, such as k or filter
  std::uint64_t seed = 1;          // of the two choices
};

// Why a copy was or was not sent; counted.
struct HedgePolicyStats {
  std::uint64_t calls = 0;
  std::uint64_t hedges = 0;
  std::uint64_t hedge_wins = 0;
  std::uint64_t retries = 0;
  std::uint64_t cancelled_queued = 0;
  std::uint64_t cancelled_running = 0;
  std::uint64_t wasted = 0;  // losers that were answered in full all the same
  std::uint64_t no_budget = 0;
  std::uint64_t loaded = 0;    // not hedged: load, or a refusal
  std::uint64_t learning = 0;  // not hedged: too few samples for a delay
};

// One call's copies, kept by the driver and changed by the policy only.
struct HedgedCall {
  struct Copy {
    std::uint32_t replica = 0;
    std::uint64_t number = 0;  // within its replica, rising
    TimePoint sent{};
    bool open = false;  // neither answered nor given up
    bool lost = false;  // given up; its server has not said yet what became of it
  };
  std::array<Copy, 3> copies;  // the third only for a second one that failed
  std::uint32_t copy_count = 0;
  std::uint32_t cost_class = 0;
  bool hedgeable = true;
  bool held_back = false;             // it was late and could not be hedged; counted once
  bool moving = false;                // its server was asked to take the first copy back
  bool taken_back = false;            // a copy was, before it ran
  std::optional<TimePoint> hedge_at;  // when to ask for the second copy; nullopt: never
};

// What a reply says of the time in the server; zero when unknown.
struct ReplyTimes {
  Duration waited{0};  // before the engine began
  Duration served{0};
  double batch_works = 1.0;  // calls that were served together
};

enum class LoserState : std::uint8_t { queued, running, answered };

// What is to be done for a late call.
enum class HedgeStep : std::uint8_t {
  wait,       // until hedge_at
  take_back,  // ask the server of copies[0] to take it back if it has not begun; retry() follows
              // when it was. A call that only moves from one queue to another costs nobody
              // anything.
  send,       // copies[1] to its replica, and take copies[0] back if it has not begun
};

class HedgePolicy {
 public:
  explicit HedgePolicy(const HedgePolicyOptions& options);

  // A call begins: its first copy goes to copies[0].replica. `hedgeable` is false for writes.
  [[nodiscard]] HedgedCall begin(TimePoint now, std::uint32_t cost_class, bool hedgeable);
  // At hedge_at, if the call is still open. hedge_at is when to ask again; nullopt: not any more.
  [[nodiscard]] HedgeStep hedge(HedgedCall& call, TimePoint now);
  // A retry after a refusal or a lost connection takes from the same budget. False: do not.
  [[nodiscard]] bool may_retry();

  // A copy was answered, the first of the call or not.
  void answered(HedgedCall& call, std::uint32_t copy, TimePoint now, const ReplyTimes& times);
  // The call's only open copy failed or was taken back: the replica for another, its last, or
  // nullopt.
  [[nodiscard]] std::optional<std::uint32_t> retry(HedgedCall& call, TimePoint now);
  // A copy failed for itself, or its replica was lost.
  void failed(HedgedCall& call, std::uint32_t copy);
  // A copy was refused by admission.
  void refused(HedgedCall& call, std::uint32_t copy, TimePoint now);
  // The other copy won, and this one is cancelled; loser_ended() follows when its server answers.
  void given_up(HedgedCall& call, std::uint32_t copy, TimePoint now);
  // What became of a copy that was cancelled or taken back, when its server says.
  void loser_ended(HedgedCall& call, std::uint32_t copy, TimePoint now, LoserState state);

  // Calls of a class wait so long before a second copy; nullopt while it learns.
  [[nodiscard]] std::optional<Duration> delay(std::uint32_t cost_class) const;
  // 0 idle to 1: the load that most of the replicas seem to carry.
  [[nodiscard]] double load() const;
  [[nodiscard]] const HedgePolicyStats& stats() const { return stats_; }

 private:
  // A copy at a replica.
  struct Asked {
    TimePoint sent;
    TimePoint begun;  // when its call began, with its first copy
    bool open = true;
  };
  struct Replica {
    std::vector<std::unique_ptr<SurvivalEstimate>> latencies;  // per cost class
    std::deque<Asked> open;  // by number from first_open; the first is open
    std::uint64_t first_open = 0;
    std::uint32_t open_count = 0;
    double mean_us = 0.0;  // of serving one call
    TimePoint answered_at{};
    double heard = 0.0;          // replies, as many as the two below remember
    double waiting_share = 0.0;  // of calls that found the replica busy
    double batch_works = 1.0;    // calls that are served together
  };

  void refresh(TimePoint now);
  std::uint64_t ahead_of(const HedgedCall::Copy& copy) const;
  static double usual_us(const Replica& replica);
  static double silent_us(const Replica& replica, TimePoint now);
  static double turn_us(const Replica& replica, std::uint64_t ahead, TimePoint now);
  static double score(const Replica& replica, TimePoint now);
  static TimePoint busy_since(const Replica& replica);
  TimePoint next_look(const HedgedCall& call, TimePoint now) const;
  TimePoint due(const HedgedCall& call, TimePoint now) const;
  static void hold_back(HedgedCall& call, std::uint64_t& why);  // counts the call once
  std::optional<TimePoint> runs_since(const HedgedCall::Copy& copy) const;
  std::uint32_t choose(TimePoint now, std::optional<std::uint32_t> without);
  void send(HedgedCall& call, std::uint32_t replica, TimePoint now);
  void close(HedgedCall& call, std::uint32_t copy);

  const HedgePolicyOptions options_;
  std::vector<Replica> replicas_;
  std::vector<std::optional<Duration>> delays_;              // per cost class
  std::vector<std::optional<Duration>> late_delays_;         // while there is little to spend
  std::vector<std::optional<Duration>> stuck_delays_;        // of calls that run
  std::vector<std::unique_ptr<SurvivalEstimate>> services_;  // per cost class, of all replicas
  std::optional<TimePoint> refreshed_;
  std::optional<TimePoint> refused_at_;
  double tokens_;
  std::mt19937_64 random_;
  std::vector<std::uint32_t> choices_;  // within choose()
  HedgePolicyStats stats_;
};

}  // namespace vecserve::net
