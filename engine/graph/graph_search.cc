// See graph_search.h.
// The searching thread, which is Reading the graph for as long as it walks. Always holds: a node
// whose slot is not in the snapshot (erased, replaced, or written since) is passed over.
#include "engine/graph/graph_search.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <optional>

namespace vecserve::engine {

namespace {

// Candidates whose codes are on their way while one is bounded.
constexpr std::size_t kAhead = 4;

bool is_set(const ScanMask& mask, const RowRef& ref) {
  const std::uint64_t* const words = mask.words[ref.block];
  return words != nullptr && (words[ref.position / 64] >> (ref.position % 64) & 1) != 0;
}

// As RowSet::find. Where no block was ever rewritten a slot says itself where its row is.
std::optional<RowRef> locate(const RowSet& rows, std::uint64_t slot) {
  if (rows.block_count() == 0) return std::nullopt;
  const std::uint64_t guess = slot / rows.view(0).block->shape().capacity;
  if (guess < rows.block_count()) {
    const BlockView& view = rows.view(guess);
    const std::uint64_t offset = slot - view.block->slot(0);  // wraps when it is not here
    if (offset < view.count && view.block->slot(static_cast<std::uint32_t>(offset)) == slot) {
      const auto position = static_cast<std::uint32_t>(offset);
      if (!view.live->test(position)) return std::nullopt;
      return RowRef{static_cast<std::uint32_t>(guess), position};
    }
  }
  return rows.find(slot);
}

class EligibleNodes final : public NodeFilter {
 public:
  EligibleNodes(const Graph& graph, const RowSet& rows, const ScanMask& mask)
      : graph_(graph), rows_(rows), mask_(mask) {}
  [[nodiscard]] bool passes(std::uint32_t node) const override {
    const std::optional<RowRef> ref = locate(rows_, graph_.slot(node));
    return ref.has_value() && is_set(mask_, *ref);
  }

