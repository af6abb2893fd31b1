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
  explicit Linked(std::uint32_t count) : Linked(GraphData(24, count, 11)) {}
  explicit Linked(GraphData data_in) : data(std::move(data_in)), graph(data.axes()) {
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

// Rows that look nearer to the row than it does itself, by the codes.
std::size_t before_itself(const Linked& linked, std::uint32_t node) {
  const Graph& graph = linked.graph;
  AlignedBuffer codes(graph.axes().record_bytes());
  GraphProbe probe;
  graph.axes().make_probe(graph.record(node), reinterpret_cast<std::int8_t*>(codes.data()), probe);
  std::vector<float> scores(graph.nodes());
  for (std::uint32_t i = 0; i < graph.nodes(); ++i) {
    const std::uint8_t* const record = graph.record(i);
    graph.kernels().score(probe, &record, 1, &scores[i]);
  }
  return static_cast<std::size_t>(std::count_if(scores.begin(), scores.end(),
                                                [&](float score) { return score < scores[node]; }));
}

TEST_CASE("beam: a row that the axes see little of is found, though others look nearer") {
  constexpr std::uint32_t kEf = 24;
  constexpr std::uint32_t kOdd = 20;
  Linked linked(GraphData::with_odd_rows(2'000, kOdd, 5));
  GraphWalker walker(linked.graph);
  for (std::uint32_t row = 2'000; row < 2'000 + kOdd; ++row) {
    CAPTURE(row);
    REQUIRE(before_itself(linked, row) >= kEf);
    std::vector<float> query = linked.data.rows[row];
    const auto found = walker.walk(query, kEf);
    CHECK(std::count(found.begin(), found.end(), row) == 1);
    CHECK(found.size() <= kEf + kMaybes);
    CHECK(std::set<std::size_t>(found.begin(), found.end()).size() == found.size());
    const auto near = walker.beam().found();
    CHECK(std::is_sorted(near.begin(), near.end(),
                         [](const Near& a, const Near& b) { return a.score < b.score; }));
    // So it is by a query that lies beside it.
    for (std::size_t i = 0; i < query.size(); ++i) query[i] += i % 2 == 0 ? 0.1f : -0.1f;
    const auto beside = walker.walk(query, kEf);
    CHECK(std::count(beside.begin(), beside.end(), row) == 1);
  }
}

TEST_CASE("beam: a filter holds for rows that the axes see little of as well") {
  Linked linked(GraphData::with_odd_rows(2'000, 20, 5));
  Beam beam;
  AlignedBuffer codes(linked.graph.axes().record_bytes());
  for (std::uint32_t row = 2'000; row < 2'020; ++row) {
    CAPTURE(row);
    GraphProbe probe;
    linked.graph.axes().make_probe(linked.graph.record(row),
                                   reinterpret_cast<std::int8_t*>(codes.data()), probe);
    CHECK(beam.walk_filtered(linked.graph, probe, {24, UINT32_MAX}, OnlyEvery(2)));
    const auto itself = std::count_if(beam.found().begin(), beam.found().end(),
                                      [row](const Near& near) { return near.node == row; });
    CHECK(itself == (row % 2 == 0 ? 1 : 0));
    for (const Near& near : beam.found()) CHECK(near.node % 2 == 0);
  }
}

TEST_CASE("beam: the row is found beside others of the same vector that have died") {
  GraphData data = GraphData::with_odd_rows(2'000, 1, 5);
  const std::vector<float> odd = data.rows.back();
  for (std::uint32_t i = 1; i < kMaybes; ++i) data.rows.push_back(odd);
  data.odd = kMaybes;
  Linked linked(std::move(data));
  GraphWalker walker(linked.graph);
  const auto found = walker.walk(odd, 24);
  for (std::uint32_t i = 0; i < kMaybes; ++i) {
    CHECK(std::count(found.begin(), found.end(), 2'000 + i) == 1);
  }
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
