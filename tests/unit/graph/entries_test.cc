// Checks engine/graph/entries: that every cluster gets an entry, that entries are live nodes, and
// that rows of many clusters are found although their nodes name hardly any others. The test's
// thread. Always holds: rows are seeded.
#include "engine/graph/entries.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kClusters = 200;

// Far more apart from each other than wide, and wide in all directions.
GraphData clustered(std::uint32_t count) {
  GraphData data(40, count, 51);
  Dice dice(52);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    const std::uint64_t cluster = i % kClusters;
    for (std::uint32_t c = 0; c < data.dim; ++c) {
      data.rows[i][c] = static_cast<float>(mix64(cluster * 100 + c) % 1000) +
                        static_cast<float>(dice.below(1000)) * 0.05f;
    }
  }
  return data;
}

TEST_CASE("entries: every cluster has one, and every row of it is found") {
  const GraphData data = clustered(5'000);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < data.rows.size(); ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
    if (i == 1'000 || i == 2'000 || i == 4'000) spread_entries(graph);
  }
  spread_entries(graph);
  std::set<std::size_t> clusters;
  for (std::uint32_t i = 0; i < kEntries; ++i) {
    const std::uint32_t entry = graph.entry(i);
    if (entry == kNoNode) continue;
    CHECK(graph.state(entry) == NodeState::live);
    clusters.insert(GraphData::row_of(graph.slot(entry)) % kClusters);
  }
  CHECK(clusters.size() == kClusters);
  GraphWalker walker(graph);
  std::uint32_t missed = 0;
  for (std::size_t i = 0; i < data.rows.size(); i += 3) {
    const auto found = walker.walk(data.rows[i], 30);
    missed += std::find(found.begin(), found.end(), i) == found.end() ? 1U : 0U;
  }
  CHECK(missed == 0);
}

bool has_entry_from(const Graph& graph, std::uint32_t first) {
  for (std::uint32_t i = 0; i < kSpreadEntries; ++i) {
    if (graph.entry(i) != kNoNode && graph.entry(i) >= first) return true;
  }
  return false;
}

TEST_CASE("entries: chosen anew for half as many changes as nodes, or few when there is time") {
  const GraphData data(16, 1'600, 54);
  Graph graph(data.axes());
  Linker linker(graph);
  for (std::size_t i = 0; i < 1'000; ++i) REQUIRE(linker.link(2 * i + 1, data.rows[i].data()));
  EntrySpreader spreader(graph);
  CHECK_FALSE(spreader.spread_if_due(true));
  spreader.changed(499);
  CHECK_FALSE(spreader.spread_if_due(false));
  CHECK(graph.entry(head_entry(0)) == kNoNode);
  spreader.changed(1);
  CHECK(spreader.spread_if_due(false));
  CHECK(graph.entry(head_entry(0)) != kNoNode);
  CHECK_FALSE(spreader.spread_if_due(true));
  // A crowd of 20 that came last.
  for (std::size_t i = 1'000; i < 1'020; ++i) {
    REQUIRE(linker.link(2 * i + 1, std::vector<float>(16, static_cast<float>(500 + i)).data()));
  }
  spreader.changed(15);
  CHECK_FALSE(spreader.spread_if_due(true));
  CHECK_FALSE(has_entry_from(graph, 1'000));
  spreader.changed(5);
  CHECK_FALSE(spreader.spread_if_due(false));
  CHECK(spreader.spread_if_due(true));
  CHECK(has_entry_from(graph, 1'000));
  CHECK_FALSE(spreader.spread_if_due(true));
}

TEST_CASE("entries: a graph of one node and one of none") {
  const GraphData data(8, 5, 53);
  Graph graph(data.axes());
  spread_entries(graph);
  CHECK(graph.entry(0) == kNoNode);
  Linker linker(graph);
  REQUIRE(linker.link(1, data.rows[0].data()));
  spread_entries(graph);
  CHECK(graph.entry(0) == 0);
  CHECK(graph.entry(head_entry(0)) == 0);
  CHECK(graph.entry(head_entry(1)) == kNoNode);
}

}  // namespace
