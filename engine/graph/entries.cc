// See entries.h.
// The keeper's thread; walks may read entries meanwhile. Always holds: the node that is furthest
// from those that were chosen is chosen next, so that no cluster of the sample is left out before
// another has two.
#include "engine/graph/entries.h"

#include <algorithm>
#include <limits>
#include <vector>

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kSample = 4'096;
// Of the nodes so many have changed when entries are chosen anew: half while there is a tail
// to link, one in sixty-four when there is none. It costs as much as linking some twenty rows.
constexpr std::uint64_t kGrowingShare = 2;
constexpr std::uint64_t kCaughtUpShare = 64;

std::vector<std::uint32_t> take_sample(const Graph& graph) {
  std::vector<std::uint32_t> sample;
  const std::uint32_t nodes = graph.nodes();
  const std::uint32_t wanted = std::min(nodes, kSample);
  for (std::uint32_t i = 0; i < wanted; ++i) {
    const auto node = static_cast<std::uint32_t>(std::uint64_t{nodes} * i / wanted);
    if (graph.state(node) == NodeState::live) sample.push_back(node);
  }
  return sample;
}

class Spread {
 public:
  explicit Spread(const Graph& graph) : graph_(graph), codes_(graph.axes().record_bytes()) {}

  // Of `nodes`, at most `most` that lie far apart, and for each node the place of the nearest.
  std::vector<std::uint32_t> choose(const std::vector<std::uint32_t>& nodes, std::uint32_t most,
                                    std::vector<std::uint32_t>& nearest) {
    std::vector<std::uint32_t> chosen;
    std::vector<float> apart(nodes.size(), std::numeric_limits<float>::max());
    std::vector<float> scores(nodes.size());
    std::vector<const std::uint8_t*> records;
    records.reserve(nodes.size());
    for (const std::uint32_t node : nodes) records.push_back(graph_.record(node));
    nearest.assign(nodes.size(), 0);
    std::size_t next = 0;
    while (chosen.size() < std::min<std::size_t>(most, nodes.size())) {
      GraphProbe probe;
      const float square = graph_.axes().make_probe(
          records[next], reinterpret_cast<std::int8_t*>(codes_.data()), probe);
      graph_.kernels().score(probe, records.data(), static_cast<std::uint32_t>(records.size()),
                             scores.data());
      apart[next] = -1.0f;
      nearest[next] = static_cast<std::uint32_t>(chosen.size());
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const float between = std::max(0.0f, square + scores[i]);
        if (between >= apart[i]) continue;
        apart[i] = between;
        nearest[i] = static_cast<std::uint32_t>(chosen.size());
      }
      chosen.push_back(nodes[next]);
      next = static_cast<std::size_t>(std::max_element(apart.begin(), apart.end()) - apart.begin());
      if (apart[next] < 0.0f) break;
    }
    return chosen;
  }

 private:
  const Graph& graph_;
  AlignedBuffer codes_;
};

}  // namespace

void spread_entries(Graph& graph) {
  const std::vector<std::uint32_t> sample = take_sample(graph);
  if (sample.empty()) return;
  Spread spread(graph);
  std::vector<std::uint32_t> nearest;
  const std::vector<std::uint32_t> heads = spread.choose(sample, kHeads, nearest);
  std::vector<std::vector<std::uint32_t>> around(heads.size());
  for (std::size_t i = 0; i < sample.size(); ++i) around[nearest[i]].push_back(sample[i]);
  std::vector<std::uint32_t> unused;
  for (std::uint32_t h = 0; h < kHeads; ++h) {
    const bool there = h < heads.size();
    graph.set_entry(head_entry(h), there ? heads[h] : kNoNode);
    const std::vector<std::uint32_t> members =
        there ? spread.choose(around[h], kMembers, unused) : std::vector<std::uint32_t>{};
    for (std::uint32_t m = 0; m < kMembers; ++m) {
      graph.set_entry(member_entry(h, m), m < members.size() ? members[m] : kNoNode);
    }
  }
}

void EntrySpreader::spread() {
  spread_entries(graph_);
  changed_ = 0;
}

bool EntrySpreader::spread_if_due(bool caught_up) {
  const std::uint64_t share = caught_up ? kCaughtUpShare : kGrowingShare;
  if (changed_ == 0 || changed_ * share < graph_.live()) return false;
  spread();
  return true;
}

}  // namespace vecserve::engine
