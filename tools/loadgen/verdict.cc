// The rules of the verdict. Comes after the summary; any thread. Always
// holds: rules look at figures that are printed too, so that a reader can
// check them.
#include "tools/loadgen/verdict.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace vecserve::loadgen {
namespace {

constexpr double kAdherenceValid = 0.999;
constexpr double kAdherenceUsable = 0.95;
constexpr double kClocksApartMax = 0.01;
constexpr double kShareOfResponse = 0.1;
constexpr double kNoiseFactor = 3.0;
constexpr double kUnansweredMax = 0.01;
// Between quarters of a stationary run medians differ by a few per cent; a queue that grows all
// the time makes the last quarter seven times the first.
constexpr double kGrowthMax = 2.0;

class Judge {
 public:
  void say(Verdict verdict, std::string reason) {
    judgement_.verdict = std::max(judgement_.verdict, verdict);
    judgement_.reasons.push_back(std::move(reason));
  }
  [[nodiscard]] Judgement take() { return std::move(judgement_); }

 private:
  Judgement judgement_;
};

template <typename... Values>
std::string text(const char* format, Values... values) {
  char line[240];
  std::snprintf(line, sizeof(line), format, values...);
  return line;
}

double us(std::uint64_t ns) {
  return static_cast<double>(ns) / 1e3;
}

void judge_sender(const Summary& summary, Judge& judge) {
  if (summary.adherence < kAdherenceUsable) {
    judge.say(Verdict::invalid,
              text("only %.2f %% of the requests were sent on time (95 %% needed)",
                   100.0 * summary.adherence));
  } else if (summary.adherence < kAdherenceValid) {
    judge.say(Verdict::suspect, text("%.3f %% of the requests were sent on time (99.9 %% wanted)",
                                     100.0 * summary.adherence));
  }
  if (summary.sent < summary.planned && !summary.closed_loop && !summary.stopped) {
    judge.say(Verdict::invalid, text("%llu of %llu planned requests were sent",
                                     static_cast<unsigned long long>(summary.sent),
                                     static_cast<unsigned long long>(summary.planned)));
  }
  if (summary.clocks_differ > kClocksApartMax) {
    judge.say(Verdict::invalid, text("steady and system clock differ by %.1f %% over the run",
                                     100.0 * summary.clocks_differ));
  }
}

void judge_response(const Summary& summary, Judge& judge) {
  const std::uint64_t response = summary.response.value_at(0.99);
  const auto tenth = static_cast<std::uint64_t>(static_cast<double>(response) * kShareOfResponse);
  const std::uint64_t lag = summary.lag.value_at(0.99);
  if (lag > tenth) {
    judge.say(Verdict::suspect,
              text("the sender's own delay (p99 %.0f us) is more than a tenth of the response (p99 "
                   "%.0f us)",
                   us(lag), us(response)));
  }
  const std::uint64_t blocked = summary.blocked.value_at(0.99);
  if (blocked > tenth) {
    judge.say(
        Verdict::suspect,
        text("the target held the sender (p99 %.0f us); service times hide it, the response (p99 "
             "%.0f us) has it",
             us(blocked), us(response)));
  }
  const std::uint64_t noise = summary.noise.value_at(0.99);
  if (static_cast<double>(response) < kNoiseFactor * static_cast<double>(noise)) {
    judge.say(
        Verdict::suspect,
        text("the response (p99 %.0f us) lies within three times this host's noise (p99 %.0f us)",
             us(response), us(noise)));
  }
  if (summary.growth > kGrowthMax && response > 10 * std::max<std::uint64_t>(noise, 10'000)) {
    judge.say(
        Verdict::suspect,
        text("the response time grew %.1f-fold through the run: more was offered than served, and "
             "the length of the run sets the figures",
             summary.growth));
  }
}

}  // namespace

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::valid:
      return "VALID";
    case Verdict::suspect:
      return "SUSPECT";
    case Verdict::invalid:
      return "INVALID";
  }
  return "?";
}

Judgement judge(const Summary& summary) {
  Judge judge;
  if (summary.measured == 0) {
    judge.say(Verdict::invalid, "no request was measured: warm-up and cool-down take all of it");
    return judge.take();
  }
  judge_sender(summary, judge);
  const auto share = [&](Outcome outcome) {
    return static_cast<double>(summary.outcomes[static_cast<std::size_t>(outcome)]) /
           static_cast<double>(summary.measured);
  };
  const double lost = share(Outcome::unanswered) + share(Outcome::failed);
  if (lost > kUnansweredMax) {
    judge.say(Verdict::suspect,
              text("%.2f %% of the requests failed or were never answered", 100.0 * lost));
  }
  if (summary.response.total() == 0) {
    judge.say(Verdict::invalid, "no request was answered: there is no response time");
    return judge.take();
  }
  judge_response(summary, judge);
  if (summary.closed_loop) {
    judge.say(Verdict::valid,
              "closed loop: requests waited for replies, so this says nothing about what "
              "independent users would see");
  }
  return judge.take();
}

}  // namespace vecserve::loadgen
