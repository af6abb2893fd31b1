// Checks engine/graph/beam: that walks find what is near, each node once, nearest first; what a
// filter does; and the table of nodes that were met. The test's thread. Always holds: the graph is
// made by the linker from seeded rows.
#include "engine/graph/beam.h"

#include <catch2/catch.hpp>
#include <set>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Linked {
  explicit Linked(std::uint32_t count) : data(24, count, 11), graph(data.axes()) {
    Linker linker(graph);
    for (std::size_t i = 0; i < data.rows.size(); ++i) {
      REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
    }
    spread_entries(graph);
  }
  GraphData data;
  Graph graph;
};

class OnlyEvery final : public NodeFilter {
 public:
  explicit OnlyEvery(std::uint32_t of) : of_(of) {}
  [[nodiscard]] bool passes(std::uint32_t node) const override { return node % of_ == 0; }

 private:
  std::uint32_t of_;
};

TEST_CASE("met nodes: each is new once, also when the table grows, and again after clearing") {
  MetNodes met;
  for (int round = 0; round < 2; ++round) {
    met.clear();
    for (std::uint32_t node = 0; node < 5'000; ++node) REQUIRE(met.add(node * 7));
    for (std::uint32_t node = 0; node < 5'000; ++node) REQUIRE_FALSE(met.add(node * 7));
  }
}

TEST_CASE("beam: a walk through an empty graph finds nothing") {
  const GraphData data(8, 30, 2);
  const Graph graph(data.axes());
  GraphWalker walker(graph);
  CHECK(walker.walk(data.rows[0], 10).empty());
}

TEST_CASE("beam: finds nearly all of the nearest rows, nearest first and each once") {
  Linked linked(2'000);
  GraphWalker walker(linked.graph);
  std::size_t right = 0;
  for (std::size_t q = 0; q < 100; ++q) {
    const auto& query = linked.data.rows[q * 17];
    const auto found = walker.walk(query, 40);
    CHECK(found.size() == 40);
    CHECK(std::set<std::size_t>(found.begin(), found.end()).size() == found.size());
    const auto near = walker.beam().found();
    CHECK(std::is_sorted(near.begin(), near.end(),
                         [](const Near& a, const Near& b) { return a.score < b.score; }));
    for (const std::size_t wanted :
         linked.data.nearest(query, 10, [](std::size_t) { return true; })) {
      right += static_cast<std::size_t>(std::count(found.begin(), found.end(), wanted));
    }
  }
  CHECK(right > 970);
}

TEST_CASE("beam: newcomers are where only walks begin that ask for them") {
  Linked linked(500);
  Graph& graph = linked.graph;
  // Nobody names it.
  const std::uint32_t node = graph.take_node(GraphData::slot_of(7));
  std::copy_n(graph.record(7), graph.axes().record_bytes(), graph.mutable_record(node));
  graph.add_newcomer(node);
  AlignedBuffer codes(graph.axes().record_bytes());
  GraphProbe probe;
  graph.axes().make_probe(graph.record(node), reinterpret_cast<std::int8_t*>(codes.data()), probe);
  const auto finds = [&](bool newcomers) {
    Beam beam;
    beam.walk(graph, probe, {20, UINT32_MAX, newcomers});
    return std::any_of(beam.found().begin(), beam.found().end(),
                       [node](const Near& near) { return near.node == node; });
  };
  CHECK_FALSE(finds(false));
  CHECK(finds(true));
}

TEST_CASE("beam: steps_max ends a walk") {
  Linked linked(500);
  Beam beam;
  AlignedBuffer codes(linked.graph.axes().record_bytes());
  GraphProbe probe;
  linked.graph.axes().make_probe(linked.graph.record(3),
                                 reinterpret_cast<std::int8_t*>(codes.data()), probe);
  beam.walk(linked.graph, probe, {100, 5});
  CHECK(beam.steps() == 5);
  CHECK_FALSE(beam.walk_filtered(linked.graph, probe, {100, 5}, OnlyEvery(50)));
}

TEST_CASE("beam: with a filter only what passes is found, and as many as there are") {
  Linked linked(1'000);
  Beam beam;
  AlignedBuffer codes(linked.graph.axes().record_bytes());
  GraphProbe probe;
  linked.graph.axes().make_probe(linked.graph.record(30),
                                 reinterpret_cast<std::int8_t*>(codes.data()), probe);
  CHECK(beam.walk_filtered(linked.graph, probe, {20, UINT32_MAX}, OnlyEvery(10)));
  CHECK(beam.found().size() == 20);
  for (const Near& near : beam.found()) CHECK(near.node % 10 == 0);
  CHECK(beam.found().front().node == 30);
  // More are wanted than there are: every node is met.
  CHECK(beam.walk_filtered(linked.graph, probe, {20, UINT32_MAX}, OnlyEvery(100)));
  CHECK(beam.found().size() == 10);
}

}  // namespace
