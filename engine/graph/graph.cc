// See graph.h.
// Always holds: chunks are never moved or given back while the graph lives; a node is handed out
// with an empty list and no parent.
#include "engine/graph/graph.h"

#include <new>
#include <utility>

namespace vecserve::engine {

Graph::Graph(std::shared_ptr<const CodeAxes> axes)
    : axes_(std::move(axes)),
      record_bytes_(axes_->record_bytes()),
      links_at_(std::size_t{kChunkNodes} * record_bytes_),
      slots_at_(links_at_ + kChunkNodes * sizeof(Links)),
      parents_at_(slots_at_ + kChunkNodes * sizeof(Slot)),
      states_at_(parents_at_ + kChunkNodes * sizeof(Parent)),
      places_(kChunks * sizeof(ChunkPlace)),
      locks_(std::make_unique<std::mutex[]>(kLocks)) {
  for (auto& entry : entries_) entry.store(kNoNode, std::memory_order_relaxed);
}

void Graph::add_chunk(std::uint32_t index) {
  AlignedBuffer chunk(states_at_ + kChunkNodes * sizeof(State), AlignedBuffer::Use::full);
  std::byte* const memory = chunk.data();
  for (std::uint32_t i = 0; i < kChunkNodes; ++i) {
    auto* const links = new (memory + links_at_ + i * sizeof(Links)) Links;
    for (auto& link : *links) link.store(kNoNode, std::memory_order_relaxed);
    new (memory + slots_at_ + i * sizeof(Slot)) Slot(0);
    new (memory + parents_at_ + i * sizeof(Parent)) Parent(kNoNode);
    new (memory + states_at_ + i * sizeof(State)) State(NodeState::unused);
  }
  chunks_.push_back(std::move(chunk));
  bytes_.fetch_add(chunks_.back().size(), std::memory_order_relaxed);
  auto* const place = places_.data() + index * sizeof(ChunkPlace);
  (new (place) ChunkPlace)->store(memory, std::memory_order_release);
}

std::uint32_t Graph::take_node(std::uint64_t slot) {
  std::uint32_t node = kNoNode;
  {
    const std::lock_guard lock(free_mutex_);
    if (!free_.empty()) {
      node = free_.back();
      free_.pop_back();
    } else {
      node = nodes_.load(std::memory_order_relaxed);
      if (node == kChunks * kChunkNodes) return kNoNode;
      if (node % kChunkNodes == 0) add_chunk(node / kChunkNodes);
      nodes_.store(node + 1, std::memory_order_release);
    }
  }
  at<Slot>(node, slots_at_)->store(slot, std::memory_order_relaxed);
  set_parent(node, kNoNode);
  set_state(node, NodeState::live);
  return node;
}

void Graph::set_state(std::uint32_t node, NodeState state) {
  const NodeState before = at<State>(node, states_at_)->exchange(state, std::memory_order_relaxed);
  if (before != NodeState::live && state == NodeState::live) {
    live_.fetch_add(1, std::memory_order_relaxed);
  } else if (before == NodeState::live && state != NodeState::live) {
    live_.fetch_sub(1, std::memory_order_relaxed);
  }
}

void Graph::free_nodes(std::vector<std::uint32_t> nodes) {
  for (const std::uint32_t node : nodes) {
    for (auto& link : mutable_links(node)) link.store(kNoNode, std::memory_order_relaxed);
    set_parent(node, kNoNode);
    set_state(node, NodeState::unused);
  }
  const std::lock_guard lock(free_mutex_);
  free_.insert(free_.end(), nodes.begin(), nodes.end());
}

}  // namespace vecserve::engine
