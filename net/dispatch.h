// The serving core: takes works, refuses at once what cannot be done in time, lets the rest form
// batches, gives those to lanes, and answers each work once. Knows neither sockets nor vectors: the
// server, batchd and overload_sim use it alike, over different devices (net/device.h).
// Comes after the session's decoding, before the lane. Any thread may call any member; one mutex is
// held for less than a few microseconds, never while a device runs or a work is finished.
// Always holds: no lane idles while a work waits; nothing expired or cancelled starts; an admitted
// work is finished exactly once; what is in flight is the tickets alive.
//
//   transport                                   lane thread (net/lane.h), one per lane
//   ---------                                   ------------------------------------------
//   peer = dispatch.join()                      while (dispatch.wait(batch)) {
//   refusal = dispatch.submit(work)               device.run(batch);
//   ... work->finish(outcome), on a lane          dispatch.complete(batch);
//   dispatch.cancel(*work)                      }
//
// Waking a sleeping thread can cost as much as a short search. So the thread that brings a short
// work to an idle core may run it itself, as a guest among the lanes: see submit() and
// Lanes::run_as_guest().
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/base/clock.h"
#include "net/batch.h"
#include "net/work.h"
#include "vecserve/status.h"

namespace vecserve::net {

// Whether a work is let in.
enum class Admission : std::uint8_t {
  by_time,    // if it can be done within the target and its deadline; what expires is dropped
  unbounded,  // always, and served in its turn however late: what a server without bounds does,
              // kept to show what comes of it. The backstops below still hold.
};

struct DispatchOptions {
  Admission admission = Admission::by_time;
  std::uint32_t lanes = 2;        // batches in flight: the next is made ready while one runs
  std::uint32_t batch_max = 256;  // weight of a batch; a single heavier work rides alone

  // The most that a work waits and runs, as a multiple of the slow (99th percentile) time of a full
  // batch, but never less than target_min. `target` other than 0 fixes it instead.
  double target_batches = 3.0;
  Duration target_min = std::chrono::milliseconds(2);
  Duration target{0};

  Duration first_guess = std::chrono::microseconds(500);  // of one batch, before any was measured

  // The longest that a work may be expected to take for its bringer to run it; 0: none may. The
  // default is about what it costs to wake a lane and then the writer of the reply on a machine
  // whose idle processors sleep, and so the most that another connection of that thread can lose.
  Duration guest_most = std::chrono::microseconds(100);

  // Shares of every batch that lower classes keep while they wait; the rest is strictly by class.
  double bulk_share = 0.05;
  double background_share = 0.02;

  // Backstops; time is the bound that is meant to bite.
  std::uint32_t works_max = 65'536;              // in flight, queued and running
  std::uint32_t peer_works_max = 4'096;          // of these, of one peer
  std::size_t bytes_max = std::size_t{1} << 30;  // in flight

  [[nodiscard]] Status validate() const;
};

// Totals since the start, and how things stand.
struct DispatchStats {
  std::uint64_t admitted = 0;
  std::uint64_t refused[8] = {};  // by RefusalReason
  std::uint64_t completed = 0;    // ran and was finished with the device's status
  std::uint64_t expired = 0;      // of those admitted: dropped, or out of time while running
  std::uint64_t cancelled = 0;
  std::uint64_t shed = 0;  // dropped by the backstop although admitted
  std::uint64_t batches = 0;
  std::uint64_t guest_batches = 0;  // of these, run by who brought the work
  std::uint64_t batch_works = 0;    // in these
  std::uint64_t batch_weight = 0;
  std::uint64_t queued[kPriorityCount] = {};  // works that wait now
  std::uint64_t running = 0;                  // works on lanes now
  std::uint64_t in_flight = 0;                // tickets alive
  std::uint64_t bytes_in_flight = 0;
  std::uint32_t lanes_busy = 0;
  bool overloaded = false;  // the backstop is at work
  Duration target{0};       // as it stands
  Duration slow_batch{0};   // 99th percentile of a full batch, of the group that ran last
};

class Dispatch {
 public:
  // `options` must be valid; the clock must outlive the dispatch.
  Dispatch(const DispatchOptions& options, const engine::Clock& clock);
  // Stops; no lane may be inside wait(), close() or complete().
  ~Dispatch();
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  // -- Transport --------------------------------------------------------------------------------

  // A new connection, as fairness sees it: one share of the queue.
  [[nodiscard]] std::shared_ptr<Peer> join();

  // Admits the work, or says at once why not. Never blocks; refusing costs under 2 us.
  // With `guest`, which must be false: it is set when the caller had better run the work itself,
  // because nothing else is in flight, it is expected to be short, and as much time as it needs
  // has passed since the last batch, so that a busy thread is not made a lane. No lane is woken
  // then, and the caller owes a Lanes::run_as_guest().
  [[nodiscard]] std::optional<Refusal> submit(std::shared_ptr<Work> work, bool* guest = nullptr);

  // A queued work is finished as cancelled before this returns; a running one when its batch is
  // done, which is stopped early if nobody in it is left; with `waiting_only` it is left alone
  // then. False: it is not in the core any more, or left alone.
  bool cancel(Work& work, bool waiting_only = false);
  // All works of a peer, such as one that hung up.
  void cancel_all(Peer& peer);

  [[nodiscard]] Load load(const Peer& peer) const;
  [[nodiscard]] DispatchStats stats() const;

  // -- Lanes ------------------------------------------------------------------------------------

  // Closes the next batch into `batch`, which the lane owns and uses again. False: nothing waits.
  // Finishes what it drops.
  [[nodiscard]] bool close(Batch& batch);
  // The same, but waits for work. False: stopped.
  [[nodiscard]] bool wait(Batch& batch);
  // The device is done with the batch: learns its cost and finishes its works.
  void complete(Batch& batch);
  // A lane looks whether something waits: for a guest that cannot run it.
  void wake_lane();

  // -- Ending -----------------------------------------------------------------------------------

  // From here on every submit is refused as draining; what was admitted goes on.
  void drain();
  // Waits until nothing is queued or running; false when that was not so by `until`, which is
  // real time.
  [[nodiscard]] bool wait_idle(Deadline until);
  // Drains, finishes what is queued as unavailable, stops what runs, and lets the lanes' wait()
  // return false.
  void stop();

 private:
  struct State;
  void finish(Work& work, const Outcome& outcome);
  void count_finished(std::size_t count);
  void finish_dropped(Work& work, Status status, const Load& load);
  void finish_all_dropped(Batch& batch, const Load& load);
  [[nodiscard]] bool close_locked(Batch& batch, Load& load);

  std::unique_ptr<State> state_;
};

}  // namespace vecserve::net
