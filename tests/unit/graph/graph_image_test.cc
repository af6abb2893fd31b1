// Checks engine/graph/graph_image: a graph comes back as it was, saved at once or while rows are
// linked between the chunks; and bytes that are no graph are refused, each for its reason. The
// test's thread. Always holds: what is accepted is looked over by check_graph; seeds are fixed.
#include "engine/graph/graph_image.h"

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/graph_data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

using Chunks = std::vector<std::string>;

#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint32_t kNodes = 2'100;  // two chunks
constexpr std::uint32_t kBetween = 100;
#else
constexpr std::uint32_t kNodes = 5'000;
constexpr std::uint32_t kBetween = 800;
#endif
constexpr std::size_t kNodeChunks = (kNodes - 1) / GraphWriter::kChunkNodes + 1;
constexpr std::uint32_t kThird = kNodes / 5;

std::uint32_t print_of(std::uint64_t slot) {
  return static_cast<std::uint32_t>(slot * 77);
}

struct Made {
  Made(std::uint32_t dim, std::uint32_t count, std::uint64_t seed, std::size_t linked)
      : data(dim, count, seed), graph(std::make_shared<Graph>(data.axes())), linker(*graph) {
    link(0, linked);
  }
  void link(std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      REQUIRE(linker.link(GraphData::slot_of(i), data.rows[i].data()));
      graph->watermark.store(GraphData::slot_of(i) + 1);
    }
  }

  GraphData data;
  std::shared_ptr<Graph> graph;
  Linker linker;
};

template <typename Between>
Chunks save(const std::shared_ptr<Graph>& graph, const Between& between) {
  GraphWriter writer(graph, 9);
  Chunks chunks(1);
  writer.head(chunks[0]);
  for (std::string chunk; writer.next(print_of, chunk);) {
    chunks.push_back(chunk);
    between();
  }
  return chunks;
}

Chunks save(const std::shared_ptr<Graph>& graph) {
  return save(graph, [] {});
}

// Reads all chunks and makes the codes, as a restart does.
Result<std::shared_ptr<Graph>> load(const GraphData& data, const Chunks& chunks,
                                    std::uint64_t nodes_max = 1'000'000) {
  auto reader = GraphReader::begin(chunks[0], data.shape, graph_kernels_for("avx512"), nodes_max);
  VECSERVE_TRY(reader.status());
  GraphReader& image = **reader;
  CHECK(image.image().sequence == 9);
  std::vector<float> scratch(image.graph()->axes().scratch_floats());
  std::vector<GraphReader::Node> nodes;
  for (std::size_t c = 1; c < chunks.size(); ++c) {
    VECSERVE_TRY(image.add(chunks[c], nodes));
    for (const GraphReader::Node& node : nodes) {
      CHECK(node.print == print_of(node.slot));
      image.graph()->axes().encode(data.rows[GraphData::row_of(node.slot)].data(), scratch.data(),
                                   image.graph()->mutable_record(node.node));
    }
  }
  VECSERVE_TRY(image.finish());
  return image.graph();
}

// By slot: the slots of the list, marked ones negated.
std::map<std::uint64_t, std::vector<std::int64_t>> picture(const Graph& graph) {
  std::map<std::uint64_t, std::vector<std::int64_t>> lists;
  for (std::uint32_t node = 0; node < graph.nodes(); ++node) {
    if (graph.state(node) != NodeState::live) continue;
    std::vector<std::int64_t>& list = lists[graph.slot(node)];
    for (const auto& link : graph.links(node)) {
      const std::uint32_t value = link.load();
      if (value == kNoNode) continue;
      const auto slot = static_cast<std::int64_t>(graph.slot(value & kNodeMask));
      const bool child = (value & kTreeEdge) != 0 && graph.parent(value & kNodeMask) == node;
      list.push_back(child ? -slot : slot);
    }
  }
  return lists;
}

void check_whole(const Graph& graph, std::uint32_t live) {
  const GraphCheck check = check_graph(graph);
  CHECK(check.live == live);
  CHECK(check.orphans == 0);
  CHECK(check.unreachable == 0);
  CHECK(check.bad_links == 0);
}

