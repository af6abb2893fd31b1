// See batcher.h.
// Runs under the dispatch's mutex. Connections take turns by surplus round robin: a flow sends
// while its deficit is positive, may overdraw it with its last work, and pays that back in later
// turns, so that heavy works get no more than their share. Always holds: all counts and rings agree
// with the works that are linked.
#include "net/batcher.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "net/limits.h"

namespace vecserve::net {

namespace {

constexpr std::size_t index_of(Priority priority) {
  return static_cast<std::size_t>(priority);
}

// Of those that wait longest, so many are looked at: the first may be of a class that waits longer.
constexpr int kOldestSeen = 8;

// A work with less time left goes ahead of so many others of its connection, at most.
constexpr int kOvertakesMax = 64;

// Device time of `weight` in batches of the group's size.
Duration drain_of(const Group& group, std::uint64_t weight, std::uint64_t works) {
  if (weight == 0) return Duration(0);
  if (group.alone()) {
    const auto each = static_cast<std::uint32_t>(weight / works);
    return group.cost.careful(each) * static_cast<Duration::rep>(works);
  }
  const std::uint64_t limit = group.cost.batch_limit();
  const Duration full = group.cost.careful(group.cost.batch_limit());
  Duration sum = full * static_cast<Duration::rep>(weight / limit);
  if (weight % limit != 0) sum += group.cost.careful(static_cast<std::uint32_t>(weight % limit));
  return sum;
}

}  // namespace

Group::Group(GroupId id_in, Duration first_guess, std::uint32_t batch_max)
    : id(id_in), cost(first_guess, id_in == kAlone ? 1 : batch_max) {
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    queues[c].group = this;
    queues[c].priority = static_cast<Priority>(c);
  }
}

std::uint64_t Group::weight() const {
  return queues[0].weight + queues[1].weight + queues[2].weight;
}

std::uint32_t Group::works() const {
  return queues[0].works + queues[1].works + queues[2].works;
}

Batcher::Batcher(const BatcherOptions& options) : options_(options) {}

// A work that waits keeps itself alive; what is left is let go, unfinished.
Batcher::~Batcher() {
  while (oldest_ != nullptr) static_cast<void>(remove(*oldest_));
}

double Batcher::share(std::size_t c) const {
  return c == 1 ? options_.bulk_share : c == 2 ? options_.background_share : 0.0;
}

// ---- groups -------------------------------------------------------------------------------------

Group& Batcher::group(GroupId id) {
  std::unique_ptr<Group>& found = groups_[id];
  if (found == nullptr) {
    found = std::make_unique<Group>(id, options_.first_guess, options_.batch_max);
    if (groups_.size() > limits::groups_max) {
      found->used = pushes_ + 1;
      Group& made = *found;
      forget_idle_group();
      return made;
    }
  }
  return *found;
}

// The one that was idle longest. There may be none; then there are as many groups as works.
void Batcher::forget_idle_group() {
  auto oldest = groups_.end();
  for (auto it = groups_.begin(); it != groups_.end(); ++it) {
    const Group& group = *it->second;
    if (group.works() != 0 || group.running != 0 || group.used > pushes_) continue;
    if (oldest == groups_.end() || group.used < oldest->second->used) oldest = it;
  }
  if (oldest != groups_.end()) groups_.erase(oldest);
}

void Batcher::cost_changed(Group& group) {
  std::uint64_t weight = 0;
  std::uint64_t works = 0;
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    weight += group.queues[c].weight;
    works += group.queues[c].works;
    const Duration now = drain_of(group, weight, works);
    drain_[c] += now - group.drain[c];
    group.drain[c] = now;
  }
}

Batcher::Wait Batcher::wait_of(Group& group, Priority priority, std::uint32_t weight) const {
  const std::size_t c = index_of(priority);
  const CostModel& cost = group.cost;
  Wait wait;
  wait.own = cost.careful(weight);
  wait.queued = drain_[c];
  wait.share = c == 0 ? 1.0 : share(c);
  wait.of_class = c == 0 ? drain_[0] : drain_[c] - drain_[c - 1];
  if (group.alone()) return wait;
  std::uint64_t before = 0;
  for (std::size_t i = 0; i <= c; ++i) before += group.queues[i].weight;
  const std::uint64_t limit = cost.batch_limit();
  const std::uint64_t partial = before % limit;
  if (partial != 0 && partial + weight <= limit) {  // it rides in a batch that forms anyway
    wait.queued -= cost.careful(static_cast<std::uint32_t>(partial));
    wait.own = cost.careful(static_cast<std::uint32_t>(partial + weight));
  }
  // Where whole batches wait already, others will fill up its own too before its turn comes.
  if (before >= limit)
    wait.own = std::max(wait.own, cost.careful(static_cast<std::uint32_t>(limit)));
  if (c == 0) {
    // Lower classes that wait take their reserved share of what goes first.
    double reserved = 0.0;
    for (std::size_t i = 1; i < kPriorityCount; ++i) reserved += works_[i] == 0 ? 0.0 : share(i);
    const auto ns = static_cast<double>(wait.queued.count());
    wait.queued = Duration(static_cast<Duration::rep>(ns / (1.0 - reserved)));
  }
  return wait;
}

