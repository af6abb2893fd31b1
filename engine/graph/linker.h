// Joins rows to the graph: finds what is near a new node by walking, keeps of that what leads in
// different directions, and has those neighbours point back. Comes after the keeper has taken rows
// from a snapshot, before the watermark moves over them. Several threads may link at once, each
// with a Linker of its own; no repair runs meanwhile. Always holds: a node is reachable from the
// moment that its first edge back is there, by a marked edge; edges never go to dying nodes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/graph/beam.h"

namespace vecserve::engine {

inline constexpr std::uint32_t kLinkBeam = 96;  // nodes that a new one chooses from
inline constexpr std::uint32_t kOwnBeam = 10;   // of a walk that must find the node it is for

class Linker {
 public:
  explicit Linker(Graph& graph);

  // Adds a row, given as floats. False when there can be no more nodes. May throw std::bad_alloc,
  // then the row is not part of the graph.
  bool link(std::uint64_t slot, const float* row);

  // -- For the repair, on its one thread ----------------------------------------------------------

  // The list of a node made anew from `pool`, nodes that may repeat and may be dying, which are
  // left out; its marked edges stay, and its neighbours point back.
  void relink(std::uint32_t node, std::vector<std::uint32_t>& pool);
  // The same where few neighbours are dying: the list stays, and each of `dying` is replaced by the
  // nearest beyond it that leads in another direction than the rest, if there is one.
  void replace(std::uint32_t node, std::span<const std::uint32_t> dying);
  // A new parent for a node, which may be near it but not below it; the nearest with room.
  void find_parent(std::uint32_t node);
  // When a walk of kOwnBeam to the node does not find it: hangs it below the nearest with room that
  // the walk did find, and returns true. The parent of before keeps its edge, as one of many.
  bool bring_near(std::uint32_t node);
  void unmark(std::uint32_t parent, std::uint32_t child);
  // Makes the edge from one node to another a marked one; false when the parent has no room.
  bool adopt(std::uint32_t parent, std::uint32_t child);

 private:
  void probe_node(std::uint32_t node);
  // Scores nodes against the probe: distances, but for a constant.
  void measure(std::span<const std::uint32_t> nodes, std::vector<Near>& out);
  // Of `choice_`, sorted by distance from the probed node, at most `most` that lead in different
  // directions and all marked ones, into chosen_: first those that lead furthest apart.
  void prune(std::uint32_t most);
  // Those of `choice_` in their order that no chosen one is nearer to than `apart` says. What is
  // passed over goes to detours_, while no chosen one leads there.
  void choose(std::uint32_t most, float apart);
  // Whether one of `nodes` leads to the candidate of the probed node already.
  bool is_led_to(const Near& candidate, std::span<const std::uint32_t> nodes);
  // Whether the probed node is further from this one than nearly all that this one names.
  bool lies_beyond(const Near& nearest);
  void choose_near(std::uint32_t node);
  void point_back(std::uint32_t from, std::uint32_t to);
  void choose_of(std::uint32_t node, const std::vector<std::uint32_t>& pool);
  void shrink(std::uint32_t node, std::uint32_t more);
  [[nodiscard]] bool has_room(const Links& links) const;
  [[nodiscard]] bool is_below(std::uint32_t node, std::uint32_t top) const;
  bool find_parent_in_tree(std::uint32_t node);

  Graph& graph_;
  Beam beam_;
  AlignedBuffer codes_;  // of the probed node, and of the one that others are compared with
  std::vector<float> scratch_;
  GraphProbe probe_;
  float square_ = 0.0f;
  std::vector<Near> choice_;   // with distances from the probed node
  std::vector<Near> detours_;  // likewise
  std::vector<std::uint32_t> chosen_;
  std::vector<const std::uint8_t*> records_;
  std::vector<float> scores_;
};

}  // namespace vecserve::engine
