// The decisions. Score of a replica: what a call there may expect, (open calls + 1) times the usual
// time of serving one, and never less per call than the age of its oldest open one. A cancelled
// loser counts with its age until the replica answers anything: without that, cancelling would
// empty a stalled replica's queue and make it look like the best choice. Driven by HedgedClient or
// the simulation; see the header.
#include "net/hedge_policy.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace vecserve::net {
namespace {

constexpr Duration kRefreshEvery = std::chrono::milliseconds(100);
// The age of a cancelled loser counts half after this time: a silent replica is tried again soon.
constexpr Duration kSuspicionHalf = std::chrono::milliseconds(5);
// Weight of one call in the share of calls that waited: some 500 calls are remembered.
constexpr double kWaitingWeight = 0.002;
// Waiting less than this share of being served is the way through an idle server.
constexpr double kWaitingMin = 0.1;
constexpr double kMeanWeight = 0.02;  // of one call in the usual time of serving
// No answer at all for so many usual times: what waits there is stuck, not just in a queue.
constexpr double kSilentServices = 2.0;
// Below this load the work of a second copy that runs in vain is time nobody else wanted;
// simulated, it stays below 5 % of all work.
constexpr double kIdleLoad = 0.45;

double us_of(Duration time) {
  return static_cast<double>(time.count()) * 1e-3;
}

}  // namespace

HedgePolicy::HedgePolicy(const HedgePolicyOptions& options)
    : options_(options),
      replicas_(std::max<std::uint32_t>(options.replicas, 1)),
      delays_(std::max<std::uint32_t>(options.cost_classes, 1)),
      late_delays_(delays_.size()),
      tokens_(options.bucket_max / 2.0),
      random_(options.seed) {
  for (Replica& replica : replicas_) {
    for (std::size_t i = 0; i < delays_.size(); ++i) {
      replica.latencies.push_back(std::make_unique<SurvivalEstimate>());
    }
  }
}

double HedgePolicy::suspicion(const Replica& replica, TimePoint now) {
  if (replica.suspect_us <= 0.0) return 0.0;
  const double halves = us_of(now - replica.suspect_at) / us_of(kSuspicionHalf);
  return replica.suspect_us * std::exp2(-std::max(0.0, halves));
}

double HedgePolicy::score(const Replica& replica, TimePoint now) const {
  double expected_us = std::max({1.0, replica.mean_us, suspicion(replica, now)});
  if (!replica.open.empty() && replica.open.front()) {
    expected_us = std::max(expected_us, us_of(now - *replica.open.front()));
  }
  return expected_us * (1.0 + static_cast<double>(replica.open_count));
}

std::uint32_t HedgePolicy::choose(TimePoint now, std::optional<std::uint32_t> without) {
  const auto count = static_cast<std::uint32_t>(replicas_.size());
  const auto draw = [&](std::uint32_t limit) {
    return static_cast<std::uint32_t>(random_() % limit);
  };
  // Two different ones of those that may be chosen, counted around the one that may not.
  const std::uint32_t choices = without && count > 1 ? count - 1 : count;
  const auto nth = [&](std::uint32_t n) {
    return without && count > 1 && n >= *without ? n + 1 : n;
  };
  const std::uint32_t first = draw(choices);
  if (choices == 1) return nth(first);
  const std::uint32_t second = (first + 1 + draw(choices - 1)) % choices;
  const std::uint32_t a = nth(first), b = nth(second);
  return score(replicas_[b], now) < score(replicas_[a], now) ? b : a;
}

void HedgePolicy::send(HedgedCall& call, std::uint32_t index, TimePoint now) {
  VECSERVE_CHECK(call.copy_count < call.copies.size());
  Replica& replica = replicas_[index];
  call.copies[call.copy_count++] = {index, replica.first_open + replica.open.size(), now, true};
  replica.open.emplace_back(now);
  ++replica.open_count;
}

void HedgePolicy::close(HedgedCall& call, std::uint32_t copy) {
  HedgedCall::Copy& sent = call.copies[copy];
  if (!sent.open) return;
  sent.open = false;
  Replica& replica = replicas_[sent.replica];
  replica.open[static_cast<std::size_t>(sent.number - replica.first_open)].reset();
  --replica.open_count;
  while (!replica.open.empty() && !replica.open.front()) {
    replica.open.pop_front();
    ++replica.first_open;
  }
}

