// Checks engine/mirror_tail: who waits for the mirror, how long, and who never does. Writers are
// threads of their own where somebody has to move the watermark for them. Always holds: nothing
// here depends on how fast a thread is: a writer that must not give up would wait for an hour, and
// where one is to give up nobody else moves anything.
#include "engine/mirror_tail.h"

#include <catch2/catch.hpp>
#include <thread>

namespace {

using vecserve::engine::MirrorTail;
constexpr std::uint64_t kMost = MirrorTail::kTailMax;
constexpr std::chrono::milliseconds kNone{0};
constexpr std::chrono::milliseconds kHour = std::chrono::hours(1);

// Until a writer has to wait, or went through without.
void wait_for_writer(const MirrorTail& tail, const std::atomic<bool>& through) {
  while (tail.slowed() == 0 && !through) std::this_thread::yield();
}

TEST_CASE("mirror tail: nobody waits before a pass was whole, nor for a short tail") {
  MirrorTail tail(kNone);
  CHECK_FALSE(tail.slow_writer(10 * kMost));  // a database that was just opened
  tail.advance(kMost);
  CHECK_FALSE(tail.slow_writer(10 * kMost));
  tail.end_pass(true);
  CHECK_FALSE(tail.slow_writer(2 * kMost - 1));
  CHECK(tail.slow_writer(2 * kMost));
}

TEST_CASE("mirror tail: a writer gives up when the keeper does not get on") {
  MirrorTail tail;
  tail.end_pass(true);
  const auto start = std::chrono::steady_clock::now();
  CHECK(tail.slow_writer(kMost));
  CHECK(std::chrono::steady_clock::now() - start >= MirrorTail::kPatience);
}

TEST_CASE("mirror tail: a writer waits as long as the keeper gets on, and no longer than it must") {
  MirrorTail tail(kHour);
  tail.end_pass(true);
  std::atomic<bool> through{false};
  std::thread keeper([&] {
    wait_for_writer(tail, through);
    // Each step alone is too small to let the writer through.
    for (std::uint64_t slot = 1; !through; ++slot) tail.advance(slot);
  });
  CHECK(tail.slow_writer(kMost + 5'000));
  CHECK(tail.watermark() > 5'000);
  through = true;
  keeper.join();
  CHECK_FALSE(tail.slow_writer(kMost));
}

TEST_CASE("mirror tail: rows that cannot be mirrored keep no writer waiting") {
  MirrorTail tail(kNone);
  tail.end_pass(true);
  REQUIRE(tail.slow_writer(kMost));
  tail.end_pass(false);
  CHECK_FALSE(tail.slow_writer(kMost));
  CHECK_FALSE(tail.slow_writer(10 * kMost));
  tail.end_pass(true);
  CHECK(tail.slow_writer(kMost));
}

TEST_CASE("mirror tail: who waits goes ahead as soon as a pass was not whole") {
  MirrorTail tail(kHour);
  tail.end_pass(true);
  std::atomic<bool> through{false};
  std::thread keeper([&] {
    wait_for_writer(tail, through);
    tail.end_pass(false);
  });
  CHECK(tail.slow_writer(kMost));
  through = true;
  keeper.join();
  CHECK_FALSE(tail.slow_writer(10 * kMost));
}

TEST_CASE("mirror tail: the watermark never falls") {
  MirrorTail tail;
  tail.advance(100);
  tail.advance(40);
  CHECK(tail.watermark() == 100);
}

}  // namespace
