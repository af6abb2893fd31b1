// See graph.h.
// Always holds: chunks are never moved or given back while the graph lives; a node is handed out
// with an empty list and no parent.
#include "engine/graph/graph.h"

#include <new>
#include <utility>

namespace vecserve::engine {

Graph::Chunk::Chunk(std::uint32_t record_bytes)
    : records(std::size_t{kChunkNodes} * record_bytes, AlignedBuffer::Use::full),
      links(kChunkNodes * sizeof(Links), AlignedBuffer::Use::full),
      slots(std::make_unique<std::atomic<std::uint64_t>[]>(kChunkNodes)),
      parents(std::make_unique<std::atomic<std::uint32_t>[]>(kChunkNodes)),
      states(std::make_unique<std::atomic<NodeState>[]>(kChunkNodes)) {
  auto* const lists = reinterpret_cast<Links*>(links.data());
  for (std::uint32_t i = 0; i < kChunkNodes; ++i) {
    new (lists + i) Links;
    for (auto& link : lists[i]) link.store(kNoNode, std::memory_order_relaxed);
  }
}

Graph::Graph(std::shared_ptr<const CodeAxes> axes)
    : axes_(std::move(axes)),
      record_bytes_(axes_->record_bytes()),
      chunks_(std::make_unique<std::atomic<Chunk*>[]>(kChunks)),
      locks_(std::make_unique<std::mutex[]>(kLocks)) {
  for (auto& entry : entries_) entry.store(kNoNode, std::memory_order_relaxed);
}

Graph::~Graph() {
  for (std::uint32_t i = 0; i < kChunks; ++i) delete chunks_[i].load(std::memory_order_acquire);
}

void Graph::add_chunk(std::uint32_t index) {
  auto chunk = std::make_unique<Chunk>(record_bytes_);
  bytes_.fetch_add(chunk->records.size() + chunk->links.size() +
                       std::size_t{kChunkNodes} *
                           (sizeof(std::uint64_t) + sizeof(std::uint32_t) + sizeof(NodeState)),
                   std::memory_order_relaxed);
  chunks_[index].store(chunk.release(), std::memory_order_release);
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
  Chunk& chunk = chunk_of(node);
  chunk.slots[node % kChunkNodes].store(slot, std::memory_order_relaxed);
  chunk.parents[node % kChunkNodes].store(kNoNode, std::memory_order_relaxed);
  set_state(node, NodeState::live);
  return node;
}

void Graph::set_state(std::uint32_t node, NodeState state) {
  auto& mine = chunk_of(node).states[node % kChunkNodes];
  const NodeState before = mine.exchange(state, std::memory_order_relaxed);
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