Duration Batcher::delay_of(const Work& work, TimePoint now) const {
  const std::size_t c = index_of(work.terms_.priority);
  const Duration waited = now - work.admitted_;
  if (c == 0) return waited;
  return Duration(static_cast<Duration::rep>(static_cast<double>(waited.count()) * share(c)));
}

Duration Batcher::standing_delay(TimePoint now) const {
  Duration delay{0};
  const Work* work = oldest_;
  for (int i = 0; i < kOldestSeen && work != nullptr; ++i, work = work->newer_) {
    delay = std::max(delay, delay_of(*work, now));
  }
  return delay;
}

// ---- queueing -----------------------------------------------------------------------------------

void Batcher::enter_ring(ClassQueue& queue) {
  ClassQueue*& turn = turn_[index_of(queue.priority)];
  if (turn == nullptr) {
    turn = queue.next = queue.before = &queue;
    return;
  }
  queue.next = turn;  // at the end of the round
  queue.before = turn->before;
  queue.before->next = &queue;
  turn->before = &queue;
}

void Batcher::leave_ring(ClassQueue& queue) {
  const std::size_t c = index_of(queue.priority);
  if (queue.next == &queue) {
    turn_[c] = nullptr;
    credit_ns_[c] = 0.0;
  } else {
    if (turn_[c] == &queue) turn_[c] = queue.next;
    queue.next->before = queue.before;
    queue.before->next = queue.next;
  }
  queue.next = queue.before = nullptr;
}

Flow& Batcher::flow_of(Peer& peer, ClassQueue& queue) {
  for (Flow* flow : peer.flows_) {
    if (flow->queue == &queue) return *flow;
  }
  if (flows_free_.empty()) {
    flows_.push_back(std::make_unique<Flow>());
    flows_free_.reserve(flows_.size());
    flows_free_.push_back(flows_.back().get());
  }
  peer.flows_.reserve(peer.flows_.size() + 1);
  Flow& flow = *flows_free_.back();
  flows_free_.pop_back();
  flow = Flow{};
  flow.peer = &peer;
  flow.queue = &queue;
  flow.deficit = 1;
  peer.flows_.push_back(&flow);
  if (queue.turn == nullptr) {
    queue.turn = flow.next = flow.before = &flow;
    enter_ring(queue);
  } else {
    flow.next = queue.turn;
    flow.before = queue.turn->before;
    flow.before->next = &flow;
    queue.turn->before = &flow;
  }
  return flow;
}

void Batcher::end_flow(Flow& flow) {
  ClassQueue& queue = *flow.queue;
  std::vector<Flow*>& flows = flow.peer->flows_;
  *std::find(flows.begin(), flows.end(), &flow) = flows.back();
  flows.pop_back();
  if (flow.next == &flow) {
    queue.turn = nullptr;
    leave_ring(queue);
  } else {
    if (queue.turn == &flow) queue.turn = flow.next;
    flow.next->before = flow.before;
    flow.before->next = flow.next;
  }
  flows_free_.push_back(&flow);
}

// In its flow by deadline: the copy of a call that has waited elsewhere comes with what is left of
// its time, and takes its place among those that its client sent meanwhile.
void Batcher::link(Work& work, Flow& flow) {
  work.flow_ = &flow;
  Work* before = flow.tail;
  const Deadline deadline = work.terms_.deadline;
  for (int i = 0; i < kOvertakesMax && before != nullptr; ++i, before = before->before_) {
    // What may wait for ever is not overtaken: it could.
    const Deadline theirs = before->terms_.deadline;
    if (theirs <= deadline || theirs == kNoDeadline) break;
  }
  work.before_ = before;
  work.after_ = before == nullptr ? flow.head : before->after_;
  (work.before_ == nullptr ? flow.head : work.before_->after_) = &work;
  (work.after_ == nullptr ? flow.tail : work.after_->before_) = &work;
  work.newer_ = nullptr;
  work.older_ = newest_;
  (newest_ == nullptr ? oldest_ : newest_->newer_) = &work;
  newest_ = &work;
  Peer& peer = *flow.peer;
  work.peer_older_ = peer.newest_;
  work.peer_newer_ = nullptr;
  if (peer.newest_ != nullptr) peer.newest_->peer_newer_ = &work;
  peer.newest_ = &work;
}

