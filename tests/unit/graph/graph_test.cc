// Checks engine/graph/graph: that nodes are handed out empty, that freed ones come again, and that
// it grows over its first chunk. The test's thread. Always holds: what is counted is looked at
// through the public members only.
#include "engine/graph/graph.h"

#include <catch2/catch.hpp>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

bool is_empty(const Graph& graph, std::uint32_t node) {
  for (const auto& link : graph.links(node)) {
    if (link.load() != kNoNode) return false;
  }
  return graph.parent(node) == kNoNode;
}

TEST_CASE("graph: a new one has no nodes and no entries") {
  const Graph graph(GraphData(8, 50, 1).axes());
  CHECK(graph.nodes() == 0);
  CHECK(graph.live() == 0);
  CHECK(graph.bytes() == 0);
  for (std::uint32_t i = 0; i < kEntries; ++i) CHECK(graph.entry(i) == kNoNode);
}

TEST_CASE("graph: nodes come empty, keep their slots over chunks, and their memory is counted") {
  Graph graph(GraphData(8, 50, 1).axes());
  const std::uint32_t count = 20'000;
  for (std::uint32_t i = 0; i < count; ++i) REQUIRE(graph.take_node(i * 3) == i);
  CHECK(graph.nodes() == count);
  CHECK(graph.live() == count);
  for (const std::uint32_t node : {0U, 1'023U, 1'024U, 8'191U, 8'192U, count - 1}) {
    CHECK(graph.slot(node) == node * 3);
    CHECK(graph.state(node) == NodeState::live);
    CHECK(is_empty(graph, node));
    CHECK(reinterpret_cast<std::uintptr_t>(graph.record(node)) % 64 == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(&graph.links(node)) % 64 == 0);
  }
  CHECK(graph.bytes() >= count * (graph.axes().record_bytes() + sizeof(Links)));
}

TEST_CASE("graph: freed nodes come again, empty") {
  Graph graph(GraphData(8, 50, 1).axes());
  const std::uint32_t node = graph.take_node(4);
  graph.mutable_links(node)[3].store(9);
  graph.set_parent(node, 5);
  graph.free_nodes({node});
  CHECK(graph.live() == 0);
  CHECK(graph.state(node) == NodeState::unused);
  CHECK(graph.take_node(6) == node);
  CHECK(graph.slot(node) == 6);
  CHECK(is_empty(graph, node));
  CHECK(graph.nodes() == 1);
  CHECK(graph.live() == 1);
}

TEST_CASE("graph: of newcomers the last ones are kept") {
  Graph graph(GraphData(8, 50, 1).axes());
  for (std::uint32_t node = 0; node < kNewcomers + 3; ++node) graph.add_newcomer(node);
  CHECK(graph.entry(newcomer_entry(0)) == kNewcomers);
  CHECK(graph.entry(newcomer_entry(2)) == kNewcomers + 2);
  CHECK(graph.entry(newcomer_entry(3)) == 3);
  for (std::uint32_t i = 0; i < kSpreadEntries; ++i) CHECK(graph.entry(i) == kNoNode);
}

}  // namespace
