// Checks engine/graph/linker: that every linked row can be reached and found, by one thread and by
// several, with rows that are all equal, and while others search. Threads of its own. Always holds:
// graphs are looked over by check_graph when nobody writes.
#include "engine/graph/linker.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <utility>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint32_t kManyRows = 1'200;
#else
constexpr std::uint32_t kManyRows = 3'000;
#endif

void check_whole(const Graph& graph, std::uint32_t live) {
  const GraphCheck check = check_graph(graph);
  CHECK(check.live == live);
  CHECK(check.unreachable == 0);
  CHECK(check.orphans == 0);
  CHECK(check.bad_links == 0);
}

TEST_CASE("linker: one row, then a few, are all found") {
  const GraphData data(12, 40, 21);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
    check_whole(graph, static_cast<std::uint32_t>(i + 1));
    GraphWalker walker(graph);
    CHECK(walker.walk(data.rows[i], 40).size() == i + 1);
  }
}

TEST_CASE("linker: rows that are all equal can all be reached") {
  GraphData data(12, 600, 22);
  for (auto& row : data.rows) row = data.rows[0];
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  check_whole(graph, 600);
  GraphWalker walker(graph);
  CHECK(walker.walk(data.rows[0], 50).size() == 50);
}

TEST_CASE("linker: a list begins with what leads apart, goes on with detours, and ends there") {
  GraphData data(6, 5, 27);
  data.rows = {{10, 0, 0, 0, 0, 0},   // the nearest
               {6, 10, 0, 0, 0, 0},   // nearer to that one than to the last, but not by much
               {0, -15, 0, 0, 0, 0},  // away from both
               {20, 0, 0, 0, 0, 0},   // behind the nearest
               {0, 0, 0, 0, 0, 0}};
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  std::vector<std::size_t> list;
  for (const auto& link : graph.links(graph.nodes() - 1)) {
    const std::uint32_t value = link.load();
    if (value != kNoNode) list.push_back(GraphData::row_of(graph.slot(value & kNodeMask)));
  }
  CHECK(list == std::vector<std::size_t>{0, 2, 1});
}

TEST_CASE("linker: a parent has at most so many children") {
  const GraphData data(6, 1'000, 23);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
    std::uint32_t children = 0;
    for (const auto& link : graph.links(node)) {
      const std::uint32_t value = link.load();
      if (value == kNoNode || (value & kTreeEdge) == 0) continue;
      ++children;
      CHECK(graph.parent(value & kNodeMask) == node);
    }
    CHECK(children <= kChildrenMax);
  }
}

TEST_CASE(
    "linker: also those that were neighbours already become children only while there is room") {
  const GraphData data(6, 400, 25);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
    std::vector<std::uint32_t> neighbours;
    std::uint32_t children = 0;
    for (const auto& link : graph.links(node)) {
      const std::uint32_t value = link.load();
      if (value == kNoNode) continue;
      children += (value & kTreeEdge) != 0 ? 1U : 0U;
      if ((value & kTreeEdge) == 0) neighbours.push_back(value);
    }
    for (const std::uint32_t neighbour : neighbours) {
      const bool room = children < kChildrenMax;
      CHECK(linker.adopt(node, neighbour) == room);
      children += room ? 1U : 0U;
    }
    CHECK(children <= kChildrenMax);
  }
}

TEST_CASE("linker: marked edges keep their places while the rest of a list changes") {
  const GraphData data(6, 600, 26);
  Graph graph(data.axes());
  Linker linker(graph);
  std::vector<std::vector<std::uint32_t>> before;
  std::uint32_t moved = 0;
  std::uint32_t changed = 0;
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
    before.resize(graph.nodes(), std::vector<std::uint32_t>(kDegree, kNoNode));
    for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
      for (std::uint32_t place = 0; place < kDegree; ++place) {
        const std::uint32_t now = graph.links(node)[place].load();
        const std::uint32_t then = std::exchange(before[node][place], now);
        if (then == kNoNode || then == now) continue;
        ++changed;
        moved += (then & kTreeEdge) != 0 ? 1U : 0U;
      }
    }
  }
  CHECK(changed > 0);
  CHECK(moved == 0);
}

bool names(const Graph& graph, std::uint32_t from, std::uint32_t to) {
  for (const auto& link : graph.links(from)) {
    const std::uint32_t value = link.load();
    if (value != kNoNode && (value & kNodeMask) == to) return true;
  }
  return false;
}

