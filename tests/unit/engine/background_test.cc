// Checks engine/background: passes run on their own, stop ends them for good, and an exception in
// one does not end the thread. Waits on what the pass signals, never on time.
// Always holds: every thread has ended when its case ends.
#include "engine/background.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <new>
#include <thread>

namespace {

using namespace vecserve::engine;
using std::chrono::milliseconds;

// Counts passes and lets a test wait for the n-th.
class Passes {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  void wait_for(int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return count_ >= count; });
  }
  [[nodiscard]] int count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

void nothing_first(const Background::Stopping&) {}

TEST_CASE("background: passes come again and again until stop", "[engine]") {
  Passes passes;
  Background background(milliseconds(1), nothing_first, [&] { passes.add(); });
  passes.wait_for(3);
  background.stop();
  const int at_stop = passes.count();
  background.stop();
  CHECK(passes.count() == at_stop);
}

TEST_CASE("background: stop does not wait for the period to pass", "[engine]") {
  std::atomic<int> passes{0};
  const auto start = std::chrono::steady_clock::now();
  {
    const Background background(std::chrono::hours(1), nothing_first, [&] { ++passes; });
  }
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::minutes(1));
  CHECK(passes == 0);
}

TEST_CASE("background: stop waits for the pass that is running", "[engine]") {
  Passes begun;
  std::mutex gate;
  std::atomic<bool> ended{false};
  gate.lock();
  Background background(milliseconds(1), nothing_first, [&] {
    begun.add();
    const std::lock_guard lock(gate);
    ended = true;
  });
  begun.wait_for(1);
  bool ended_at_stop = false;
  std::thread stopper([&] {
    background.stop();
    ended_at_stop = ended;
  });
  gate.unlock();
  stopper.join();
  CHECK(ended_at_stop);
}

TEST_CASE("background: a pass that throws is not the last one", "[engine]") {
  Passes passes;
  Background background(milliseconds(1), nothing_first, [&] {
    passes.add();
    throw std::bad_alloc();
  });
  passes.wait_for(2);
  background.stop();
  CHECK(passes.count() >= 2);
}

TEST_CASE("background: the first work runs at once, and is told when to give up",
          "[engine][threads]") {
  std::promise<void> begun;
  std::atomic<bool> gave_up{false};
  {
    Background background(
        std::chrono::hours(1),
        [&](const Background::Stopping& stopping) {
          begun.set_value();
          while (!stopping()) {
            std::this_thread::yield();
          }
          gave_up = true;
        },
        [] {});
    begun.get_future().wait();
    background.stop();
  }
  CHECK(gave_up);
}

}  // namespace
