// See background.h.
// Owns its thread. Always holds: the thread waits on a condition, never in a plain sleep, so that
// stop() takes no longer than the pass that is running.
#include "engine/background.h"

#include <utility>

namespace vecserve::engine {

Background::Background(std::chrono::milliseconds period, std::function<void(const Stopping&)> first,
                       std::function<void()> pass)
    : period_(period),
      first_(std::move(first)),
      pass_(std::move(pass)),
      thread_([this] { run(); }) {}

Background::~Background() {
  stop();
}

void Background::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Background::run() {
  const auto guarded_run = [](const auto& work) {
    try {
      work();
    } catch (...) {
      // Out of memory even for an error: the next pass may do better.
    }
  };
  guarded_run([this] {
    first_([this] {
      const std::lock_guard lock(mutex_);
      return stopping_;
    });
  });
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, period_, [this] { return stopping_; })) {
    lock.unlock();
    guarded_run(pass_);
    lock.lock();
  }
}

}  // namespace vecserve::engine
