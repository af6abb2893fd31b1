// The decisions. A replica's score is what a call there may expect: its turn, and, while nothing
// comes back from it for longer than usual, as long again and more, for what has lasted goes on
// lasting. Cancelled losers stay in the books until their server says what became of them: without
// that, cancelling would empty a stalled replica's queue and make it look like the best choice.
// Driven by HedgedClient or the simulation; see the header.
#include "net/hedge_policy.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace vecserve::net {
namespace {

constexpr Duration kRefreshEvery = std::chrono::milliseconds(100);
// So many calls are remembered in the share of those that waited.
constexpr double kRemembered = 500.0;
// Waiting less than this share of being served is the way through an idle server, on a host that
// is slow to wake threads too. Little load is taken for a little less by that, much for what it is.
constexpr double kWaitingMin = 0.25;
constexpr double kMeanWeight = 0.02;  // of one call in the usual time of serving
// A replica is silent when it has calls and answers none for so many usual times of serving; it
// is then taken to stay so for so many times as long as it has been. Simulated with calls of which
// one in a hundred takes ten times as long: half or twice as much of either costs a tenth of the
// gain at p99.9.
constexpr double kSilentServices = 2.0;
constexpr double kSilenceGoesOn = 3.0;
// A second copy goes out only if it can expect to need at most this share of what the first still
// needs: both are estimates, and to move costs messages.
constexpr double kBetterShare = 0.8;
// Below this load the work of a second copy that runs in vain is time nobody else wanted;
// simulated, it stays below 5 % of all work.
constexpr double kIdleLoad = 0.45;
// A call that runs has cost something, and what it still needs is likely less than what a second
// one would: only well beyond the quantile 1 - budget / 50 of the times of serving is it stuck.
constexpr double kStuckParts = 50.0;
constexpr double kStuckFactor = 1.2;
// A call that waits at a silent replica moves on at once: taken back there, it is not copied but in
// another queue. One that waits elsewhere moves on at the quantile 1 - budget, or, while less than
// this share of the bucket is left, at 1 - budget / 5: that keeps the rest for when it matters.
constexpr double kReserveShare = 0.25;
constexpr double kLateParts = 5.0;
// What a copy that was taken back before it ran gives back of its token: it cost messages only.
constexpr double kTakenBack = 0.75;
// A call that was not hedged, for want of a token or of a better replica, asks again so many usual
// times of serving later; one that came on loaded replicas after the longest delay.
constexpr double kAskAgainServices = 2.0;

// With so many calls open at one replica nothing is hedged: what is wrong then is not one of them,
// and looking at each again and again would take more time than answering them.
constexpr std::uint32_t kCrowd = 1'024;
// So many of those sent before a copy are looked at; beyond, the share that is open stands for all.
constexpr std::size_t kAheadSeen = 256;

// One service of a stalled replica says more of the stall than of services.
constexpr double kHeardMeans = 10.0;

double us_of(Duration time) {
  return static_cast<double>(time.count()) * 1e-3;
}

Duration of_us(double us) {
  return Duration(static_cast<Duration::rep>(us * 1e3));
}

}  // namespace

HedgePolicy::HedgePolicy(const HedgePolicyOptions& options)
    : options_(options),
      replicas_(std::max<std::uint32_t>(options.replicas, 1)),
      delays_(std::max<std::uint32_t>(options.cost_classes, 1)),
      late_delays_(delays_.size()),
      stuck_delays_(delays_.size()),
      tokens_(options.bucket_max / 2.0),
      random_(options.seed) {
  for (std::size_t i = 0; i < delays_.size(); ++i) {
    services_.push_back(std::make_unique<SurvivalEstimate>());
  }
  for (Replica& replica : replicas_) {
    for (std::size_t i = 0; i < delays_.size(); ++i) {
      replica.latencies.push_back(std::make_unique<SurvivalEstimate>());
    }
  }
}

// Servers take the calls of one client in the order in which they began, so that one that moved on
// is not behind those that came after it (Batcher::link).
std::uint64_t HedgePolicy::ahead_of(const HedgedCall::Copy& copy) const {
  const Replica& replica = replicas_[copy.replica];
  const auto before = static_cast<std::size_t>(copy.number - replica.first_open);
  if (before > kAheadSeen) {
    const double open = replica.open_count / static_cast<double>(replica.open.size());
    return static_cast<std::uint64_t>(open * static_cast<double>(before));
  }
  const TimePoint begun = replica.open[before].begun;
  const std::size_t end = std::min(replica.open.size(), before + kAheadSeen);
  std::uint64_t ahead = 0;
  for (std::size_t i = 0; i < end; ++i) {
    const Asked& other = replica.open[i];
    const bool first = other.begun < begun || (other.begun == begun && i < before);
    ahead += other.open && first ? 1 : 0;
  }
  return ahead;
}

double HedgePolicy::usual_us(const Replica& replica) {
  return std::max(1.0, replica.mean_us);
}