TEST_CASE("graph image: a graph comes back with its lists, tree, codes and watermark") {
  for (const std::uint32_t dim : {3U, 120U}) {
    Made made(dim, kNodes, 41, kNodes);
    const Chunks chunks = save(made.graph);
    CHECK(chunks.size() == 1 + kNodeChunks);
    const auto loaded = load(made.data, chunks);
    REQUIRE(loaded.ok());
    const Graph& graph = **loaded;
    CHECK((picture(graph) == picture(*made.graph)));
    CHECK(graph.watermark.load() == made.graph->watermark.load());
    CHECK(graph.slot(graph.entry(0)) == made.graph->slot(made.graph->entry(0)));
    check_whole(graph, kNodes);
    std::uint32_t other_codes = 0;
    for (std::uint32_t node = 0; node < kNodes; ++node) {
      const std::uint8_t* const record = made.graph->record(node);
      other_codes +=
          std::equal(record, record + graph.axes().record_bytes(), graph.record(node)) ? 0U : 1U;
    }
    CHECK(other_codes == 0);
  }
}

TEST_CASE("graph image: what is linked between two chunks is left out, the rest is whole") {
  Made made(12, kNodes + 4 * kBetween, 42, kNodes);
  const std::uint64_t watermark = made.graph->watermark.load();
  std::size_t next = kNodes;
  const Chunks chunks = save(made.graph, [&] {
    made.link(next, next + kBetween);
    next += kBetween;
  });
  CHECK(next == kNodes + kNodeChunks * kBetween);
  const auto loaded = load(made.data, chunks);
  REQUIRE(loaded.ok());
  CHECK((*loaded)->watermark.load() == watermark);
  check_whole(**loaded, kNodes);
  for (std::uint32_t node = 0; node < kNodes; ++node) CHECK((*loaded)->slot(node) < watermark);
  // And it can be gone on with.
  spread_entries(**loaded);
  Linker linker(**loaded);
  for (std::size_t i = kNodes; i < next; ++i) {
    REQUIRE(linker.link(GraphData::slot_of(i), made.data.rows[i].data()));
  }
  check_whole(**loaded, static_cast<std::uint32_t>(next));
  GraphWalker walker(**loaded);
  for (std::size_t i = 0; i < next; i += 50) {
    const auto found = walker.walk(made.data.rows[i], 60);
    CHECK(std::count(found.begin(), found.end(), i) == 1);
  }
}

