// See dispatch.h.
// Any thread. Every member takes the lock for its bookkeeping, lets it go, and only then finishes
// works. Always holds: a work leaves the books under the lock exactly once, by whoever then
// finishes it; `unfinished` falls after its finish() returned.
#include "net/dispatch.h"

#include <algorithm>
#include <string>
#include <utility>

#include "net/brief_lock.h"
#include "net/dispatch_state.h"
#include "net/limits.h"

namespace vecserve::net {

namespace {

std::uint64_t ns_between(TimePoint from, TimePoint to) {
  return to <= from ? 0 : static_cast<std::uint64_t>(Duration(to - from).count());
}

}  // namespace

Status DispatchOptions::validate() const {
  if (lanes < 1 || lanes > limits::lanes_max) {
    return Status::invalid_argument("lanes", "must be between 1 and 64");
  }
  if (batch_max < 1 || batch_max > limits::batch_weight_max) {
    return Status::invalid_argument("batch_max", "must be between 1 and 65536");
  }
  if (!(target_batches >= 1.0 && target_batches <= 1'000.0)) {
    return Status::invalid_argument("target_batches", "must be between 1 and 1000");
  }
  if (target_min.count() < 0 || target.count() < 0 || first_guess.count() <= 0 ||
      guest_most.count() < 0) {
    return Status::invalid_argument("target", "times must be positive");
  }
  if (!(bulk_share >= 0.0 && background_share >= 0.0 && bulk_share + background_share <= 0.5)) {
    return Status::invalid_argument("bulk_share", "reserved shares must be between 0 and 0.5");
  }
  if (works_max < 1 || peer_works_max < 1 || bytes_max < 1) {
    return Status::invalid_argument("works_max", "bounds must be at least 1");
  }
  return {};
}

Dispatch::Dispatch(const DispatchOptions& options, const engine::Clock& clock)
    : state_(std::make_unique<State>(options, clock)) {}

Dispatch::~Dispatch() {
  stop();
}

std::shared_ptr<Peer> Dispatch::join() {
  return std::make_shared<Peer>();
}

// Finishes a work that left the books; count_finished() comes after.
void Dispatch::finish(Work& work, const Outcome& outcome) {
  work.finish(outcome);
  work.ticket_.release();
}

// Once for a whole batch: submit() wants this lock for every request.
void Dispatch::count_finished(std::size_t count) {
  const auto lock = lock_briefly(state_->mutex);
  state_->unfinished -= count;
  if (state_->unfinished == 0) state_->went_idle.notify_all();
}

void Dispatch::finish_dropped(Work& work, Status status, const Load& load) {
  Outcome outcome;
  outcome.status = std::move(status);
  outcome.stages.queue_ns = ns_between(work.admitted_, state_->clock.steady_now());
  outcome.load = load;
  finish(work, outcome);
  count_finished(1);
}

std::optional<Refusal> Dispatch::submit(std::shared_ptr<Work> work, bool* guest) {
  std::shared_ptr<Work> gone;
  Load load;
  {
    const std::size_t bytes = work->terms().bytes;
    const auto lock = lock_briefly(state_->mutex);
    State& state = *state_;
    bool taken = false;
    bool trial = false;
    std::optional<Refusal> refusal = state.check_bounds(*work, taken);
    if (!refusal.has_value()) {
      const TimePoint now = state.clock.steady_now();
      Group& group = state.batcher.group(work->terms().group);
      refusal = state.judge_work(*work, group, now, trial);
      if (refusal.has_value() && refusal->reason == RefusalReason::queue_time) {
        gone = state.give_way(*work);
        if (gone != nullptr) refusal.reset();
      }
      if (!refusal.has_value()) {
        if (guest != nullptr) *guest = state.suits_guest(*work, group, now);
        state.admit(std::move(work), group, now, trial);
      }
      if (gone != nullptr) {
        state.leave(*gone, StatusCode::resource_exhausted, false);
        load = state.load_now(now);
      }
    }
    if (refusal.has_value()) {
      if (taken) state.budget->give(bytes);
      ++state.totals.refused[static_cast<std::size_t>(refusal->reason)];
      return refusal;
    }
    const bool lane = guest == nullptr || !*guest;
    if (lane && state.lanes_waiting != 0) state.work_came.notify_one();
  }
  if (gone != nullptr) {
    finish_dropped(*gone, to_status({RefusalReason::share, Duration(0), Duration(0)}), load);
  }
  return std::nullopt;
}

bool Dispatch::cancel(Work& work, bool waiting_only) {
  std::shared_ptr<Work> gone;
  Load load;
  {
    const auto lock = lock_briefly(state_->mutex);
    if (work.place_ == Work::Place::running) {
      if (waiting_only) return false;
      if (work.cancelled_.exchange(true)) return true;
      State::Running& slot = state_->running[work.slot_];
      if (--slot.wanted == 0) slot.batch->stop->cancel();
      return true;
    }
    if (work.place_ != Work::Place::queued) return false;
    work.cancelled_.store(true);
    Group& group = *work.flow_->queue->group;
    gone = state_->batcher.remove(work);
    state_->batcher.cost_changed(group);
    state_->leave(work, StatusCode::cancelled, false);
    load = state_->load_now(state_->clock.steady_now());
  }
  finish_dropped(*gone, Status(StatusCode::cancelled, "cancelled before it began"), load);
  return true;
}

void Dispatch::cancel_all(Peer& peer) {
  for (;;) {
    std::shared_ptr<Work> queued;
    {
      const auto lock = lock_briefly(state_->mutex);
      if (peer.newest_ != nullptr) queued = peer.newest_->self_;
    }
    if (queued == nullptr) break;
    static_cast<void>(cancel(*queued));
  }
  std::vector<std::shared_ptr<Work>> running;
  {
    const auto lock = lock_briefly(state_->mutex);
    for (const State::Running& slot : state_->running) {
      if (slot.batch == nullptr) continue;
      for (const std::shared_ptr<Work>& work : slot.batch->works) {
        if (work->peer_.get() == &peer) running.push_back(work);
      }
    }
  }
  for (const std::shared_ptr<Work>& work : running) static_cast<void>(cancel(*work));
}

Load Dispatch::load(const Peer& peer) const {
  const auto lock = lock_briefly(state_->mutex);
  Load load = state_->load_now(state_->clock.steady_now());
  const auto own =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(peer.in_flight_weight_, UINT32_MAX));
  // Who has nothing in flight yet would be one more to share with.
  if (own == 0 && state_->peers_active != 0) {
    const std::uint64_t all = std::uint64_t{load.credits} * state_->peers_active;
    load.credits =
        static_cast<std::uint32_t>(std::max<std::uint64_t>(all / (state_->peers_active + 1), 1));
  }
  return load;
}

DispatchStats Dispatch::stats() const {
  const auto lock = lock_briefly(state_->mutex);
  State& state = *state_;
  DispatchStats stats = state.totals;
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    stats.queued[c] = state.batcher.works(static_cast<Priority>(c));
  }
  for (const State::Running& slot : state.running) {
    if (slot.batch == nullptr) continue;
    stats.running += slot.batch->works.size();
    ++stats.lanes_busy;
  }
  stats.in_flight = state.budget->works();
  stats.bytes_in_flight = state.budget->bytes();
  stats.overloaded = state.backstop.overloaded();
  const Group& group = state.batcher.group(state.last_group);
  stats.target = state.target_of(group);
  stats.slow_batch = group.cost.slow_batch();
  return stats;
}