// Since when it has had something to do and answered nothing; of a replica with open calls.
TimePoint HedgePolicy::busy_since(const Replica& replica) {
  return std::max(replica.answered_at, replica.open.front().sent);
}

// For how long it has answered nothing, although asked; 0 while that is nothing unusual.
double HedgePolicy::silent_us(const Replica& replica, TimePoint now) {
  if (replica.open.empty()) return 0.0;
  const double us = us_of(now - busy_since(replica));
  return us > kSilentServices * usual_us(replica) ? us : 0.0;
}

double HedgePolicy::turn_us(const Replica& replica, std::uint64_t ahead, TimePoint now) {
  const double usual = usual_us(replica);
  double us = usual * (1.0 + static_cast<double>(ahead) / replica.batch_works);
  // Of the one that runs, a part is done.
  if (ahead > 0) us -= std::clamp(us_of(now - busy_since(replica)), 0.0, usual);
  return us + kSilenceGoesOn * silent_us(replica, now);
}

// A little after a replica that answers nothing from now on counts as silent.
TimePoint HedgePolicy::next_look(const HedgedCall& call, TimePoint now) const {
  const Replica& primary = replicas_[call.copies[0].replica];
  return now + std::max(options_.delay_min, of_us(kSilentServices * usual_us(primary) + 1.0));
}

double HedgePolicy::score(const Replica& replica, TimePoint now) {
  return turn_us(replica, replica.open_count, now);
}

// The better one of two that are drawn: of those that answer, or of all when none does.
std::uint32_t HedgePolicy::choose(TimePoint now, std::optional<std::uint32_t> without) {
  const auto count = static_cast<std::uint32_t>(replicas_.size());
  for (const bool silent_too : {false, true}) {
    choices_.clear();
    for (std::uint32_t i = 0; i < count; ++i) {
      if (count > 1 && i == without) continue;
      if (silent_too || silent_us(replicas_[i], now) <= 0.0) choices_.push_back(i);
    }
    if (!choices_.empty()) break;
  }
  const std::size_t choices = choices_.size();
  const std::size_t first = random_() % choices;
  if (choices == 1) return choices_[first];
  const std::uint32_t a = choices_[first];
  const std::uint32_t b = choices_[(first + 1 + random_() % (choices - 1)) % choices];
  return score(replicas_[b], now) < score(replicas_[a], now) ? b : a;
}

void HedgePolicy::send(HedgedCall& call, std::uint32_t index, TimePoint now) {
  VECSERVE_CHECK(call.copy_count < call.copies.size());
  Replica& replica = replicas_[index];
  call.copies[call.copy_count++] = {index, replica.first_open + replica.open.size(), now, true};
  replica.open.push_back({now, call.copies[0].sent});
  ++replica.open_count;
}

void HedgePolicy::close(HedgedCall& call, std::uint32_t copy) {
  HedgedCall::Copy& sent = call.copies[copy];
  if (!sent.open && !sent.lost) return;
  sent.open = sent.lost = false;
  Replica& replica = replicas_[sent.replica];
  replica.open[static_cast<std::size_t>(sent.number - replica.first_open)].open = false;
  --replica.open_count;
  while (!replica.open.empty() && !replica.open.front().open) {
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
      take(1.0 - options_.budget / kLateParts, lowest_late);
    }
    const auto clamped = [&](const std::optional<Duration>& value) {
      const Duration low = std::max(options_.delay_min, median ? *median * 2 : Duration(0));
      return value ? std::optional(std::min(std::max(*value, low), options_.delay_max)) : value;
    };
    services_[cost]->refresh(now);
    std::optional<Duration> stuck = services_[cost]->quantile(1.0 - options_.budget / kStuckParts);
    if (stuck) stuck = of_us(kStuckFactor * us_of(*stuck));
    stuck_delays_[cost] = clamped(stuck);
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
    call.hedge_at = std::min(now + *wait, next_look(call, now));
  } else {
    ++stats_.learning;
  }
  return call;
}

// Servers take calls in order: the oldest open ones, as many as ride in a batch, are running, from
// when they came or the replica last answered. nullopt: it waits.
std::optional<TimePoint> HedgePolicy::runs_since(const HedgedCall::Copy& copy) const {
  const Replica& replica = replicas_[copy.replica];
  if (static_cast<double>(ahead_of(copy)) >= replica.batch_works) return std::nullopt;
  return std::max(copy.sent, replica.answered_at);
}

// The moment before which a second copy of the call is too early.
TimePoint HedgePolicy::due(const HedgedCall& call, TimePoint now) const {
  const HedgedCall::Copy& first = call.copies[0];
  const TimePoint late = first.sent + delays_[call.cost_class].value_or(Duration(0));
  if (const std::optional<TimePoint> since = runs_since(first)) {
    if (load() < kIdleLoad) return late;
    return std::max(late, *since + stuck_delays_[call.cost_class].value_or(Duration(0)));
  }
  if (tokens_ < options_.bucket_max * kReserveShare) {
    return std::max(late, first.sent + late_delays_[call.cost_class].value_or(Duration(0)));
  }
  return silent_us(replicas_[first.replica], now) > 0.0 ? TimePoint::min() : late;
}

