// Checks engine/mirror_tail: who waits for the mirror, how long, and who never does. Writers are
// threads of their own where somebody has to move the watermark for them. Always holds: nothing
// here depends on how fast a thread is.
#include "engine/mirror_tail.h"

#include <catch2/catch.hpp>
#include <thread>

namespace {

using vecserve::engine::MirrorTail;
constexpr std::uint64_t kMost = MirrorTail::kTailMax;

TEST_CASE("mirror tail: nobody waits before the mirror has caught up once, nor for a short tail") {
  MirrorTail tail;
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
  MirrorTail tail;
  tail.end_pass(true);
  std::atomic<bool> through{false};
  std::thread keeper([&] {
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
  MirrorTail tail;
  tail.end_pass(true);
  REQUIRE(tail.slow_writer(kMost));
  std::thread keeper([&] { tail.end_pass(false); });
  while (tail.slow_writer(kMost)) {
  }
  keeper.join();
  CHECK_FALSE(tail.slow_writer(10 * kMost));
  tail.end_pass(true);
  CHECK(tail.slow_writer(kMost));
}

TEST_CASE("mirror tail: the watermark never falls") {
  MirrorTail tail;
  tail.advance(100);
  tail.advance(40);
  CHECK(tail.watermark() == 100);
}

}  // namespace