// Finishes what closing dropped. The list belongs to the lane, as the batch does.
void Dispatch::finish_all_dropped(Batch& batch, const Load& load) {
  for (Dropped& dropped : batch.dropped) {
    const bool expired = dropped.why == Dropped::Why::expired;
    finish_dropped(*dropped.work,
                   expired ? Status(StatusCode::deadline_exceeded,
                                    "its deadline came before its turn; nothing was done")
                           : to_status({RefusalReason::queue_time, Duration(0), Duration(0)}),
                   load);
  }
  batch.dropped.clear();
}

bool Dispatch::close_locked(Batch& batch, Load& load) {
  const TimePoint now = state_->clock.steady_now();
  batch.dropped.clear();
  // Once stopped, what waits is stop()'s to answer: nothing begins any more.
  const bool closed = !state_->stopped && state_->open_batch(batch, now);
  for (const Dropped& dropped : batch.dropped) {
    state_->leave(*dropped.work,
                  dropped.why == Dropped::Why::expired ? StatusCode::deadline_exceeded
                                                       : StatusCode::resource_exhausted,
                  false);
  }
  if (!batch.dropped.empty()) load = state_->load_now(now);
  return closed;
}

bool Dispatch::close(Batch& batch) {
  Load load;
  bool closed = false;
  {
    const auto lock = lock_briefly(state_->mutex);
    closed = close_locked(batch, load);
  }
  finish_all_dropped(batch, load);
  return closed;
}