HedgeStep HedgePolicy::hedge(HedgedCall& call, TimePoint now) {
  call.hedge_at.reset();
  if (!call.hedgeable || call.copy_count != 1 || !call.copies[0].open) return HedgeStep::wait;
  if (replicas_[call.copies[0].replica].open_count > kCrowd) {
    hold_back(call, stats_.loaded);
    call.hedge_at = now + options_.delay_max;
    return HedgeStep::wait;
  }
  // First of all, as it is cheap: where much waits, many ask.
  const bool pushed_back = refused_at_ && now - *refused_at_ < options_.refusal_pause;
  if (pushed_back || load() > options_.load_max) {
    hold_back(call, stats_.loaded);
    call.hedge_at = pushed_back ? *refused_at_ + options_.refusal_pause : now + options_.delay_max;
    return HedgeStep::wait;
  }
  const TimePoint due_at = due(call, now);
  if (now < due_at) {
    call.hedge_at = std::min(due_at, next_look(call, now));
    return HedgeStep::wait;
  }
  const HedgedCall::Copy& first = call.copies[0];
  const Replica& primary = replicas_[first.replica];
  const std::uint32_t replica = choose(now, first.replica);
  // A replica that is no better than waiting on would only be made worse.
  const double left_us = turn_us(primary, ahead_of(first), now);
  const bool better = score(replicas_[replica], now) < kBetterShare * left_us;
  if (!better || tokens_ < 1.0) {
    hold_back(call, better ? stats_.no_budget : stats_.loaded);
    call.hedge_at = now + std::clamp(of_us(kAskAgainServices * usual_us(primary)),
                                     options_.delay_min, options_.delay_max);
    return HedgeStep::wait;
  }
  if (!call.moving && !runs_since(first)) {
    call.moving = true;
    call.hedge_at = now + std::max(options_.delay_min, of_us(usual_us(primary)));
    return HedgeStep::take_back;
  }
  tokens_ -= 1.0;
  ++stats_.hedges;
  send(call, replica, now);
  return HedgeStep::send;
}

void HedgePolicy::hold_back(HedgedCall& call, std::uint64_t& why) {
  if (!call.held_back) ++why;
  call.held_back = true;
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
  const Duration served = times.served.count() > 0 ? times.served : latency;
  const double most_us = replica.mean_us > 0.0 ? kHeardMeans * replica.mean_us : us_of(served);
  replica.mean_us += kMeanWeight * (std::min(us_of(served), most_us) - replica.mean_us);
  const bool waited = us_of(times.waited) > kWaitingMin * us_of(times.served);
  replica.heard = std::min(replica.heard + 1.0, kRemembered);
  replica.waiting_share += ((waited ? 1.0 : 0.0) - replica.waiting_share) / replica.heard;
  replica.batch_works += (std::max(1.0, times.batch_works) - replica.batch_works) / replica.heard;
  services_[call.cost_class]->answered(served);
  if (copy > 0) ++stats_.hedge_wins;
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
  if (call.copy_count >= call.copies.size() || replicas_.size() < 2) return std::nullopt;
  // What was taken back for the sake of the one that failed has a copy to its credit.
  if (call.copy_count == 2 && !call.taken_back) return std::nullopt;
  if (call.copy_count == 1) {
    if (!call.taken_back && !may_retry()) return std::nullopt;
    if (call.taken_back) ++stats_.hedges;
  }
  const std::uint32_t replica = choose(now, call.copies[call.copy_count - 1].replica);
  call.hedge_at.reset();
  send(call, replica, now);
  return replica;
}

void HedgePolicy::given_up(HedgedCall& call, std::uint32_t copy, TimePoint now) {
  HedgedCall::Copy& sent = call.copies[copy];
  if (!sent.open) return;
  replicas_[sent.replica].latencies[call.cost_class]->given_up(now - sent.sent);
  sent.open = false;
  sent.lost = true;
}

void HedgePolicy::loser_ended(HedgedCall& call, std::uint32_t copy, TimePoint now,
                              LoserState state) {
  HedgedCall::Copy& sent = call.copies[copy];
  if (sent.open) given_up(call, copy, now);
  if (!sent.lost) return;
  close(call, copy);
  switch (state) {
    case LoserState::queued:
      ++stats_.cancelled_queued;
      // Of a call that moves the token was not taken yet.
      tokens_ += call.copy_count > 1 ? kTakenBack : kTakenBack - 1.0;
      tokens_ = std::clamp(tokens_, 0.0, options_.bucket_max);
      call.taken_back = true;
      return;
    case LoserState::running:
      ++stats_.cancelled_running;
      break;
    case LoserState::answered:
      ++stats_.wasted;
      break;
  }
  replicas_[sent.replica].answered_at = now;
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