 private:
  const Graph& graph_;
  const RowSet& rows_;
  const ScanMask& mask_;
};

// The first block with a row of that slot or a later one.
std::size_t block_from(const RowSet& rows, std::uint64_t slot) {
  std::size_t low = 0;
  std::size_t high = rows.block_count();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const BlockView& view = rows.view(middle);
    if (view.block->slot(view.count - 1) < slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

std::uint32_t position_from(const BlockView& view, std::uint64_t slot) {
  std::uint32_t low = 0;
  std::uint32_t high = view.count;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (view.block->slot(middle) < slot) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

bool GraphSearch::search(const GraphRequest& request, const ScanQuery& query, const ScanMask& mask,
                         QueryCandidates& out) {
  const Graph& graph = *request.graph;
  const CodeAxes& axes = graph.axes();
  if (axes_ != &axes) {
    codes_ = AlignedBuffer(axes.record_bytes());
    scratch_.resize(axes.scratch_floats());
    axes_ = &axes;
  }
  GraphProbe probe;
  axes.make_probe(query.f32, scratch_.data(), reinterpret_cast<std::int8_t*>(codes_.data()), probe);
  const WalkLimits limits{request.ef, request.steps_max};
  out.list.clear();
  out.floor = -std::numeric_limits<double>::infinity();
  const ReadEpochs::Reading reading(graph.epochs);
  bool ended = true;
  if (request.filtered) {
    ended = beam_.walk_filtered(graph, probe, limits, EligibleNodes(graph, *request.rows, mask));
  } else {
    beam_.walk(graph, probe, limits);
  }
  for (const Near& near : beam_.found()) {
    const std::optional<RowRef> ref = locate(*request.rows, graph.slot(near.node));
    if (!ref.has_value() || !is_set(mask, *ref)) continue;
    out.list.push_back({-std::numeric_limits<double>::infinity(), ref->block, ref->position});
  }
  if (!out.list.empty()) {
    bound(request, query, request.rows->view(0).block->shape(), out.list);
  }
  return ended;
}

// The coarse plane is a quarter of the vector, and spares the reference most of those that are not
// among the nearest.
void GraphSearch::bound(const GraphRequest& request, const ScanQuery& query, const RowShape& shape,
                        std::vector<Candidate>& list) {
  if (request.coarse == nullptr || !shape.coarse) return;
  const std::size_t padded =
      (std::size_t{shape.dim} + kGraphLineBytes - 1) / kGraphLineBytes * kGraphLineBytes;
  if (coarse_codes_.size() != padded) coarse_codes_ = AlignedBuffer(padded);
  auto* const codes = reinterpret_cast<std::int8_t*>(coarse_codes_.data());
  CoarseProbe probe =
      make_probe(shape.metric, make_coarse_query(shape.metric, query.f32, shape.dim, codes));
  if (!probe.query.served) return;
  probe.limit.reach = std::numeric_limits<float>::infinity();
  const auto kernel = shape.metric == Metric::l2 ? request.coarse->one_l2 : request.coarse->one_dot;
  const auto prefetch = [&](const Candidate& candidate) {
    const CoarsePlane* const plane = request.rows->view(candidate.block).block->coarse();
    if (plane == nullptr) return;
    const std::uint8_t* const row =
        plane->codes() + std::size_t{candidate.position} * plane->stride();
    for (std::size_t at = 0; at < plane->stride(); at += kGraphLineBytes) {
      __builtin_prefetch(row + at);
    }
    __builtin_prefetch(plane->scales() + candidate.position);
    __builtin_prefetch(plane->squares() + candidate.position);
    __builtin_prefetch(plane->residuals() + candidate.position);
    __builtin_prefetch(plane->norms() + candidate.position);
  };
  for (std::size_t i = 0; i < std::min(kAhead, list.size()); ++i) prefetch(list[i]);
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (i + kAhead < list.size()) prefetch(list[i + kAhead]);
    Candidate& candidate = list[i];
    const CoarsePlane* const plane = request.rows->view(candidate.block).block->coarse();
    if (plane == nullptr) continue;
    const std::size_t at = candidate.position;
    CoarseRows row;
    row.codes = plane->codes() + at * plane->stride();
    row.stride = plane->stride();
    row.scales = plane->scales() + at;
    row.squares = plane->squares() + at;
    row.residuals = plane->residuals() + at;
    row.norms = plane->norms() + at;
    row.count = 1;
    row.dim = shape.dim;
    Survivor survivor;
    if (kernel(row, codes, probe.limit, &survivor) == 0) continue;
    const DistanceBounds bounds = bounds_of(probe, *plane, candidate.position, survivor.score);
    candidate.lower = static_cast<double>(bounds.lower);
  }
}

void GraphTail::cut_mask(const ScanMask& whole, std::uint32_t from_position, std::size_t m) {
  ScanMask& mask = masks_[m];
  mask.words.assign(whole.words.begin() + first_block_, whole.words.end());
  mask.eligible.assign(whole.eligible.begin() + first_block_, whole.eligible.end());
  if (from_position == 0 || mask.words.front() == nullptr) return;
  const std::size_t count = (std::size_t{request_.blocks.front().count} + 63) / 64;
  std::vector<std::uint64_t>& words = words_[m];
  words.assign(mask.words.front(), mask.words.front() + count);
  std::fill_n(words.begin(), from_position / 64, 0U);
  if (from_position % 64 != 0) words[from_position / 64] &= ~std::uint64_t{0} << from_position % 64;
  std::uint32_t eligible = 0;
  for (const std::uint64_t word : words) {
    eligible += static_cast<std::uint32_t>(std::popcount(word));
  }
  mask.eligible.front() = eligible;
  mask.words.front() = eligible == 0 ? nullptr : words.data();
}

bool GraphTail::cut(const ScanRequest& whole, const RowSet& rows, std::uint64_t from_slot) {
  const std::size_t first = block_from(rows, from_slot);
  if (first == rows.block_count()) return false;
  first_block_ = static_cast<std::uint32_t>(first);
  request_ = whole;
  request_.blocks = whole.blocks.subspan(first);
  request_.threads = 1;
  masks_.resize(std::max(masks_.size(), whole.masks.size()));
  words_.resize(masks_.size());
  const std::uint32_t from_position = position_from(rows.view(first), from_slot);
  for (std::size_t m = 0; m < whole.masks.size(); ++m) cut_mask(whole.masks[m], from_position, m);
  request_.masks = std::span(masks_).first(whole.masks.size());
  return true;
}

std::uint64_t rows_from(const RowSet& rows, std::uint64_t slot) {
  const std::size_t first = block_from(rows, slot);
  if (first == rows.block_count()) return 0;
  std::uint64_t count = rows.view(first).count - position_from(rows.view(first), slot);
  for (std::size_t b = first + 1; b < rows.block_count(); ++b) count += rows.view(b).count;
  return count;
}

}  // namespace vecserve::engine
