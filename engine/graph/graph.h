// A proximity graph over the rows of a collection: nodes with a code, a slot and a short list of
// neighbours. An accelerator under the watermark rule: rows of slots below `watermark` that are
// alive are nodes, later ones are scanned. Read by any number of searches while the graph's writers
// (the linker and the repair, below one keeper at a time) change it; readers take no lock.
//
// Readers: every number in a list is the number of a node whose record is complete; a list may be
// half old and half new, which only makes a walk take another way. A node that is taken out stays
// whole until no reader from before can be there (ReadEpochs).
// Tree: each node but the root has one parent, whose list has the edge to it marked. Marked edges
// are never pruned, so every node can be reached from the root whatever happens to the other edges.
// Always holds: nodes() never shrinks; parents form a tree; a node has at most kChildrenMax
// children that are alive; a marked edge stays in its place in the list.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/graph/code_axes.h"
#include "engine/graph/read_epochs.h"

namespace vecserve::engine {

inline constexpr std::uint32_t kDegree = 32;       // neighbours of a node: two cache lines
inline constexpr std::uint32_t kChildrenMax = 12;  // of them, those that depend on it
inline constexpr std::uint32_t kNoNode = UINT32_MAX;
inline constexpr std::uint32_t kTreeEdge = 0x80000000U;  // marks the edge to a child
inline constexpr std::uint32_t kNodeMask = 0x7fffffffU;
// Where walks may begin: the root, heads that lie far apart, and for each some nodes around it.
inline constexpr std::uint32_t kHeads = 32;
inline constexpr std::uint32_t kMembers = 32;
// And where only the linker's walks begin too: nodes that lay beyond what was there when they came.
inline constexpr std::uint32_t kNewcomers = 24;
inline constexpr std::uint32_t kSpreadEntries = 1 + kHeads + kHeads * kMembers;
inline constexpr std::uint32_t kEntries = kSpreadEntries + kNewcomers;
[[nodiscard]] constexpr std::uint32_t head_entry(std::uint32_t head) {
  return 1 + head;
}
[[nodiscard]] constexpr std::uint32_t member_entry(std::uint32_t head, std::uint32_t member) {
  return 1 + kHeads + head * kMembers + member;
}

[[nodiscard]] constexpr std::uint32_t newcomer_entry(std::uint32_t newcomer) {
  return kSpreadEntries + newcomer;
}

using Links = std::array<std::atomic<std::uint32_t>, kDegree>;  // kNoNode: nothing there

enum class NodeState : std::uint8_t { unused, live, dying };

class Graph {
 public:
  explicit Graph(std::shared_ptr<const CodeAxes> axes);
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  // -- Any thread -------------------------------------------------------------------------------

