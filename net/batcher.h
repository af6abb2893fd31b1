// The queues of works that wait, and how the next batch is taken from them: by class with reserved
// shares, groups of one class in turn, connections of one group in turn. Comes between admission
// and a free lane; knows neither threads nor the clock.
// Guarded by the dispatch's mutex. Queueing, removing and taking a work take bounded time and, once
// warm, allocate nothing.
// Always holds: a group is in the ring of a class if and only if works of that class wait in it; a
// flow exists if and only if works of its peer wait there.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "net/batch.h"
#include "net/cost_model.h"
#include "net/work.h"

namespace vecserve::net {

struct ClassQueue;
struct Group;

// One connection, as fairness sees it. Everything in it is the core's.
class Peer {
 public:
  Peer() = default;
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

 private:
  friend class Batcher;
  friend class Dispatch;
  std::vector<Flow*> flows_;         // where works of it wait
  Work* newest_ = nullptr;           // of those that wait
  std::uint64_t queued_weight_ = 0;  // of the same
  std::uint32_t in_flight_ = 0;      // works, waiting and running
  std::uint64_t in_flight_weight_ = 0;
};

// Works of one peer that wait in one class of one group: in the order in which they came, but for
// those that went ahead because their time ends sooner.
struct Flow {
  Peer* peer = nullptr;
  ClassQueue* queue = nullptr;
  Work* head = nullptr;
  Work* tail = nullptr;
  Flow* next = nullptr;  // ring of the queue's flows
  Flow* before = nullptr;
  std::int64_t deficit = 0;  // weight it may send before it is the next one's turn
};

struct ClassQueue {
  Group* group = nullptr;
  Priority priority = Priority::interactive;
  Flow* turn = nullptr;  // null: nothing waits
  std::uint32_t works = 0;
  std::uint64_t weight = 0;
  ClassQueue* next = nullptr;  // ring of the class
  ClassQueue* before = nullptr;
};

struct Group {
  Group(GroupId id_in, Duration first_guess, std::uint32_t batch_max);
  GroupId id;
  CostModel cost;
  std::array<ClassQueue, kPriorityCount> queues;
  std::array<Duration, kPriorityCount> drain{};  // of this class and those above, as last counted
  std::uint32_t running = 0;                     // batches on lanes
  std::uint64_t used = 0;                        // when it was last pushed to, in pushes

  [[nodiscard]] bool alone() const { return id == kAlone; }
  [[nodiscard]] std::uint64_t weight() const;
  [[nodiscard]] std::uint32_t works() const;
};

struct BatcherOptions {
  std::uint32_t batch_max = 256;
  Duration first_guess{500'000};
  double bulk_share = 0.05;
  double background_share = 0.02;
};

// How close() takes works.
struct ClosePolicy {
  bool newest_first = false;              // within a connection, while overloaded
  Duration shed_above = Duration::max();  // what waited longer is dropped
  // What waited longer goes before all turns, oldest first: turns even out who waits, but nobody is
  // to wait much longer than was predicted when it came.
  Duration rush_above = Duration::max();
  Duration running{0};  // left of batches on other lanes, which the new one shares the device with
  bool keep_late = false;  // what has expired is served all the same
};

class Batcher {
 public:
  explicit Batcher(const BatcherOptions& options);
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Finds or makes the group; forgets an idle one when there are too many.
  [[nodiscard]] Group& group(GroupId id);

  // Time of the device for what waits before a new work of this kind, and for its own batch.
  struct Wait {
    Duration queued{0};
    Duration own{0};
    Duration of_class{0};  // what waits of its own class alone
    double share = 1.0;    // of the device that its class is sure of
  };
  [[nodiscard]] Wait wait_of(Group& group, Priority priority, std::uint32_t weight) const;

  void push(std::shared_ptr<Work> work, Group& group, TimePoint now);
  // `work` must wait here. Hands back what kept it alive.
  std::shared_ptr<Work> remove(Work& work);

  // Takes the next batch: works, weight, group, deadline and closed of `batch` are set, and
  // dropped ones appended. False: nothing was left to serve.
  bool close(Batch& batch, TimePoint now, const ClosePolicy& policy, std::vector<Dropped>& dropped);
  // Looks at a few of those that wait, in turn, and takes out what has expired or is to be shed.
  void sweep(TimePoint now, const ClosePolicy& policy, std::vector<Dropped>& dropped);
  // A batch of this group was measured: predictions change.
  void cost_changed(Group& group);

  // The peer with the most weight waiting, or nearly; null: nothing waits.
  [[nodiscard]] Peer* heaviest() const { return heaviest_; }
  // How long a work has waited; for lower classes in the time of the share that they are sure of.
  [[nodiscard]] Duration delay_of(const Work& work, TimePoint now) const;
  [[nodiscard]] Duration standing_delay(TimePoint now) const;  // of those that wait longest
  [[nodiscard]] Work* oldest() const { return oldest_; }

  [[nodiscard]] std::uint32_t works() const { return works_[0] + works_[1] + works_[2]; }
  [[nodiscard]] std::uint32_t works(Priority c) const {
    return works_[static_cast<std::size_t>(c)];
  }
  [[nodiscard]] std::uint64_t weight() const { return weight_; }

 private:
  struct Fill;  // one close() at work

  void enter_ring(ClassQueue& queue);
  void leave_ring(ClassQueue& queue);
  Flow& flow_of(Peer& peer, ClassQueue& queue);
  void end_flow(Flow& flow);
  void link(Work& work, Flow& flow);
  ClassQueue* pick_lead();
  static bool too_late(const Work& work, const Fill& fill);
  Work* next_work(ClassQueue& queue, const Fill& fill);
  void fill(Fill& fill, ClassQueue& lead);
  void take(Fill& fill, ClassQueue& queue, std::uint32_t weight_max);
  void forget_idle_group();
  [[nodiscard]] double share(std::size_t c) const;

  const BatcherOptions options_;
  std::unordered_map<GroupId, std::unique_ptr<Group>> groups_;
  std::uint64_t pushes_ = 0;

  // Per class: the group whose turn it is, works, device time of this class and those above, and
  // the time that the class was promised while others went first.
  std::array<ClassQueue*, kPriorityCount> turn_{};
  std::array<std::uint32_t, kPriorityCount> works_{};
  std::array<Duration, kPriorityCount> drain_{};
  std::array<double, kPriorityCount> credit_ns_{};
  std::uint64_t weight_ = 0;

  std::vector<std::unique_ptr<Flow>> flows_;  // all ever made
  std::vector<Flow*> flows_free_;
  Work* oldest_ = nullptr;  // all that wait, by time of admission
  Work* newest_ = nullptr;
  Work* swept_ = nullptr;  // where sweep() goes on
  Peer* heaviest_ = nullptr;
};

}  // namespace vecserve::net
