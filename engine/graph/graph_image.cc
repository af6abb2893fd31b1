// See graph_image.h. Numbers are little-endian; engine/store/FORMAT.md has the layout.
// The keeper's thread. Always holds: a number of a node is compared with the count before it is
// used; a list of the image names no node twice and not its own.
#include "engine/graph/graph_image.h"

#include <algorithm>
#include <utility>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kVersion = 1;
// Slot, fingerprint and length of a list that is empty: no node takes fewer bytes.
constexpr std::size_t kNodeBytesMin = 13;

Status damaged(const char* what) {
  return {StatusCode::data_loss, std::string("a stored graph ") + what};
}

}  // namespace

GraphWriter::GraphWriter(std::shared_ptr<const Graph> graph, std::uint64_t sequence)
    : graph_(std::move(graph)) {
  image_.sequence = sequence;
  image_.watermark = graph_->watermark.load(std::memory_order_relaxed);
  numbers_.assign(graph_->nodes(), kNoNode);
  for (std::uint32_t node = 0; node < numbers_.size(); ++node) {
    if (graph_->state(node) != NodeState::live || graph_->slot(node) >= image_.watermark) continue;
    numbers_[node] = image_.nodes++;
  }
}

void GraphWriter::head(std::string& chunk) const {
  const std::uint32_t root = graph_->entry(0);
  chunk.clear();
  put_fixed(chunk, kVersion);
  put_fixed(chunk, image_.sequence);
  put_fixed(chunk, image_.watermark);
  put_fixed(chunk, image_.nodes);
  put_fixed(chunk, root < numbers_.size() ? numbers_[root] : kNoNode);
  graph_->axes().save(chunk);
}

void GraphWriter::put_node(std::uint32_t node, std::uint32_t print, std::string& chunk) const {
  put_fixed(chunk, graph_->slot(node));
  put_fixed(chunk, print);
  const std::size_t at = chunk.size();
  put_fixed(chunk, std::uint8_t{0});
  std::uint8_t count = 0;
  for (const auto& link : graph_->links(node)) {
    const std::uint32_t value = link.load(std::memory_order_relaxed);
    if (value == kNoNode || (value & kNodeMask) >= numbers_.size()) continue;
    const std::uint32_t number = numbers_[value & kNodeMask];
    if (number == kNoNode) continue;
    const bool marked = (value & kTreeEdge) != 0 && graph_->parent(value & kNodeMask) == node;
    put_fixed(chunk, number | (marked ? kTreeEdge : 0U));
    ++count;
  }
  chunk[at] = static_cast<char>(count);
}

bool GraphWriter::next(const std::function<std::uint32_t(std::uint64_t slot)>& print,
                       std::string& chunk) {
  chunk.clear();
  std::uint32_t taken = 0;
  for (; next_ < numbers_.size() && taken < kChunkNodes; ++next_) {
    if (numbers_[next_] == kNoNode) continue;
    put_node(next_, print(graph_->slot(next_)), chunk);
    ++taken;
  }
  return taken > 0;
}

Result<std::unique_ptr<GraphReader>> GraphReader::begin(std::string_view head,
                                                        const RowShape& shape,
                                                        const GraphKernels& kernels,
                                                        std::uint64_t nodes_max) {
  ByteReader in(head);
  std::uint32_t version = 0;
  GraphImage image;
  std::uint32_t root = 0;
  if (!in.fixed(version) || version != kVersion) return damaged("is of another version");
  if (!in.fixed(image.sequence) || !in.fixed(image.watermark) || !in.fixed(image.nodes) ||
      !in.fixed(root) || image.nodes == 0 || image.nodes > kNodeMask || root >= image.nodes) {
    return damaged("begins with impossible numbers");
  }
  if (image.nodes > nodes_max) return damaged("has more nodes than there are rows");
  Result<std::shared_ptr<const CodeAxes>> axes = CodeAxes::restore(shape, kernels, in);
  VECSERVE_TRY(axes.status());
  if (!in.done()) return damaged("has more at its beginning than belongs there");
  return std::unique_ptr<GraphReader>(
      new GraphReader(image, root, std::make_shared<Graph>(std::move(*axes))));
}

bool GraphReader::read_list(ByteReader& in, std::uint32_t node) {
  std::uint8_t count = 0;
  if (!in.fixed(count) || count > kDegree) return false;
  Links& links = graph_->mutable_links(node);
  for (std::uint32_t i = 0; i < count; ++i) {
    std::uint32_t value = 0;
    if (!in.fixed(value)) return false;
    const std::uint32_t other = value & kNodeMask;
    if (other >= image_.nodes || other == node) return false;
    for (std::uint32_t before = 0; before < i; ++before) {
      if ((links[before].load(std::memory_order_relaxed) & kNodeMask) == other) return false;
    }
    links[i].store(value, std::memory_order_relaxed);
  }
  return true;
}

Status GraphReader::add(std::string_view chunk, std::vector<Node>& nodes) {
  nodes.clear();
  ByteReader in(chunk);
  while (!in.done()) {
    Node node;
    if (in.left() < kNodeBytesMin || graph_->nodes() == image_.nodes || !in.fixed(node.slot) ||
        !in.fixed(node.print) || node.slot >= image_.watermark) {
      return damaged("has a node that cannot be");
    }
    node.node = graph_->take_node(node.slot);
    if (node.node == kNoNode) return damaged("has more nodes than there can be");
    if (!read_list(in, node.node)) return damaged("has a list that cannot be");
    nodes.push_back(node);
  }
  return {};
}

Status GraphReader::finish() {
  if (graph_->nodes() != image_.nodes) return damaged("lacks nodes");
  // Every node but the root is met by one marked edge and no more: then it is a tree.
  std::vector<std::uint32_t> stack{root_};
  std::uint32_t met = 1;
  while (!stack.empty()) {
    const std::uint32_t node = stack.back();
    stack.pop_back();
    for (const auto& link : graph_->links(node)) {
      const std::uint32_t value = link.load(std::memory_order_relaxed);
      if (value == kNoNode || (value & kTreeEdge) == 0) continue;
      const std::uint32_t child = value & kNodeMask;
      if (child == root_ || graph_->parent(child) != kNoNode) return damaged("has no tree");
      graph_->set_parent(child, node);
      stack.push_back(child);
      ++met;
    }
  }
  if (met != image_.nodes) return damaged("has nodes that cannot be reached");
  graph_->set_entry(0, root_);
  graph_->watermark.store(image_.watermark, std::memory_order_release);
  return {};
}

}  // namespace vecserve::engine