  [[nodiscard]] const CodeAxes& axes() const { return *axes_; }
  [[nodiscard]] const GraphKernels& kernels() const { return axes_->kernels(); }
  // Nodes ever made; some may be unused.
  [[nodiscard]] std::uint32_t nodes() const { return nodes_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint32_t live() const { return live_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  // -- Any thread, while it is Reading, for nodes that it found; the writers ----------------------

  [[nodiscard]] const std::uint8_t* record(std::uint32_t node) const {
    return reinterpret_cast<const std::uint8_t*>(chunk_of(node)) +
           std::size_t{node % kChunkNodes} * record_bytes_;
  }
  [[nodiscard]] const Links& links(std::uint32_t node) const { return *at<Links>(node, links_at_); }
  [[nodiscard]] std::uint64_t slot(std::uint32_t node) const {
    return at<Slot>(node, slots_at_)->load(std::memory_order_relaxed);
  }
  [[nodiscard]] NodeState state(std::uint32_t node) const {
    return at<State>(node, states_at_)->load(std::memory_order_relaxed);
  }
  // Where walks begin; kNoNode where there is none. The first is the root.
  [[nodiscard]] std::uint32_t entry(std::uint32_t i) const {
    return entries_[i].load(std::memory_order_acquire);
  }

  mutable ReadEpochs epochs;
  std::atomic<std::uint64_t> watermark{0};  // stored by the keeper when the rows below are nodes

  // -- The writers ------------------------------------------------------------------------------

  // A node whose record the caller fills before it links it. Any linking thread; may throw
  // std::bad_alloc. kNoNode when there can be no more.
  [[nodiscard]] std::uint32_t take_node(std::uint64_t slot);
  // Gives back nodes that nobody can reach any more.
  void free_nodes(std::vector<std::uint32_t> nodes);
  [[nodiscard]] std::uint8_t* mutable_record(std::uint32_t node) {
    return const_cast<std::uint8_t*>(record(node));
  }
  [[nodiscard]] Links& mutable_links(std::uint32_t node) { return const_cast<Links&>(links(node)); }
  void set_state(std::uint32_t node, NodeState state);
  void set_entry(std::uint32_t i, std::uint32_t node) {
    entries_[i].store(node, std::memory_order_release);
  }
  // In place of the one that has been it for longest. Any linking thread.
  void add_newcomer(std::uint32_t node) {
    const std::uint32_t turn = newcomers_.fetch_add(1, std::memory_order_relaxed);
    set_entry(newcomer_entry(turn % kNewcomers), node);
  }
  // Guards the list of a node, and the parents of its children, among the writers.
  [[nodiscard]] std::mutex& lock_of(std::uint32_t node) const { return locks_[node % kLocks]; }
  [[nodiscard]] std::uint32_t parent(std::uint32_t node) const {
    return at<Parent>(node, parents_at_)->load(std::memory_order_relaxed);
  }
  void set_parent(std::uint32_t node, std::uint32_t parent) {
    at<Parent>(node, parents_at_)->store(parent, std::memory_order_relaxed);
  }

 private:
  // A step in which the graph grows; small beside the rows of any collection worth a graph.
  static constexpr std::uint32_t kChunkNodes = 1'024;
  static constexpr std::uint32_t kChunks = 262'144;  // a quarter of a thousand million nodes
  static constexpr std::uint32_t kLocks = 1'024;
  using Slot = std::atomic<std::uint64_t>;
  using Parent = std::atomic<std::uint32_t>;
  using State = std::atomic<NodeState>;
  using ChunkPlace = std::atomic<std::byte*>;

  // A chunk is one piece of memory: all its records, then all lists, slots, parents and states. So
  // that a walk looks up one address for a node and nothing else.
  [[nodiscard]] std::byte* chunk_of(std::uint32_t node) const {
    return reinterpret_cast<const ChunkPlace*>(places_.data())[node / kChunkNodes].load(
        std::memory_order_acquire);
  }
  template <typename T>
  [[nodiscard]] T* at(std::uint32_t node, std::size_t offset) const {
    return reinterpret_cast<T*>(chunk_of(node) + offset) + node % kChunkNodes;
  }
  void add_chunk(std::uint32_t index);

  const std::shared_ptr<const CodeAxes> axes_;
  const std::uint32_t record_bytes_;
  const std::size_t links_at_;
  const std::size_t slots_at_;
  const std::size_t parents_at_;
  const std::size_t states_at_;
  AlignedBuffer places_;  // of chunks, kChunks of them; pages that are not used cost nothing
  std::array<std::atomic<std::uint32_t>, kEntries> entries_;
  std::atomic<std::uint32_t> newcomers_{0};  // that there ever were
  std::atomic<std::uint32_t> nodes_{0};
  std::atomic<std::uint32_t> live_{0};
  std::atomic<std::size_t> bytes_{0};
  std::unique_ptr<std::mutex[]> locks_;
  std::mutex free_mutex_;
  // Guarded by free_mutex_.
  std::vector<std::uint32_t> free_;
  std::vector<AlignedBuffer> chunks_;
};

}  // namespace vecserve::engine
