// Checks engine/graph/strays: that nodes which only a far parent knows are found by a walk to their
// own place after one round, that the tree stays whole, that rounds are bounded, and that equal
// rows are left alone. The test's thread. Always holds: graphs are made by the linker from seeded
// rows, then damaged by hand.
#include "engine/graph/strays.h"

#include <catch2/catch.hpp>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kRows = 2'000;

struct Grown {
  Grown() : Grown(GraphData(24, kRows, 51)) {}
  explicit Grown(GraphData data_in) : data(std::move(data_in)), graph(data.axes()), linker(graph) {
    for (std::size_t i = 0; i < data.rows.size(); ++i) {
      REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
    }
    spread_entries(graph);
  }

  bool finds(std::uint32_t row) {
    GraphWalker walker(graph);
    const auto found = walker.walk(data.rows[row], kOwnBeam);
    return std::find(found.begin(), found.end(), row) != found.end();
  }

  // Nobody but one node, far away, knows it any more.
  bool lead_astray(std::uint32_t node) {
    for (std::uint32_t i = 0; i < kEntries; ++i) {
      if (graph.entry(i) == node) return false;
    }
    const std::uint32_t before = graph.parent(node);
    std::uint32_t far = 0;
    for (std::uint32_t other = 0; other < graph.nodes(); ++other) {
      if (data.distance(data.rows[other], data.rows[node]) >
              data.distance(data.rows[far], data.rows[node]) &&
          is_leaf(other) && graph.parent(other) != node) {
        far = other;
      }
    }
    if (far == 0 || !linker.adopt(far, node)) return false;
    linker.unmark(before, node);
    for (std::uint32_t other = 0; other < graph.nodes(); ++other) {
      for (auto& link : graph.mutable_links(other)) {
        if (link.load() == node) link.store(kNoNode);
      }
    }
    return true;
  }

  bool is_leaf(std::uint32_t node) const {
    return std::none_of(graph.links(node).begin(), graph.links(node).end(), [](const auto& link) {
      return link.load() != kNoNode && (link.load() & kTreeEdge) != 0;
    });
  }

  GraphData data;
  Graph graph;
  Linker linker;
};

void check_whole(const Graph& graph) {
  const GraphCheck check = check_graph(graph);
  CHECK(check.live == graph.live());
  CHECK(check.orphans == 0);
  CHECK(check.bad_links == 0);
}

TEST_CASE("strays: after a round a narrow walk to its own place finds every node") {
  Grown grown;
  std::uint32_t astray = 0;
  for (std::uint32_t node = 30; node < kRows; node += 15) {
    if (grown.is_leaf(node) && grown.lead_astray(node)) astray += grown.finds(node) ? 0U : 1U;
  }
  REQUIRE(astray > 10);
  check_whole(grown.graph);
  Strays strays(grown.graph);
  strays.begin();
  while (strays.step(100)) check_whole(grown.graph);
  CHECK(strays.found() >= astray);
  check_whole(grown.graph);
  std::uint32_t missed = 0;
  for (std::uint32_t row = 0; row < kRows; ++row) missed += grown.finds(row) ? 0U : 1U;
  CHECK(missed == 0);
}

TEST_CASE("strays: a step looks at so many nodes, and a round at each once") {
  Grown grown;
  Strays strays(grown.graph);
  CHECK_FALSE(strays.busy());
  CHECK_FALSE(strays.step(10));
  strays.begin();
  for (std::uint32_t done = 0; done < kRows; done += 500) CHECK(strays.step(500));
  CHECK(strays.busy());
  CHECK_FALSE(strays.step(500));
  CHECK_FALSE(strays.busy());
}

TEST_CASE("strays: of many equal rows none is one") {
  GraphData data(24, 60, 7);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < 200; ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[0].data()));
  }
  Strays strays(graph);
  strays.begin();
  while (strays.step(1'000)) {
  }
  CHECK(strays.found() == 0);
  check_whole(graph);
}

TEST_CASE(
    "strays: a row that looks further from itself than others do is one when no walk meets it") {
  constexpr std::uint32_t kOdd = 20;
  Grown grown(GraphData::with_odd_rows(kRows, kOdd, 51));
  // They lie apart from all others, so that they would be where walks begin.
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    const std::uint32_t entry = grown.graph.entry(i);
    if (entry != kNoNode && entry >= kRows) grown.graph.set_entry(i, kNoNode);
  }
  std::uint32_t astray = 0;
  for (std::uint32_t node = kRows; node < kRows + kOdd; ++node) {
    if (grown.is_leaf(node) && grown.lead_astray(node)) astray += grown.finds(node) ? 0U : 1U;
  }
  REQUIRE(astray > kOdd / 2);
  Strays strays(grown.graph);
  strays.begin();
  while (strays.step(100)) check_whole(grown.graph);
  CHECK(strays.found() >= astray);
  for (std::uint32_t row = kRows; row < kRows + kOdd; ++row) {
    CAPTURE(row);
    CHECK(grown.finds(row));
  }
  // And those that walks do meet are none.
  const std::uint64_t first = strays.found();
  strays.begin();
  while (strays.step(1'000)) {
  }
  CHECK(strays.found() * 4 < first);
}

TEST_CASE("strays: an empty graph has none") {
  const GraphData data(8, 30, 2);
  Graph graph(data.axes());
  Strays strays(graph);
  strays.begin();
  CHECK_FALSE(strays.step(10));
  CHECK(strays.found() == 0);
}

}  // namespace
