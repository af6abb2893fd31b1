// The three ways through a server, each a dispatch with lanes of its own so that none starves
// another: searches (batched, two lanes), writes (each alone, many lanes, so that the engine makes
// one group commit of those that wait for the disk together) and reads (rows by id, pages, counts,
// administration).
// Comes after the session; owns the threads that run the engine.
// Always holds: a work goes to exactly one of the three; after stop() none waits in any, and
// wait_idle() tells when those that ran have ended.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/base/clock.h"
#include "net/device.h"
#include "net/dispatch.h"
#include "net/lane.h"
#include "vecserve/status.h"

namespace vecserve::net {

struct ServingOptions {
  DispatchOptions searches{};
  DispatchOptions writes = write_defaults();  // weight: rows / 64, at least 1
  DispatchOptions reads = read_defaults();

  // 16 lanes: so many writes can share one fsync. Target: 2 s.
  [[nodiscard]] static DispatchOptions write_defaults();
  // 4 lanes. Target: 1 s.
  [[nodiscard]] static DispatchOptions read_defaults();
  [[nodiscard]] Status validate() const;
};

// One connection in each of the three.
struct PeerSet {
  std::shared_ptr<Peer> searches;
  std::shared_ptr<Peer> writes;
  std::shared_ptr<Peer> reads;
};

class Serving {
 public:
  // Searches run as one Collection::search per batch.
  Serving(const ServingOptions& options, const engine::Clock& clock);
  // Searches run on the caller's device, such as one that only takes the time of a batch: the
  // server above stays the real one. It must outlive the serving core, is called by
  // options.searches.lanes threads at once and by no guest, and gives each SearchWork of a batch
  // its answers, or a status.
  Serving(const ServingOptions& options, const engine::Clock& clock, Device& search_device);
  // Stops.
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  // Starts the lanes' threads.
  [[nodiscard]] Status start();

  // For a thread that searches().submit() made a guest.
  void run_search_as_guest();

  [[nodiscard]] Dispatch& searches();
  [[nodiscard]] Dispatch& writes();
  [[nodiscard]] Dispatch& reads();
  [[nodiscard]] const Dispatch& searches() const;
  [[nodiscard]] const Dispatch& writes() const;
  [[nodiscard]] const Dispatch& reads() const;
  [[nodiscard]] SearchGroups& groups();

  [[nodiscard]] PeerSet join();
  void cancel_all(const PeerSet& peers);

  void drain();                                  // takes nothing new
  [[nodiscard]] bool wait_idle(Deadline until);  // all admitted works were finished
  void stop();                                   // answers what is left, at once

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vecserve::net
