// Checks engine/search_lane: lanes are made on demand, reused, bounded, and given back also when a
// search fails. Threads wait on each other through the pool alone.
// Always holds: a scanner here does nothing, so that only the pool is at work.
#include "engine/search_lane.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/base/limits.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

class IdleScanner final : public Scanner {
 public:
  [[nodiscard]] std::string_view name() const override { return "idle"; }
  [[nodiscard]] bool supports(const RowShape&) const override { return true; }
  void mirror(const RowBlock&) override {}
  void forget(const RowBlock&) override {}
  [[nodiscard]] Status scan(const ScanRequest&, ScanResult&) override { return {}; }
};

TEST_CASE("search lanes: a returned lane is used again with its memory", "[engine]") {
  int made = 0;
  LanePool pool([&] {
    ++made;
    return std::make_unique<IdleScanner>();
  });
  CHECK(pool.backend() == "idle");
  CHECK(made == 1);
  SearchLane* first = nullptr;
  {
    const auto lease = pool.take();
    first = &*lease;
    lease->floats.resize(1'000);
    CHECK(lease->scanner->name() == "idle");
  }
  const auto again = pool.take();
  CHECK(&*again == first);
  CHECK(again->floats.size() == 1'000);
  CHECK(made == 1);
  const auto other = pool.take();
  CHECK(&*other != first);
  CHECK(made == 2);
}

TEST_CASE("search lanes: a search that throws gives its lane back", "[engine]") {
  int made = 0;
  LanePool pool([&] {
    ++made;
    return std::make_unique<IdleScanner>();
  });
  for (int i = 0; i < 3; ++i) {
    try {
      const auto lease = pool.take();
      throw std::runtime_error("search failed");
    } catch (const std::runtime_error&) {
    }
  }
  CHECK(made == 1);
}

TEST_CASE("search lanes: a lane that cannot be made does not count", "[engine]") {
  bool fail = false;
  LanePool pool([&]() -> std::unique_ptr<Scanner> {
    if (fail) throw std::bad_alloc();
    return std::make_unique<IdleScanner>();
  });
  const auto first = pool.take();
  fail = true;
  for (std::uint32_t i = 0; i < limits::lanes_max * 2; ++i) {
    CHECK_THROWS_AS(pool.take(), std::bad_alloc);
  }
  fail = false;
  std::vector<std::unique_ptr<LanePool::Lease>> all;
  for (std::uint32_t i = 1; i < limits::lanes_max; ++i) {
    all.emplace_back(new LanePool::Lease(pool.take()));
  }
  CHECK(all.size() == limits::lanes_max - 1);
}

TEST_CASE("search lanes: never more than the bound, and those who wait get one", "[engine]") {
  std::atomic<std::uint32_t> made{0};
  LanePool pool([&] {
    ++made;
    return std::make_unique<IdleScanner>();
  });
  std::vector<std::unique_ptr<LanePool::Lease>> all;
  for (std::uint32_t i = 0; i < limits::lanes_max; ++i) {
    all.emplace_back(new LanePool::Lease(pool.take()));
  }
  std::atomic<int> served{0};
  std::vector<std::thread> waiting;
  for (int i = 0; i < 4; ++i) {
    waiting.emplace_back([&] {
      const auto lease = pool.take();
      served += lease->scanner != nullptr ? 1 : 0;
    });
  }
  CHECK(served == 0);  // all lanes are out
  all.clear();
  for (std::thread& thread : waiting) thread.join();
  CHECK(served == 4);
  CHECK(made == limits::lanes_max);
}

TEST_CASE("search lanes: who waits for one gives up by its deadline, or when cancelled") {
  LanePool pool([] { return std::make_unique<IdleScanner>(); });
  std::vector<std::unique_ptr<LanePool::Lease>> all;
  for (std::uint32_t i = 0; i < limits::lanes_max; ++i) {
    all.emplace_back(new LanePool::Lease(pool.take()));
  }
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
  CHECK_FALSE(pool.take(StopCheck(soon, nullptr)));
  CHECK(std::chrono::steady_clock::now() >= soon);
  CancelToken cancel;
  std::thread other([&] { cancel.cancel(); });
  CHECK_FALSE(pool.take(StopCheck(kNoDeadline, &cancel)));
  other.join();
  all.pop_back();
  // A lane that is there is given whatever the time: the search itself looks next.
  CHECK(pool.take(StopCheck(soon, nullptr)));
}

}  // namespace