void HedgePolicy::refresh(TimePoint now) {
  if (refreshed_ && now - *refreshed_ < kRefreshEvery) return;
  refreshed_ = now;
  // A replica that was slow and is not asked any more would stay slow for ever.
  for (Replica& replica : replicas_) {
    if (now - replica.answered_at > kRefreshEvery) replica.mean_us *= 0.5;
  }
  for (std::size_t cost = 0; cost < delays_.size(); ++cost) {
    std::optional<Duration> lowest, lowest_late, median;
    for (Replica& replica : replicas_) {
      SurvivalEstimate& latencies = *replica.latencies[cost];
      latencies.refresh(now);
      // The lowest: a replica that is slow by nature must not talk the others into waiting.
      const auto take = [&](double quantile, std::optional<Duration>& least) {
        const std::optional<Duration> value = latencies.quantile(quantile);
        if (value && (!least || *value < *least)) least = value;
      };
      take(0.5, median);
      take(1.0 - options_.budget, lowest);
      take(1.0 - options_.budget / 5.0, lowest_late);
    }
    const auto clamped = [&](const std::optional<Duration>& value) {
      const Duration low = std::max(options_.delay_min, median ? *median * 2 : Duration(0));
      return value ? std::optional(std::min(std::max(*value, low), options_.delay_max)) : value;
    };
    delays_[cost] = clamped(lowest);
    late_delays_[cost] = clamped(lowest_late);
  }
}

HedgedCall HedgePolicy::begin(TimePoint now, std::uint32_t cost_class, bool hedgeable) {
  refresh(now);
  ++stats_.calls;
  tokens_ = std::min(options_.bucket_max, tokens_ + options_.budget);
  HedgedCall call;
  call.cost_class =
      std::min<std::uint32_t>(cost_class, static_cast<std::uint32_t>(delays_.size()) - 1);
  call.hedgeable = hedgeable && options_.hedging && replicas_.size() > 1;
  send(call, choose(now, std::nullopt), now);
  if (!call.hedgeable) return call;
  if (const std::optional<Duration>& wait = delays_[call.cost_class]) {
    call.hedge_at = now + *wait;
  } else {
    ++stats_.learning;
  }
  return call;
}

// Servers take calls in order: the oldest open ones, as many as ride in a batch, are running.
bool HedgePolicy::runs(const HedgedCall::Copy& copy) const {
  const Replica& replica = replicas_[copy.replica];
  std::uint64_t ahead = 0;
  for (std::uint64_t i = replica.first_open; i < copy.number; ++i) {
    ahead += replica.open[static_cast<std::size_t>(i - replica.first_open)] ? 1u : 0u;
    if (static_cast<double>(ahead) >= replica.batch_works) return false;
  }
  return true;
}

std::optional<std::uint32_t> HedgePolicy::hedge(HedgedCall& call, TimePoint now) {
  call.hedge_at.reset();
  if (!call.hedgeable || call.copy_count != 1 || !call.copies[0].open) return std::nullopt;
  const bool pushed_back = refused_at_ && now - *refused_at_ < options_.refusal_pause;
  if (pushed_back || load() > options_.load_max) {
    ++stats_.loaded;
    return std::nullopt;
  }
  // A copy that waits in a queue is cancelled for nothing; one that runs has cost something, and
  // what it still needs is likely less than what a second one would. So, unless the replicas are
  // idle anyway, second copies at p95 are for calls stuck behind a silent replica's running one,
  // and all others are hedged late, beyond p99: that keeps the budget for when it matters.
  const std::optional<Duration>& late = late_delays_[call.cost_class];
  const TimePoint late_at = call.copies[0].sent + late.value_or(Duration(0));
  const Replica& primary = replicas_[call.copies[0].replica];
  const bool silent =
      us_of(now - primary.answered_at) > kSilentServices * std::max(1.0, primary.mean_us);
  const bool idle = load() < kIdleLoad;
  if (now < late_at && !idle && (!silent || runs(call.copies[0]))) {
    call.hedge_at = late_at;
    return std::nullopt;
  }
  if (tokens_ < 1.0) {
    ++stats_.no_budget;
    return std::nullopt;
  }
  const std::uint32_t replica = choose(now, call.copies[0].replica);
  // A replica that is no better than waiting on would only be made worse.
  if (score(replicas_[replica], now) >= score(replicas_[call.copies[0].replica], now)) {
    ++stats_.loaded;
    return std::nullopt;
  }
  tokens_ -= 1.0;
  ++stats_.hedges;
  send(call, replica, now);
  return replica;
}

