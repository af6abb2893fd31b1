// A graph as chunks of bytes, and back. Comes between a graph and the cache of its collection;
// knows neither files nor rows. What is kept: the axes, and of each node the slot of its row, a
// fingerprint of that, and its list with the marks of the tree. What is not: codes, which are
// cheaper to make again from the vectors than to keep twice as many bytes; parents, which the
// marks tell; entries, which are chosen anew. The keeper's thread.
//
// One image while the graph changes: between begin and the last chunk rows may be linked, but
// nothing is repaired. Then of the nodes of the beginning none goes, none gets another parent, and
// no mark between two of them changes; lists may be younger than the beginning, and what they name
// that was not there then is left out. So the image is a graph of exactly those nodes, and its tree
// is whole, whenever its chunks were made.
// Always holds: bytes that GraphReader accepts are a graph as graph.h wants it, whoever wrote them;
// it takes memory for nodes as their bytes come, and for no more than it was told.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/graph/graph.h"
#include "vecserve/status.h"

namespace vecserve::engine {

// What an image says of itself.
struct GraphImage {
  std::uint64_t sequence = 0;   // of the last write that it knows of
  std::uint64_t watermark = 0;  // rows of slots below are its nodes, if they are alive
  std::uint32_t nodes = 0;
};

class GraphWriter {
 public:
  static constexpr std::uint32_t kChunkNodes = 2'048;

  // All live nodes of slots below the watermark. Costs a look at each node.
  GraphWriter(std::shared_ptr<const Graph> graph, std::uint64_t sequence);

  [[nodiscard]] const GraphImage& image() const { return image_; }
  // The first chunk. It may be empty of nodes, when there is nothing to save: then nothing follows.
  void head(std::string& chunk) const;
  // The next nodes, with what `print` says of their slots; false at the end.
  bool next(const std::function<std::uint32_t(std::uint64_t slot)>& print, std::string& chunk);

 private:
  void put_node(std::uint32_t node, std::uint32_t print, std::string& chunk) const;

  const std::shared_ptr<const Graph> graph_;
  GraphImage image_;
  std::vector<std::uint32_t> numbers_;  // of the graph's nodes in the image, or kNoNode
  std::uint32_t next_ = 0;
};

class GraphReader {
 public:
  struct Node {
    std::uint32_t node = 0;
    std::uint64_t slot = 0;
    std::uint32_t print = 0;
  };

  // From the first chunk. data_loss when it is none of a graph over this shape with at most
  // `nodes_max` nodes.
  [[nodiscard]] static Result<std::unique_ptr<GraphReader>> begin(std::string_view head,
                                                                  const RowShape& shape,
                                                                  const GraphKernels& kernels,
                                                                  std::uint64_t nodes_max);

  [[nodiscard]] const GraphImage& image() const { return image_; }
  // Nobody else has it before finish(); the caller fills the records of its nodes.
  [[nodiscard]] const std::shared_ptr<Graph>& graph() const { return graph_; }
  // The nodes of one more chunk, into `nodes`.
  [[nodiscard]] Status add(std::string_view chunk, std::vector<Node>& nodes);
  // When there are no more chunks: all nodes are there, and the marks make a tree of them.
  [[nodiscard]] Status finish();

 private:
  GraphReader(const GraphImage& image, std::uint32_t root, std::shared_ptr<Graph> graph)
      : image_(image), root_(root), graph_(std::move(graph)) {}
  bool read_list(ByteReader& in, std::uint32_t node);

  GraphImage image_;
  std::uint32_t root_;
  std::shared_ptr<Graph> graph_;
};

}  // namespace vecserve::engine
