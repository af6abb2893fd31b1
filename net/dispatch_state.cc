// See dispatch_state.h.
// Runs under the dispatch's mutex, on whichever thread called. Always holds: nothing in here calls
// out of the core.
#include "net/dispatch_state.h"

#include <algorithm>
#include <utility>

namespace vecserve::net {

namespace {

constexpr Duration kTrialEvery = std::chrono::milliseconds(100);
// As long as nothing is known of a group, so that the first burst teaches instead of being refused.
constexpr Duration kColdTarget = std::chrono::milliseconds(100);
// Lower classes that wait keep every batch full, those on the lanes too. For that, interactive
// works may be so much of a slow batch later than the target: a half, or bursts at 80 % load would
// suffer.
constexpr int kSlackParts = 2;
// How much longer a batch that is overdue is taken to last, as a part of its time so far.
constexpr int kOverdueParts = 4;
// How much more another connection must have waiting than this one has waiting and running, before
// its newest work gives way.
constexpr std::uint64_t kFarMore = 8;

BatcherOptions batcher_options(const DispatchOptions& options) {
  return {options.batch_max, options.first_guess, options.bulk_share, options.background_share};
}

}  // namespace

Dispatch::State::State(const DispatchOptions& options_in, const engine::Clock& clock_in)
    : options(options_in),
      clock(clock_in),
      budget(std::make_shared<Budget>(options_in.works_max, options_in.bytes_max)),
      running(options_in.lanes + 1),
      batcher(batcher_options(options_in)) {}

Duration Dispatch::State::target_of(const Group& group) const {
  if (options.target.count() != 0) return options.target;
  const auto slow = static_cast<double>(group.cost.slow_batch().count());
  return std::max(group.cost.measured() ? options.target_min : kColdTarget,
                  Duration(static_cast<Duration::rep>(slow * options.target_batches)));
}

Duration Dispatch::State::rest_of_running(TimePoint now, Duration& first) {
  const Duration shared = share_clock.read(now);
  Duration all{0};
  first = Duration::max();
  std::uint32_t busy = 0;
  for (const Running& one : running) {
    if (one.batch == nullptr) continue;
    ++busy;
    const Duration charged = shared - one.begun;
    const Duration rest = one.expected > charged ? one.expected - charged : charged / kOverdueParts;
    all += rest;
    first = std::min(first, rest);
  }
  if (busy < options.lanes) first = Duration(0);
  return all;
}

Ahead Dispatch::State::ahead_of(Group& group, Priority priority, std::uint32_t weight,
                                TimePoint now) {
  Ahead ahead;
  ahead.lanes = options.lanes;
  ahead.slow_batch = group.cost.slow_batch();
  ahead.running = rest_of_running(now, ahead.first_done);
  const Batcher::Wait wait = batcher.wait_of(group, priority, weight);
  ahead.queued = wait.queued;
  ahead.own = wait.own;
  ahead.of_class = wait.of_class;
  ahead.share = wait.share;
  const bool lower = batcher.works(Priority::interactive) != batcher.works();
  if (priority == Priority::interactive && lower) ahead.slack = ahead.slow_batch / kSlackParts;
  return ahead;
}

std::optional<Refusal> Dispatch::State::judge_work(const Work& work, Group& group, TimePoint now,
                                                   bool& trial) {
  if (options.admission == Admission::unbounded) return std::nullopt;
  const WorkTerms& terms = work.terms();
  const Duration left = terms.deadline == kNoDeadline ? Duration::max() : terms.deadline - now;
  if (left <= Duration(0)) return Refusal{RefusalReason::deadline, Duration(0), Duration(0)};
  const Ahead ahead = ahead_of(group, terms.priority, terms.weight, now);
  std::optional<Refusal> refusal = judge(ahead, left, target_of(group));
  if (!refusal.has_value() || batcher.works() != 0 || share_clock.running() != 0) return refusal;
  // Idle: what usually makes it is tried, and now and then what usually does not, because a model
  // that lets nothing through learns nothing.
  trial = group.cost.median(terms.weight) <= left;
  if (trial) return std::nullopt;
  if (last_trial != TimePoint{} && now - last_trial < kTrialEvery) return refusal;
  last_trial = now;
  trial = true;
  return std::nullopt;
}

std::optional<Refusal> Dispatch::State::check_bounds(const Work& work, bool& taken) {
  taken = false;
  Refusal refusal;
  refusal.retry_after = kTrialEvery;
  if (draining) {
    refusal.reason = RefusalReason::draining;
    refusal.retry_after = Duration(0);
    return refusal;
  }
  refusal.reason = RefusalReason::count;
  if (work.peer().in_flight_ >= options.peer_works_max) return refusal;
  if (!budget->take(work.terms().bytes)) {
    if (budget->works() < options.works_max) refusal.reason = RefusalReason::bytes;
    return refusal;
  }
  taken = true;
  return std::nullopt;
}

std::shared_ptr<Work> Dispatch::State::give_way(const Work& work) {
  Peer* const other = batcher.heaviest();
  const Peer& own = work.peer();
  const std::uint32_t weight = work.terms().weight;
  if (other == nullptr || other == &own) return nullptr;
  if (other->queued_weight_ < kFarMore * (own.in_flight_weight_ + weight)) return nullptr;
  Work& newest = *other->newest_;
  if (newest.terms_.priority < work.terms().priority) return nullptr;
  if (newest.terms_.weight < weight) return nullptr;
  Group& group = *newest.flow_->queue->group;
  std::shared_ptr<Work> gone = batcher.remove(newest);
  batcher.cost_changed(group);
  return gone;
}

void Dispatch::State::admit(std::shared_ptr<Work> work, Group& group, TimePoint now, bool trial) {
  Work& it = *work;
  it.ticket_ = Ticket(budget, it.terms_.bytes);
  it.trial_ = trial;
  Peer& peer = *it.peer_;
  if (peer.in_flight_++ == 0) ++peers_active;
  peer.in_flight_weight_ += it.terms_.weight;
  ++unfinished;
  ++totals.admitted;
  batcher.push(std::move(work), group, now);
}

bool Dispatch::State::suits_guest(const Work& work, const Group& group, TimePoint now) const {
  if (options.guest_most.count() == 0 || unfinished != 0 || !group.cost.measured()) return false;
  const Duration expected = group.cost.careful(work.terms().weight);
  return expected <= options.guest_most && now - last_end >= expected;
}

ClosePolicy Dispatch::State::close_policy(TimePoint now) {
  ClosePolicy policy;
  if (options.admission == Admission::unbounded) {
    policy.keep_late = true;
    return policy;
  }
  Group& last = batcher.group(last_group);
  const Duration target = target_of(last) - last.cost.slow_batch();
  backstop.observe(now, batcher.standing_delay(now), std::max(target, 2 * last.cost.slow_batch()));
  policy = backstop.policy();
  Duration first{0};
  policy.running = rest_of_running(now, first);
  return policy;
}

bool Dispatch::State::open_batch(Batch& batch, TimePoint now) {
  const auto free = std::find_if(running.begin(), running.end(),
                                 [](const Running& one) { return one.batch == nullptr; });
  if (free == running.end()) return false;
  const ClosePolicy policy = close_policy(now);
  if (!policy.keep_late) batcher.sweep(now, policy, batch.dropped);
  if (!batcher.close(batch, now, policy, batch.dropped)) return false;
  Group& group = batcher.group(batch.group);
  batch.slot = static_cast<std::uint32_t>(free - running.begin());
  batch.started = TimePoint{};
  batch.stages = Stages{};
  batch.statuses.clear();
  batch.statuses.resize(batch.works.size());
  if (batch.stop == nullptr || batch.stop->cancelled())
    batch.stop = std::make_shared<CancelToken>();
  share_clock.begin(now);
  *free = {&batch, &group, group.cost.careful(batch.weight), share_clock.read(now),
           static_cast<std::uint32_t>(batch.works.size())};
  ++group.running;
  last_group = group.id;
  for (const std::shared_ptr<Work>& work : batch.works) {
    work->place_ = Work::Place::running;
    work->slot_ = batch.slot;
  }
  ++totals.batches;
  totals.batch_works += batch.works.size();
  totals.batch_weight += batch.weight;
  return true;
}

void Dispatch::State::end_batch(Batch& batch, TimePoint now) {
  Running& slot = running[batch.slot];
  last_end = now;
  if (batch.lane == options.lanes) ++totals.guest_batches;
  share_clock.end(now);
  Group& group = *slot.group;
  // A batch that was stopped, or whose works were all wrong, says nothing about cost. One that ran
  // out of time does: it takes at least that long.
  bool telling = !batch.stop->cancelled();
  if (telling) {
    telling = std::any_of(batch.statuses.begin(), batch.statuses.end(), [](const Status& status) {
      return status.ok() || status.code() == StatusCode::deadline_exceeded;
    });
  }
  if (telling) {
    group.cost.record(batch.weight, share_clock.read(now) - slot.begun, now);
    batcher.cost_changed(group);
  }
  --group.running;
  slot = Running{};
  for (std::size_t i = 0; i < batch.works.size(); ++i) {
    leave(*batch.works[i], batch.statuses[i].code(), true);
  }
}

void Dispatch::State::leave(Work& work, StatusCode code, bool ran) {
  work.place_ = Work::Place::finished;
  Peer& peer = *work.peer_;
  peer.in_flight_weight_ -= work.terms_.weight;
  if (--peer.in_flight_ == 0) --peers_active;
  if (code == StatusCode::cancelled) {
    ++totals.cancelled;
  } else if (code == StatusCode::deadline_exceeded) {
    ++totals.expired;
  } else if (ran) {
    ++totals.completed;
  } else if (code == StatusCode::resource_exhausted) {
    ++totals.shed;
  }
}

Load Dispatch::State::load_now(TimePoint now) {
  Group& group = batcher.group(last_group);
  const Ahead ahead = ahead_of(group, Priority::interactive, 1, now);
  const Duration finish = predicted_finish(ahead);
  const Duration target = target_of(group);
  Load load;
  load.level = static_cast<float>(static_cast<double>(finish.count()) /
                                  static_cast<double>(std::max<Duration::rep>(target.count(), 1)));
  const std::uint64_t limit = group.cost.batch_limit();
  const std::uint64_t waiting = group.weight();
  load.queued = static_cast<std::uint32_t>(std::min<std::uint64_t>(batcher.weight(), UINT32_MAX));
  load.spare = static_cast<std::uint32_t>(limit - std::min(limit, waiting));
  load.predicted_wait = finish - ahead.own;
  // As many full batches as fit the target, shared by all who have something in flight.
  const auto batches = std::max<Duration::rep>(
      target.count() / std::max<Duration::rep>(group.cost.slow_batch().count(), 1), 1);
  const std::uint64_t room =
      limit * static_cast<std::uint64_t>(std::min<Duration::rep>(batches, 64));
  load.credits =
      static_cast<std::uint32_t>(std::max<std::uint64_t>(room / std::max(peers_active, 1U), 1));
  return load;
}

}  // namespace vecserve::net
