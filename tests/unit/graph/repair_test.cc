// Checks engine/graph/repair: that dead rows go, what is left can be reached and found at every
// step, space comes again, and searches may run meanwhile. Threads of its own. Always holds: seeds
// are fixed; after each round the graph is looked over.
#include "engine/graph/repair.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::size_t kTurnover = 2;
#else
constexpr std::size_t kTurnover = 10;
#endif

struct Living {
  Living(std::uint32_t dim, std::uint32_t count, std::uint64_t seed)
      : data(dim, count, seed),
        graph(data.axes()),
        linker(graph),
        repair(graph),
        alive(count, false) {}

  void link(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
      alive[i] = true;
    }
    spread_entries(graph);
  }
  void begin(bool all = true) {
    repair.begin([this](std::uint64_t slot) { return alive[GraphData::row_of(slot)]; }, all);
  }
  std::uint32_t living() const {
    return static_cast<std::uint32_t>(std::count(alive.begin(), alive.end(), true));
  }
  void check_whole() const {
    const GraphCheck check = check_graph(graph);
    CHECK(check.live == living());
    CHECK(check.unreachable == 0);
    CHECK(check.orphans == 0);
    CHECK(check.bad_links == 0);
  }
  double recall(std::uint32_t ef) {
    GraphWalker walker(graph);
    std::size_t right = 0;
    std::size_t all = 0;
    for (std::size_t q = 0; q < data.rows.size(); q += data.rows.size() / 100) {
      const auto found = walker.walk(data.rows[q], ef);
      for (const std::size_t wanted :
           data.nearest(data.rows[q], 10, [this](std::size_t i) { return alive[i]; })) {
        ++all;
        right += static_cast<std::size_t>(std::count(found.begin(), found.end(), wanted));
      }
    }
    return static_cast<double>(right) / static_cast<double>(all);
  }

  GraphData data;
  Graph graph;
  Linker linker;
  Repair repair;
  std::vector<bool> alive;
};

TEST_CASE("repair: nothing to do while all rows live, or too few are dead") {
  Living living(10, 300, 31);
  living.link(0, 300);
  living.begin();
  CHECK_FALSE(living.repair.busy());
  CHECK_FALSE(living.repair.step(10));
  living.alive[5] = false;
  living.begin(false);
  CHECK_FALSE(living.repair.busy());
}

TEST_CASE("repair: at every step what lives can be reached, and afterwards the dead are gone") {
  Living living(16, 800, 32);
  living.link(0, 800);
  Dice dice(33);
  for (std::size_t i = 0; i < 800; ++i) living.alive[i] = !dice.percent(40);
  living.alive[0] = false;  // the root
  living.begin();
  REQUIRE(living.repair.busy());
  while (living.repair.busy()) {
    CHECK(living.repair.step(37));
    const GraphCheck check = check_graph(living.graph);
    CHECK(check.orphans == 0);
    CHECK(check.live == living.living());
  }
  living.check_whole();
  for (std::uint32_t node = 0; node < living.graph.nodes(); ++node) {
    if (living.graph.state(node) != NodeState::live) continue;
    for (const auto& link : living.graph.links(node)) {
      if (link.load() == kNoNode) continue;
      CHECK(living.graph.state(link.load() & kNodeMask) == NodeState::live);
    }
  }
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    const std::uint32_t entry = living.graph.entry(i);
    CHECK((entry == kNoNode || living.graph.state(entry) == NodeState::live));
  }
  CHECK(living.recall(40) > 0.95);
}

TEST_CASE("repair: when all are dead the graph is empty and can begin again") {
  Living living(10, 400, 34);
  living.link(0, 200);
  std::fill(living.alive.begin(), living.alive.end(), false);
  living.begin();
  while (living.repair.busy()) living.repair.step(50);
  CHECK(living.graph.live() == 0);
  GraphWalker walker(living.graph);
  CHECK(walker.walk(living.data.rows[0], 5).empty());
  living.link(200, 400);
  CHECK(living.graph.nodes() == 200);
  living.check_whole();
}

TEST_CASE("repair: of rows that are all equal nearly all die, and what is left hangs together") {
  for (const std::size_t last : {1U, 3U, 40U}) {
    CAPTURE(last);
    Living living(10, 1'000, 38);
    for (auto& row : living.data.rows) row = living.data.rows[0];
    living.link(0, 1'000);
    // The root keeps all its children for as long as they have living ones, and has no room.
    std::fill(living.alive.begin() + 1, living.alive.end() - static_cast<std::ptrdiff_t>(last),
              false);
    living.begin();
    while (living.repair.busy()) {
      living.repair.step(20);
      REQUIRE(check_graph(living.graph).orphans == 0);
    }
    living.check_whole();
  }
}

TEST_CASE("repair: many times their number of rows come and go, recall and space stay") {
  const std::size_t last = 600 * (kTurnover + 1);
  Living living(16, static_cast<std::uint32_t>(last), 35);
  living.link(0, 600);
  const double fresh = living.recall(40);
  for (std::size_t next = 600; next < last; next += 60) {
    for (std::size_t i = next - 600; i < next - 540; ++i) living.alive[i] = false;
    living.link(next, next + 60);
    living.begin();
    while (living.repair.busy()) living.repair.step(100);
  }
  living.check_whole();
  CHECK(living.graph.nodes() <= 720);
  CHECK(living.recall(40) > fresh - 0.03);
}

TEST_CASE("repair: a search that began before keeps the nodes that it may be on") {
  Living living(10, 300, 36);
  living.link(0, 300);
  for (std::size_t i = 0; i < 100; ++i) living.alive[i] = false;
  living.begin();
  {
    const ReadEpochs::Reading reading(living.graph.epochs);
    for (int i = 0; i < 100; ++i) living.repair.step(100);
    CHECK(living.repair.busy());
    CHECK(living.graph.take_node(1) == 300);
    living.graph.free_nodes({300});
  }
  while (living.repair.busy()) living.repair.step(100);
  living.check_whole();
}

TEST_CASE("repair: searches run while rows come and go") {
  const std::size_t last = 500 + 250 * kTurnover;
  Living living(12, static_cast<std::uint32_t>(last), 37);
  living.link(0, 500);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> walks{0};
  std::atomic<std::uint64_t> short_walks{0};
  std::vector<std::thread> readers;
  for (std::size_t t = 0; t < 2; ++t) {
    readers.emplace_back([&, t] {
      GraphWalker walker(living.graph);
      for (std::size_t i = t; !done.load(std::memory_order_relaxed); i += 2) {
        const auto found = walker.walk(living.data.rows[i % living.data.rows.size()], 20);
        short_walks.fetch_add(found.size() < 20 ? 1U : 0U);
        walks.fetch_add(1);
      }
    });
  }
  for (std::size_t next = 500; next < last; next += 50) {
    for (std::size_t i = next - 500; i < next - 450; ++i) living.alive[i] = false;
    living.link(next, next + 50);
    living.begin();
    while (living.repair.busy()) living.repair.step(64);
  }
  done.store(true);
  for (auto& reader : readers) reader.join();
  CHECK(walks.load() > 0);
  CHECK(short_walks.load() == 0);
  living.check_whole();
}

}  // namespace