bool Dispatch::wait(Batch& batch) {
  for (;;) {
    Load load;
    bool closed = false;
    {
      auto lock = lock_briefly(state_->mutex);
      closed = close_locked(batch, load);
      if (!closed && batch.dropped.empty()) {
        if (state_->stopped) return false;
        ++state_->lanes_waiting;
        state_->work_came.wait(lock);
        --state_->lanes_waiting;
        continue;
      }
    }
    finish_all_dropped(batch, load);
    if (closed) return true;
  }
}

void Dispatch::complete(Batch& batch) {
  const TimePoint now = state_->clock.steady_now();
  if (batch.started == TimePoint{}) batch.started = batch.closed;
  Outcome outcome;
  {
    const auto lock = lock_briefly(state_->mutex);
    state_->end_batch(batch, now);
    outcome.load = state_->load_now(now);
    if (state_->stopped) {
      for (Status& status : batch.statuses) {
        if (status.code() != StatusCode::cancelled) continue;
        status = Status(StatusCode::unavailable, "the server stopped before it was done");
      }
    }
  }
  outcome.stages = batch.stages;
  outcome.stages.batch_ns = ns_between(batch.closed, batch.started);
  outcome.stages.run_ns = ns_between(batch.started, now);
  outcome.batch_works = static_cast<std::uint32_t>(batch.works.size());
  outcome.batch_weight = batch.weight;
  for (std::size_t i = 0; i < batch.works.size(); ++i) {
    outcome.status = std::move(batch.statuses[i]);
    outcome.stages.queue_ns = ns_between(batch.works[i]->admitted_, batch.closed);
    finish(*batch.works[i], outcome);
    batch.works[i].reset();
  }
  count_finished(batch.works.size());
  batch.works.clear();
}

void Dispatch::wake_lane() {
  const auto lock = lock_briefly(state_->mutex);
  if (state_->batcher.works() != 0) state_->work_came.notify_one();
}

void Dispatch::drain() {
  const auto lock = lock_briefly(state_->mutex);
  state_->draining = true;
}

bool Dispatch::wait_idle(Deadline until) {
  std::unique_lock lock(state_->mutex);
  return state_->went_idle.wait_until(lock, until, [&] { return state_->unfinished == 0; });
}

void Dispatch::stop() {
  {
    const auto lock = lock_briefly(state_->mutex);
    state_->draining = true;
    state_->stopped = true;
    for (State::Running& slot : state_->running) {
      if (slot.batch != nullptr) slot.batch->stop->cancel();
    }
    state_->work_came.notify_all();
  }
  for (;;) {
    std::shared_ptr<Work> left;
    {
      const auto lock = lock_briefly(state_->mutex);
      if (state_->batcher.oldest() == nullptr) return;
      Group& group = *state_->batcher.oldest()->flow_->queue->group;
      left = state_->batcher.remove(*state_->batcher.oldest());
      state_->batcher.cost_changed(group);
      state_->leave(*left, StatusCode::unavailable, false);
    }
    finish_dropped(*left, to_status({RefusalReason::draining, Duration(0), Duration(0)}), Load{});
  }
}

}  // namespace vecserve::net
