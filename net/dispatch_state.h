// What a dispatch holds, and the steps of it that need the lock: predicting, admitting, opening and
// ending batches. Only for dispatch.cc and its parts; split off so that the order of locking and
// finishing can be read there alone.
// Guarded by `mutex`, but for what says otherwise.
// Always holds: running has one entry per batch on a lane, and their group counts them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "net/admission.h"
#include "net/backstop.h"
#include "net/batcher.h"
#include "net/dispatch.h"
#include "net/share_clock.h"

namespace vecserve::net {

struct Dispatch::State {
  State(const DispatchOptions& options_in, const engine::Clock& clock_in);

  // -- Constant, or of any thread ---------------------------------------------------------------
  const DispatchOptions options;
  const engine::Clock& clock;
  const std::shared_ptr<Budget> budget;
  mutable std::mutex mutex;
  std::condition_variable work_came;  // lanes wait for it
  std::condition_variable went_idle;  // wait_idle() does

  // -- Guarded by mutex -------------------------------------------------------------------------
  // A batch on a lane.
  struct Running {
    Batch* batch = nullptr;  // null: free
    Group* group = nullptr;
    Duration expected{0};      // slow time of its size when it began
    Duration begun{0};         // on the share clock
    std::uint32_t wanted = 0;  // works that nobody cancelled
  };
  std::vector<Running> running;  // one for each lane, one for a guest
  ShareClock share_clock;
  Batcher batcher;
  Backstop backstop;
  GroupId last_group = kAlone;  // that ran last; load() speaks of it
  TimePoint last_trial{};
  TimePoint last_end{};          // of a batch
  std::uint64_t unfinished = 0;  // works admitted and not yet finished
  std::uint32_t lanes_waiting = 0;
  std::uint32_t peers_active = 0;  // with works in flight
  bool draining = false;
  bool stopped = false;
  DispatchStats totals;

  [[nodiscard]] Duration target_of(const Group& group) const;
  // Left of the batches on lanes: all together, and of the one that ends first.
  [[nodiscard]] Duration rest_of_running(TimePoint now, Duration& first);
  [[nodiscard]] Ahead ahead_of(Group& group, Priority priority, std::uint32_t weight,
                               TimePoint now);
  [[nodiscard]] std::optional<Refusal> judge_work(const Work& work, Group& group, TimePoint now,
                                                  bool& trial);
  [[nodiscard]] std::optional<Refusal> check_bounds(const Work& work, bool& taken);
  // Makes room at the expense of a connection that has far more waiting; null: nobody has.
  [[nodiscard]] std::shared_ptr<Work> give_way(const Work& work);
  void admit(std::shared_ptr<Work> work, Group& group, TimePoint now, bool trial);
  // Whether who brings this work, which is about to be admitted, had better run it itself.
  [[nodiscard]] bool suits_guest(const Work& work, const Group& group, TimePoint now) const;
  [[nodiscard]] ClosePolicy close_policy(TimePoint now);
  [[nodiscard]] bool open_batch(Batch& batch, TimePoint now);
  void end_batch(Batch& batch, TimePoint now);
  // Counts of a work that leaves; finish() comes after.
  void leave(Work& work, StatusCode code, bool ran);
  [[nodiscard]] Load load_now(TimePoint now);
};

}  // namespace vecserve::net
