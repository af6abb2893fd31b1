// The page pool against a list of what is out: no overlaps, nothing lost, full means full.
// Comes before the mirror's tests. Test thread only.
// Always holds: the seed is printed.
#include "engine/gpu/page_pool.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

namespace {

using vecserve::engine::gpu::PagePool;

TEST_CASE("page pool: stretches never overlap and all of it comes back") {
  const std::uint64_t seed = 11;
  CAPTURE(seed);
  std::uint64_t state = seed;
  const auto random = [&] { return (state = state * 6364136223846793005u + 1) >> 33; };
  PagePool pool(64 * PagePool::kAlignment + 100);
  CHECK(pool.bytes() == 64 * PagePool::kAlignment);
  struct Out {
    std::size_t offset, bytes;
  };
  std::vector<Out> out;
  for (int step = 0; step < 5'000; ++step) {
    if (random() % 2 == 0) {
      const std::size_t bytes = 1 + random() % (5 * PagePool::kAlignment);
      const auto offset = pool.take(bytes);
      if (!offset.has_value()) continue;
      REQUIRE(*offset % PagePool::kAlignment == 0);
      REQUIRE(*offset + bytes <= pool.bytes());
      for (const Out& other : out) {
        REQUIRE((*offset >= other.offset + other.bytes || other.offset >= *offset + bytes));
      }
      out.push_back({*offset, bytes});
    } else if (!out.empty()) {
      const std::size_t index = random() % out.size();
      pool.give_back(out[index].offset, out[index].bytes);
      out.erase(out.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }
  for (const Out& left : out) pool.give_back(left.offset, left.bytes);
  CHECK(pool.used() == 0);
  CHECK(pool.take(pool.bytes()) == 0u);
  CHECK_FALSE(pool.take(1).has_value());
}

TEST_CASE("page pool: nothing and too much are refused") {
  PagePool pool(1'000);
  CHECK_FALSE(pool.take(0).has_value());
  CHECK_FALSE(pool.take(SIZE_MAX).has_value());
  CHECK_FALSE(pool.take(1'001).has_value());
  CHECK_FALSE(PagePool(0).take(1).has_value());
  CHECK_FALSE(pool.take_last(0).has_value());
  CHECK_FALSE(pool.take_last(SIZE_MAX).has_value());
  CHECK_FALSE(pool.take_last(1'001).has_value());
  CHECK(pool.used() == 0);
}

TEST_CASE("page pool: a stretch that is too small is passed over, from either end") {
  PagePool pool(9 * PagePool::kAlignment);
  for (std::size_t page = 0; page < 9; ++page) CHECK(pool.take(1) == page * PagePool::kAlignment);
  for (const std::size_t page : {0u, 3u, 4u, 5u, 8u}) {
    pool.give_back(page * PagePool::kAlignment, 1);
  }
  CHECK(pool.take(2 * PagePool::kAlignment) == 3 * PagePool::kAlignment);
  pool.give_back(3 * PagePool::kAlignment, 2 * PagePool::kAlignment);
  CHECK(pool.take_last(2 * PagePool::kAlignment) == 4 * PagePool::kAlignment);
  // What either left over is still there.
  CHECK(pool.take(1) == 0u);
  CHECK(pool.take(1) == 3 * PagePool::kAlignment);
  CHECK(pool.take(1) == 8 * PagePool::kAlignment);
  CHECK_FALSE(pool.take(1).has_value());
}

TEST_CASE("page pool: what is taken last comes from the end, and all of it can be had again") {
  PagePool pool(10 * PagePool::kAlignment);
  CHECK(pool.take_last(300) == 8 * PagePool::kAlignment);
  CHECK(pool.take(4 * PagePool::kAlignment) == 0);
  CHECK(pool.take_last(1) == 7 * PagePool::kAlignment);
  CHECK(pool.take_last(4 * PagePool::kAlignment) == std::nullopt);
  CHECK(pool.take_last(3 * PagePool::kAlignment) == 4 * PagePool::kAlignment);
  CHECK(pool.take_last(1) == std::nullopt);
  CHECK(pool.take_last(0) == std::nullopt);
  CHECK(pool.take_last(SIZE_MAX) == std::nullopt);
  pool.give_back(7 * PagePool::kAlignment, 1);
  // The last stretch that fits, not the first.
  pool.give_back(0, 4 * PagePool::kAlignment);
  CHECK(pool.take_last(1) == 7 * PagePool::kAlignment);
  CHECK(pool.take_last(1) == 3 * PagePool::kAlignment);
  pool.give_back(3 * PagePool::kAlignment, 1);
  pool.give_back(7 * PagePool::kAlignment, 1);
  pool.give_back(4 * PagePool::kAlignment, 3 * PagePool::kAlignment);
  pool.give_back(8 * PagePool::kAlignment, 300);
  CHECK(pool.used() == 0);
  CHECK(pool.take(10 * PagePool::kAlignment) == 0);
}

}  // namespace