void Batcher::push(std::shared_ptr<Work> work, Group& group, TimePoint now) {
  Work& it = *work;
  ClassQueue& queue = group.queues[index_of(it.terms_.priority)];
  link(it, flow_of(*it.peer_, queue));
  it.self_ = std::move(work);
  it.place_ = Work::Place::queued;
  it.admitted_ = now;
  group.used = ++pushes_;
  queue.works += 1;
  queue.weight += it.terms_.weight;
  works_[index_of(queue.priority)] += 1;
  weight_ += it.terms_.weight;
  it.peer_->queued_weight_ += it.terms_.weight;
  if (heaviest_ == nullptr || it.peer_->queued_weight_ > heaviest_->queued_weight_) {
    heaviest_ = it.peer_.get();
  }
  cost_changed(group);
}

std::shared_ptr<Work> Batcher::remove(Work& work) {
  Flow& flow = *work.flow_;
  ClassQueue& queue = *flow.queue;
  Peer& peer = *flow.peer;
  (work.before_ == nullptr ? flow.head : work.before_->after_) = work.after_;
  (work.after_ == nullptr ? flow.tail : work.after_->before_) = work.before_;
  (work.older_ == nullptr ? oldest_ : work.older_->newer_) = work.newer_;
  (work.newer_ == nullptr ? newest_ : work.newer_->older_) = work.older_;
  if (swept_ == &work) swept_ = work.newer_;
  if (work.peer_older_ != nullptr) work.peer_older_->peer_newer_ = work.peer_newer_;
  (work.peer_newer_ == nullptr ? peer.newest_ : work.peer_newer_->peer_older_) = work.peer_older_;
  work.flow_ = nullptr;
  queue.works -= 1;
  queue.weight -= work.terms_.weight;
  works_[index_of(queue.priority)] -= 1;
  weight_ -= work.terms_.weight;
  peer.queued_weight_ -= work.terms_.weight;
  if (heaviest_ == &peer && peer.queued_weight_ == 0) heaviest_ = nullptr;
  work.place_ = Work::Place::outside;
  if (flow.head == nullptr) end_flow(flow);
  return std::move(work.self_);
}

// ---- taking the next batch ----------------------------------------------------------------------

struct Batcher::Fill {
  Batch& batch;
  const TimePoint now;
  const ClosePolicy& policy;
  std::vector<Dropped>& dropped;
  Duration expected{0};  // of the batch: who has less than that left is not begun
};

// A trial may begin although it will hardly be done in time, but not when its time has passed.
bool Batcher::too_late(const Work& work, const Fill& fill) {
  const Deadline deadline = work.terms_.deadline;
  if (deadline == kNoDeadline || fill.policy.keep_late) return false;
  return deadline - fill.now < (work.trial_ ? Duration(1) : fill.expected);
}

// The highest class that waits, unless a lower one was promised time for a whole batch by now.
ClassQueue* Batcher::pick_lead() {
  ClassQueue* lead = nullptr;
  for (std::size_t c = kPriorityCount; c-- > 1 && lead == nullptr;) {
    if (turn_[c] == nullptr) continue;
    const Group& group = *turn_[c]->group;
    const auto weight = std::min<std::uint64_t>(turn_[c]->weight, group.cost.batch_limit());
    const auto cost =
        static_cast<double>(group.cost.median(static_cast<std::uint32_t>(weight)).count());
    if (credit_ns_[c] < cost) continue;
    credit_ns_[c] = 0.0;
    lead = turn_[c];
  }
  for (std::size_t c = 0; c < kPriorityCount && lead == nullptr; ++c) lead = turn_[c];
  if (lead == nullptr) return nullptr;
  turn_[index_of(lead->priority)] = lead->next;
  const auto weight = std::min<std::uint64_t>(lead->weight, lead->group->cost.batch_limit());
  const auto cost =
      static_cast<double>(lead->group->cost.median(static_cast<std::uint32_t>(weight)).count());
  for (std::size_t c = index_of(lead->priority) + 1; c < kPriorityCount; ++c) {
    if (turn_[c] != nullptr) credit_ns_[c] += share(c) * cost;
  }
  return lead;
}

