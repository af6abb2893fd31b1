// Checks engine/graph/linker: that every linked row can be reached and found, by one thread and by
// several, with rows that are all equal, and while others search. Threads of its own. Always holds:
// graphs are looked over by check_graph when nobody writes.
#include "engine/graph/linker.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

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
  GraphWalker walker(graph);
  std::uint32_t missed = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const auto found = walker.walk(data.rows[i], 40);
    missed += std::find(found.begin(), found.end(), i) == found.end() ? 1U : 0U;
  }
  CHECK(missed == 0);
}

}  // namespace