TEST_CASE("linker: those that a mended list names point back") {
  const GraphData data(8, 300, 27);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  constexpr std::uint32_t kMended = 150;
  std::vector<std::uint32_t> pool;
  std::vector<std::uint32_t> strangers;
  for (const auto& link : graph.links(kMended)) {
    if (link.load() != kNoNode) pool.push_back(link.load());
  }
  for (std::uint32_t node = 0; node < 300; ++node) {
    if (node == kMended || names(graph, node, kMended)) continue;
    strangers.push_back(node);
    pool.push_back(node);
  }
  linker.relink(kMended, pool);
  std::uint32_t fresh = 0;
  std::uint32_t back = 0;
  for (const std::uint32_t stranger : strangers) {
    if (!names(graph, kMended, stranger)) continue;
    ++fresh;
    back += names(graph, stranger, kMended) ? 1U : 0U;
  }
  CAPTURE(fresh);
  REQUIRE(fresh > 0);
  CHECK(back * 2 > fresh);  // full lists may have left it out again
  check_whole(graph, 300);
}

// Of the ten nearest of queries beside the later crowd, the part that walks find.
double recall_beside(const GraphData& data, const Graph& graph, std::uint32_t ef) {
  GraphWalker walker(graph);
  Dice dice(62);
  std::uint32_t right = 0;
  constexpr std::uint32_t kQueries = 60;
  for (std::uint32_t q = 0; q < kQueries; ++q) {
    const std::vector<float> query = data.in_crowd(dice, static_cast<float>(dice.below(40)));
    const auto found = walker.walk(query, ef);
    for (const std::size_t wanted : data.nearest(query, 10, [](std::size_t) { return true; })) {
      right += std::find(found.begin(), found.end(), wanted) != found.end() ? 1U : 0U;
    }
  }
  return static_cast<double>(right) / (10.0 * kQueries);
}

TEST_CASE("linker: rows that come later in a crowd of their own are linked to each other") {
  for (const std::uint32_t later : {60U, 120U}) {
    for (const float gap : {150.0f, 250.0f, 1'000.0f}) {
      CAPTURE(later, gap);
      const GraphData data = GraphData::crowds(kManyRows, later, gap, 61);
      Graph graph(data.axes());
      Linker linker(graph);
      for (std::size_t i = 0; i < data.rows.size(); ++i) {
        REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
        if (i + 1 == kManyRows) spread_entries(graph);
      }
      spread_entries(graph);
      check_whole(graph, kManyRows + later);
      CHECK(recall_beside(data, graph, 24) >= 0.97);
      CHECK(recall_beside(data, graph, 100) >= 0.99);
    }
  }
}

TEST_CASE("linker: a row beyond all others is a newcomer, one in their midst is not") {
  const GraphData data = GraphData::crowds(1'000, 1, 500.0f, 63);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < 1'000; ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
  }
  const auto newcomers = [&graph] {
    std::vector<std::uint32_t> nodes;
    for (std::uint32_t i = 0; i < kNewcomers; ++i) nodes.push_back(graph.entry(newcomer_entry(i)));
    return nodes;
  };
  const std::vector<std::uint32_t> before = newcomers();
  std::vector<float> between = data.rows[5];
  between[4] += 1.0f;
  REQUIRE(linker.link(GraphData::slot_of(2'000), between.data()));
  CHECK(newcomers() == before);
  REQUIRE(linker.link(GraphData::slot_of(1'000), data.rows[1'000].data()));
  const std::vector<std::uint32_t> after = newcomers();
  CHECK(std::count(after.begin(), after.end(), graph.nodes() - 1) == 1);
}

TEST_CASE("linker: several threads link while others search, and every row finds itself") {
  const std::uint32_t count = kManyRows;
  const GraphData data(16, count, 24);
  Graph graph(data.axes());
  {
    Linker first(graph);
    for (std::size_t i = 0; i < 200; ++i) {
      REQUIRE(first.link(GraphData::slot_of(i), data.rows[i].data()));
    }
  }
  std::atomic<bool> done{false};
  std::atomic<std::uint32_t> failed{0};
  std::thread reader([&] {
    GraphWalker walker(graph);
    for (std::size_t i = 0; !done.load(std::memory_order_relaxed); ++i) {
      const auto found = walker.walk(data.rows[i % 200], 30);
      const bool itself = std::find(found.begin(), found.end(), i % 200) != found.end();
      failed.fetch_add(found.size() < 30 || !itself ? 1U : 0U);
    }
  });
  std::vector<std::thread> linkers;
  for (std::size_t t = 0; t < 3; ++t) {
    linkers.emplace_back([&, t] {
      Linker linker(graph);
      for (std::size_t i = 200 + t; i < count; i += 3) {
        if (!linker.link(GraphData::slot_of(i), data.rows[i].data())) failed.fetch_add(1);
      }
    });
  }
  for (auto& thread : linkers) thread.join();
  done.store(true);
  reader.join();
  CHECK(failed.load() == 0);
  check_whole(graph, count);
  // As the keeper does before it says that rows are linked: crowds name each other only by chance,
  // which depends on the order in which threads came.
  spread_entries(graph);
  GraphWalker walker(graph);
  std::uint32_t missed = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = walker.walk(data.rows[i], 40);
    missed += std::find(found.begin(), found.end(), i) == found.end() ? 1U : 0U;
  }
  CHECK(missed == 0);
}

}  // namespace
