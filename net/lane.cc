// See lane.h.
// Each thread owns one Batch and uses it for all its batches; guests share one. Always holds: every
// batch that was closed is completed, whatever the device did with it.
#include "net/lane.h"

#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "net/outbox.h"

namespace vecserve::net {

struct Lanes::Threads {
  Dispatch& dispatch;
  Device& device;
  std::uint32_t count;
  std::vector<std::thread> running;
  std::mutex guest;   // one at a time
  Batch guest_batch;  // guarded by guest

  void serve(Batch& batch) const {
    device.run(batch);
    const WakesTogether together;
    dispatch.complete(batch);
  }

  void run(std::uint32_t lane) const {
    Batch batch;
    batch.lane = lane;
    while (dispatch.wait(batch)) serve(batch);
  }
};

Lanes::Lanes(Dispatch& dispatch, Device& device, std::uint32_t count)
    : threads_(new Threads{dispatch, device, count, {}, {}, {}}) {
  threads_->guest_batch.lane = count;
}

Lanes::~Lanes() {
  threads_->dispatch.stop();
  for (std::thread& thread : threads_->running) thread.join();
}

Status Lanes::start() {
  try {
    threads_->running.reserve(threads_->count);
    for (std::uint32_t lane = 0; lane < threads_->count; ++lane) {
      threads_->running.emplace_back([threads = threads_.get(), lane] { threads->run(lane); });
    }
  } catch (const std::system_error&) {
    threads_->dispatch.stop();
    for (std::thread& thread : threads_->running) thread.join();
    threads_->running.clear();
    return {StatusCode::resource_exhausted, "the system gives no thread for a lane"};
  }
  return {};
}

void Lanes::run_as_guest() {
  const std::unique_lock guest(threads_->guest, std::try_to_lock);
  if (!guest.owns_lock()) {
    threads_->dispatch.wake_lane();
  } else if (threads_->dispatch.close(threads_->guest_batch)) {
    threads_->serve(threads_->guest_batch);
  }
}

}  // namespace vecserve::net
