// Checks engine/base/worker_pool: every index once, distinct worker numbers, the thread bound, and
// several callers at once. Runs under TSan too. Always holds: nothing here waits for a time to
// pass.
#include "engine/base/worker_pool.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace {

using vecserve::engine::WorkerPool;

TEST_CASE("worker pool: every index runs exactly once", "[base]") {
  for (const std::uint32_t threads : {1u, 2u, 4u}) {
    WorkerPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::size_t count : {0u, 1u, 2u, 3u, 17u, 1000u}) {
      CAPTURE(threads, count);
      std::vector<std::atomic<int>> runs(count);
      pool.parallel_for(count, threads,
                        [&](std::size_t index, std::uint32_t) { runs[index].fetch_add(1); });
      for (const auto& run : runs) CHECK(run.load() == 1);
    }
  }
}

TEST_CASE("worker pool: no two threads of a call share a worker number", "[base]") {
  WorkerPool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::atomic<int>> inside(3);
    std::atomic<bool> shared{false};
    std::atomic<bool> beyond{false};
    pool.parallel_for(64, 3, [&](std::size_t, std::uint32_t worker) {
      if (worker >= 3) {
        beyond = true;
        return;
      }
      if (inside[worker].fetch_add(1) != 0) shared = true;
      inside[worker].fetch_sub(1);
    });
    CHECK_FALSE(shared.load());
    CHECK_FALSE(beyond.load());
  }
}

TEST_CASE("worker pool: helpers really join in", "[base]") {
  // Two tasks that wait for each other can only finish on two threads.
  WorkerPool pool(2);
  std::atomic<int> arrived{0};
  pool.parallel_for(2, 2, [&](std::size_t, std::uint32_t) {
    arrived.fetch_add(1);
    while (arrived.load() < 2) std::this_thread::yield();
  });
  CHECK(arrived.load() == 2);
}

TEST_CASE("worker pool: a call alone stays on the calling thread", "[base]") {
  WorkerPool pool(4);
  const auto caller = std::this_thread::get_id();
  int elsewhere = 0;
  pool.parallel_for(100, 1, [&](std::size_t, std::uint32_t worker) {
    if (std::this_thread::get_id() != caller || worker != 0) ++elsewhere;
  });
  pool.parallel_for(1, 4, [&](std::size_t, std::uint32_t worker) {
    if (std::this_thread::get_id() != caller || worker != 0) ++elsewhere;
  });
  CHECK(elsewhere == 0);
}

TEST_CASE("worker pool: several callers at once each get their own work done", "[base]") {
  WorkerPool pool(4);
  std::vector<std::thread> callers;
  std::vector<std::uint64_t> sums(4);
  for (std::size_t caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&pool, &sums, caller] {
      for (int round = 0; round < 100; ++round) {
        std::vector<std::uint64_t> per_worker(4 * 8);
        pool.parallel_for(50, 4, [&](std::size_t index, std::uint32_t worker) {
          per_worker[worker * 8] += index + caller;
        });
        for (const std::uint64_t sum : per_worker) sums[caller] += sum;
      }
    });
  }
  for (std::thread& thread : callers) thread.join();
  for (std::size_t caller = 0; caller < 4; ++caller) {
    CHECK(sums[caller] == 100 * (49 * 50 / 2 + 50 * caller));
  }
}

TEST_CASE("worker pool: a pool that did nothing closes", "[base]") {
  for (int round = 0; round < 20; ++round) {
    const auto pool = std::make_unique<WorkerPool>(4);
    CHECK(pool->threads() == 4);
  }
}

}  // namespace