bool HedgePolicy::may_retry() {
  if (tokens_ < 1.0) {
    ++stats_.no_budget;
    return false;
  }
  tokens_ -= 1.0;
  ++stats_.retries;
  return true;
}

void HedgePolicy::answered(HedgedCall& call, std::uint32_t copy, TimePoint now,
                           const ReplyTimes& times) {
  const HedgedCall::Copy& sent = call.copies[copy];
  if (!sent.open) return;
  Replica& replica = replicas_[sent.replica];
  const Duration latency = now - sent.sent;
  replica.latencies[call.cost_class]->answered(latency);
  replica.answered_at = now;
  replica.suspect_us = 0.0;  // it shows life
  const Duration served = times.served.count() > 0 ? times.served : latency;
  replica.mean_us += kMeanWeight * (us_of(served) - replica.mean_us);
  const bool waited = us_of(times.waited) > kWaitingMin * us_of(times.served);
  replica.waiting_share += kWaitingWeight * ((waited ? 1.0 : 0.0) - replica.waiting_share);
  replica.batch_works += kWaitingWeight * (std::max(1.0, times.batch_works) - replica.batch_works);
  if (copy == 1) ++stats_.hedge_wins;
  close(call, copy);
}

void HedgePolicy::refused(HedgedCall& call, std::uint32_t copy, TimePoint now) {
  if (!call.copies[copy].open) return;
  refused_at_ = now;
  close(call, copy);
}

void HedgePolicy::failed(HedgedCall& call, std::uint32_t copy) {
  close(call, copy);
}

std::optional<std::uint32_t> HedgePolicy::retry(HedgedCall& call, TimePoint now) {
  if (call.copy_count != 1 || replicas_.size() < 2 || !may_retry()) return std::nullopt;
  const std::uint32_t replica = choose(now, call.copies[0].replica);
  call.hedge_at.reset();
  send(call, replica, now);
  return replica;
}

void HedgePolicy::given_up(HedgedCall& call, std::uint32_t copy, TimePoint now) {
  const HedgedCall::Copy& sent = call.copies[copy];
  if (!sent.open) return;
  Replica& replica = replicas_[sent.replica];
  replica.latencies[call.cost_class]->given_up(now - sent.sent);
  // Jumps to the age, comes down with time, and goes with the next answer.
  replica.suspect_us = std::max(us_of(now - sent.sent), suspicion(replica, now));
  replica.suspect_at = now;
  close(call, copy);
}

void HedgePolicy::loser_ended(LoserState state) {
  switch (state) {
    case LoserState::queued:
      ++stats_.cancelled_queued;
      break;
    case LoserState::running:
      ++stats_.cancelled_running;
      break;
    case LoserState::answered:
      ++stats_.wasted;
      break;
  }
}

std::optional<Duration> HedgePolicy::delay(std::uint32_t cost_class) const {
  return cost_class < delays_.size() ? delays_[cost_class] : std::nullopt;
}

double HedgePolicy::load() const {
  // A call that may choose between two finds both busy with probability load squared. The median
  // of the replicas: one that stalls says nothing about the others.
  std::vector<double> shares;
  for (const Replica& replica : replicas_) shares.push_back(replica.waiting_share);
  std::nth_element(shares.begin(), shares.begin() + static_cast<std::ptrdiff_t>(shares.size() / 2),
                   shares.end());
  return std::sqrt(std::max(0.0, shares[shares.size() / 2]));
}

}  // namespace vecserve::net
