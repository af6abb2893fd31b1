// The lock that looks a while before it sleeps: it excludes, and it waits for a holder that takes
// longer than it looks. Real threads, no sleeping.
// Always holds: no interleaving changes what is counted.
#include "net/brief_lock.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using namespace vecserve::net;

TEST_CASE("brief lock: what several threads count under it is counted once each") {
  constexpr int kThreads = 4, kEach = 20'000;
  std::mutex mutex;
  int count = 0;  // guarded by mutex
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        const auto lock = lock_briefly(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(count == kThreads * kEach);
}

TEST_CASE("brief lock: it waits for a holder that outlasts its looking, and is free afterwards") {
  std::mutex mutex;
  bool released = false;  // guarded by mutex
  bool seen = false;
  std::atomic<bool> begun{false};
  std::thread waiter;
  {
    const std::lock_guard held(mutex);
    waiter = std::thread([&] {
      begun = true;
      begun.notify_one();
      const auto lock = lock_briefly(mutex);
      seen = released;
    });
    begun.wait(false);
    for (int i = 0; i < 100 * kBriefTries; ++i) pause_a_little();
    released = true;
  }
  waiter.join();
  CHECK(seen);
  CHECK(mutex.try_lock());
  mutex.unlock();
}