TEST_CASE(
    "graph image: nodes that a repair has freed leave no gaps, and taken ones are not mixed") {
  Made made(12, 4 * kThird, 43, 3 * kThird);
  Repair repair(*made.graph);
  repair.begin([](std::uint64_t slot) { return slot % 3 != 0; }, true);
  while (repair.busy()) repair.step(1'000);
  const std::uint32_t live = made.graph->live();
  CHECK(live == 2 * kThird);
  // The numbers that became free are given to new rows while the image is made.
  const Chunks chunks = save(made.graph, [&] {
    if (made.graph->live() == live) made.link(3 * kThird, 4 * kThird);
  });
  CHECK(made.graph->live() == live + kThird);
  const auto loaded = load(made.data, chunks);
  REQUIRE(loaded.ok());
  CHECK((*loaded)->nodes() == live);
  check_whole(**loaded, live);
  for (std::uint32_t node = 0; node < live; ++node) CHECK((*loaded)->slot(node) % 3 != 0);
}

TEST_CASE("graph image: an empty graph has no image that comes back") {
  const Made made(4, 10, 44, 0);
  const Chunks chunks = save(made.graph);
  CHECK(chunks.size() == 1);
  CHECK(load(made.data, chunks).status().code() == StatusCode::data_loss);
}

// -- Bytes that somebody made up ----------------------------------------------------------------

struct Forged {
  std::uint32_t version = 1;
  std::uint64_t watermark = 100;
  std::uint32_t nodes = 3;
  std::uint32_t root = 0;
  // Lists by node; slots are 1, 3, 5, ...
  std::vector<std::vector<std::uint32_t>> lists = {{1 | kTreeEdge, 2 | kTreeEdge}, {0, 2}, {1}};
  std::string more_head;

  [[nodiscard]] Status verdict(std::uint64_t nodes_max = 100) const {
    const GraphData data(3, 50, 45);
    std::string head;
    put_fixed(head, version);
    put_fixed(head, std::uint64_t{9});
    put_fixed(head, watermark);
    put_fixed(head, nodes);
    put_fixed(head, root);
    data.axes()->save(head);
    std::string chunk;
    for (std::size_t node = 0; node < lists.size(); ++node) {
      put_fixed(chunk, GraphData::slot_of(node));
      put_fixed(chunk, print_of(GraphData::slot_of(node)));
      put_fixed(chunk, static_cast<std::uint8_t>(lists[node].size()));
      for (const std::uint32_t link : lists[node]) put_fixed(chunk, link);
    }
    return load(data, {head + more_head, chunk}, nodes_max).status();
  }
};

TEST_CASE("graph image: forged bytes are refused, whatever is wrong with them") {
  CHECK(Forged().verdict().ok());
  CHECK(Forged().verdict(3).ok());
  CHECK(Forged().verdict(2).code() == StatusCode::data_loss);
  const auto refused = [](auto change) {
    Forged forged;
    change(forged);
    return forged.verdict().code() == StatusCode::data_loss;
  };
  constexpr std::uint32_t kChild = kTreeEdge;
  CHECK(refused([](Forged& f) { f.version = 2; }));
  CHECK(refused([](Forged& f) { f.nodes = 0; }));
  CHECK(refused([](Forged& f) { f.nodes = 2; }));
  CHECK(refused([](Forged& f) { f.nodes = 4; }));
  CHECK(refused([](Forged& f) { f.nodes = kNoNode; }));
  CHECK(refused([](Forged& f) { f.root = 3; }));
  CHECK(refused([](Forged& f) { f.root = kNoNode; }));
  CHECK(refused([](Forged& f) { f.watermark = 5; }));
  CHECK(refused([](Forged& f) { f.more_head = "x"; }));
  // Lists: out of range, itself, twice, too long.
  CHECK(refused([](Forged& f) { f.lists[2] = {3}; }));
  CHECK(refused([](Forged& f) { f.lists[2] = {kNoNode}; }));
  CHECK(refused([](Forged& f) { f.lists[2] = {2}; }));
  CHECK(refused([](Forged& f) { f.lists[2] = {0, 1, 0}; }));
  CHECK(refused([](Forged& f) { f.lists[0] = {1 | kChild, 2 | kChild, 1}; }));
  CHECK(refused([](Forged& f) { f.lists[2].assign(kDegree + 1, 1); }));
  // Trees: cut, two parents, a ring, the root as a child.
  CHECK(refused([](Forged& f) { f.lists[0] = {1 | kChild, 2}; }));
  CHECK(refused([](Forged& f) { f.lists[1] = {0, 2 | kChild}; }));
  CHECK(refused([](Forged& f) { f.lists = {{1}, {2 | kChild}, {1 | kChild}}; }));
  CHECK(refused([](Forged& f) { f.lists[2] = {0 | kChild}; }));
  CHECK_FALSE(refused([](Forged& f) { f.lists = {{1 | kChild}, {2 | kChild}, {0, 1}}; }));
}

TEST_CASE("graph image: a chunk that is cut anywhere is refused or lacks nodes") {
  Made made(3, 40, 46, 40);
  const Chunks chunks = save(made.graph);
  REQUIRE(chunks.size() == 2);
  REQUIRE(load(made.data, chunks).ok());
  for (std::size_t c = 0; c < 2; ++c) {
    for (std::size_t bytes = 0; bytes < chunks[c].size(); ++bytes) {
      Chunks cut = chunks;
      cut[c].resize(bytes);
      CHECK(load(made.data, cut).status().code() == StatusCode::data_loss);
    }
  }
}

}  // namespace