Work* Batcher::next_work(ClassQueue& queue, const Fill& fill) {
  if (queue.turn == nullptr) return nullptr;
  if (oldest_->flow_->queue == &queue && delay_of(*oldest_, fill.now) > fill.policy.rush_above) {
    return oldest_;
  }
  const Flow* const begun = queue.turn;
  std::int64_t best = std::numeric_limits<std::int64_t>::min();
  if (begun->next == begun) queue.turn->deficit = 1;  // nobody to owe anything to
  while (queue.turn->deficit <= 0 && ++queue.turn->deficit <= 0) {
    best = std::max(best, queue.turn->deficit);
    queue.turn = queue.turn->next;
    if (queue.turn != begun) continue;
    // A whole round, and all have sent too much: skip the rounds in which that stays so.
    do {
      queue.turn->deficit -= best;
      queue.turn = queue.turn->next;
    } while (queue.turn != begun);
    best = std::numeric_limits<std::int64_t>::min();
  }
  return fill.policy.newest_first ? queue.turn->tail : queue.turn->head;
}

void Batcher::take(Fill& fill, ClassQueue& queue, std::uint32_t weight_max) {
  Batch& batch = fill.batch;
  while (Work* work = next_work(queue, fill)) {
    const WorkTerms& terms = work->terms_;
    const bool first = batch.works.empty();
    if (!first && (queue.group->alone() || batch.weight + terms.weight > weight_max)) return;
    Flow* flow = work->flow_;
    flow->deficit -= terms.weight;
    if (flow->deficit <= 0 && queue.turn == flow) queue.turn = flow->next;
    if (delay_of(*work, fill.now) > fill.policy.shed_above) {
      fill.dropped.push_back({remove(*work), Dropped::Why::shed});
    } else if (too_late(*work, fill)) {
      fill.dropped.push_back({remove(*work), Dropped::Why::expired});
    } else {
      batch.weight += terms.weight;
      batch.deadline = first ? terms.deadline : std::max(batch.deadline, terms.deadline);
      batch.works.push_back(remove(*work));
    }
  }
}

void Batcher::fill(Fill& fill, ClassQueue& lead) {
  Group& group = *lead.group;
  const std::uint32_t limit = group.cost.next_limit(group.weight());
  const auto likely = std::min<std::uint64_t>(group.weight(), limit);
  fill.expected = fill.policy.running + Duration(1);
  if (group.cost.measured()) {
    fill.expected += group.cost.careful(static_cast<std::uint32_t>(likely));
  }
  std::array<std::uint32_t, kPriorityCount> reserved{};
  std::uint32_t all_reserved = 0;
  for (std::size_t c = index_of(lead.priority) + 1; c < kPriorityCount && limit > 1; ++c) {
    if (group.queues[c].works == 0) continue;
    reserved[c] = std::max(1U, static_cast<std::uint32_t>(share(c) * limit));
    all_reserved += reserved[c];
  }
  take(fill, lead, limit - std::min(all_reserved, limit - 1));
  for (std::size_t c = 0; c < kPriorityCount; ++c) {
    if (reserved[c] != 0) take(fill, group.queues[c], fill.batch.weight + reserved[c]);
  }
  for (ClassQueue& queue : group.queues) take(fill, queue, limit);
  cost_changed(group);
}

bool Batcher::close(Batch& batch, TimePoint now, const ClosePolicy& policy,
                    std::vector<Dropped>& dropped) {
  batch.works.clear();
  batch.weight = 0;
  Fill closing{batch, now, policy, dropped};
  while (ClassQueue* lead = pick_lead()) {
    Group& group = *lead->group;
    fill(closing, *lead);
    if (batch.works.empty()) continue;
    batch.group = group.id;
    batch.closed = now;
    return true;
  }
  return false;
}

void Batcher::sweep(TimePoint now, const ClosePolicy& policy, std::vector<Dropped>& dropped) {
  for (std::uint32_t i = 0; i < limits::sweep_works && works() != 0; ++i) {
    Work* work = swept_ == nullptr ? oldest_ : swept_;
    swept_ = work->newer_;
    const bool expired = work->terms_.deadline <= now;
    if (!expired && delay_of(*work, now) <= policy.shed_above) continue;
    Group& group = *work->flow_->queue->group;
    dropped.push_back({remove(*work), expired ? Dropped::Why::expired : Dropped::Why::shed});
    cost_changed(group);
  }
}

}  // namespace vecserve::net
