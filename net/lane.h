// The threads that run batches: each takes the next batch from a dispatch, runs it on the device,
// and completes it; and the guest, a thread that brought a work and runs it itself. Comes between
// dispatch and device.
// Threads: made by start(), ended by the destructor; the device is called by all of them at once,
// and by one guest.
// Always holds: when the destructor returns no thread runs and nothing waits in the dispatch.
#pragma once

#include <memory>

#include "net/device.h"
#include "net/dispatch.h"
#include "vecserve/status.h"

namespace vecserve::net {

class Lanes {
 public:
  // `count` threads, at most DispatchOptions::lanes. The dispatch and the device must outlive it.
  Lanes(Dispatch& dispatch, Device& device, std::uint32_t count);
  // Stops the dispatch, then waits for the threads.
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  // resource_exhausted when the system gives no thread; then nothing runs.
  [[nodiscard]] Status start();

  // Runs the next batch on this thread, as lane number `count`; for a thread to which submit() said
  // that it is a guest, and not before it did. Another lane may have been faster: then nothing is
  // left to do. Must have returned before the destructor is called.
  void run_as_guest();

 private:
  struct Threads;
  std::unique_ptr<Threads> threads_;
};

}  // namespace vecserve::net
