// See graph_effort.h.
// The thread of the keeper, with the keeping mutex held. Always holds: a row that stands at the
// same distance as the last exact one counts as right.
#include "engine/graph_effort.h"

#include <algorithm>
#include <utility>

#include "engine/rows/row_floats.h"
#include "engine/search.h"

namespace vecserve::engine {

namespace {

constexpr std::uint32_t kMeasuredK = 10;
constexpr std::uint32_t kBeams[] = {10, 13, 17, 22, 28, 36, 48, 64, 96, 144, 224, 352, 640, 1'200};
// Fewer queries say too little: with these the recall is known within about a percent. They are
// asked again when there are as many as are kept.
constexpr std::uint64_t kQueriesMin = 256;
constexpr std::uint32_t kRowsAsked = 256;
// Beyond this a wider beam finds nothing more.
constexpr double kEnough = 0.9995;
// Of one step: the exact scan and all beams take a few milliseconds for each.
constexpr std::size_t kAtOnce = 8;
// Measured again when there are so many times the queries or the nodes.
constexpr std::uint64_t kAgainQueries = 64;
constexpr double kAgainNodes = 1.3;

using Vectors = std::vector<std::vector<float>>;

bool due(const GraphState& state, const Graph& graph) {
  const GraphState::Keeping& keeping = state.keeping;
  const std::uint64_t seen = state.queries.seen();
  if (graph.live() < kMeasuredK + 1) return false;
  if (state.effort() == nullptr) return true;
  if (!keeping.from_queries) return seen >= kQueriesMin;
  if (keeping.measured_at < RecentQueries::kKept && seen >= RecentQueries::kKept) return true;
  const auto nodes = static_cast<double>(graph.live());
  const auto then = static_cast<double>(keeping.measured_nodes);
  return nodes > kAgainNodes * then || then > kAgainNodes * nodes ||
         seen > kAgainQueries * std::max(keeping.measured_at, kQueriesMin);
}

// Rows at even distances.
Vectors some_rows(const CollectionCore& core) {
  Vectors asked;
  const auto rows = core.snapshot();
  const std::uint64_t step = std::max<std::uint64_t>(rows->row_count() / kRowsAsked, 1);
  std::uint64_t number = 0;
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    const BlockView& view = rows->view(b);
    for (std::uint32_t r = 0; r < view.count; ++r) {
      if (number++ % step != 0 || !view.live->test(r)) continue;
      asked.emplace_back(core.shape.dim);
      row_floats(core.shape.type, view.block->vector(r), core.shape.dim, asked.back().data());
    }
  }
  return asked;
}

// Of the exact neighbours, those that were found or are as near.
std::uint64_t right_of(const SearchResult& exact, const SearchResult& found) {
  std::uint64_t right = 0;
  for (std::size_t q = 0; q < exact.query_count(); ++q) {
    const auto wanted = exact.of(q);
    if (wanted.empty()) continue;
    for (const Neighbor& neighbor : found.of(q)) {
      right += neighbor.distance <= wanted.back().distance ? 1U : 0U;
    }
  }
  return right;
}

}  // namespace

EffortMeasure::EffortMeasure(const CollectionCore& core)
    : seen_(core.graphs.queries.seen()),
      from_queries_(seen_ >= kQueriesMin),
      queries_(from_queries_ ? core.graphs.queries.all() : some_rows(core)),
      right_(std::size(kBeams), 0) {}

Status EffortMeasure::step(const CollectionCore& core, const std::function<bool()>& stopping) {
  const std::size_t count = std::min(kAtOnce, queries_.size() - next_);
  const auto first = queries_.begin() + static_cast<std::ptrdiff_t>(next_);
  const std::vector<Query> asked(first, first + static_cast<std::ptrdiff_t>(count));
  SearchOptions options;
  // A row that is asked for finds itself: the others are what is measured.
  options.k = kMeasuredK + (from_queries_ ? 0U : 1U);
  SearchResult exact;
  VECSERVE_TRY(search_for_measure(core, asked, options, exact));
  const std::uint64_t wanted = wanted_ + exact.neighbors.size();
  std::vector<std::uint64_t> right = right_;
  SearchResult found;
  for (std::size_t b = 0; b < right.size(); ++b) {
    if (stopping()) return {};
    options.ef = kBeams[b] + options.k - kMeasuredK;
    VECSERVE_TRY(search_for_measure(core, asked, options, found));
    const std::uint64_t found_here = right_of(exact, found);
    right[b] += found_here;
    if (found_here < exact.neighbors.size()) continue;
    // Of these queries a wider beam finds no more; of the next ones it may.
    for (std::size_t wider = b + 1; wider < right.size(); ++wider) right[wider] += found_here;
    break;
  }
  right_.swap(right);
  wanted_ = wanted;
  next_ += count;
  return {};
}

std::vector<EffortPoint> EffortMeasure::points() const {
  std::vector<EffortPoint> points;
  double before = 0.0;
  for (std::size_t b = 0; b < right_.size(); ++b) {
    const double share =
        wanted_ == 0 ? 1.0 : static_cast<double>(right_[b]) / static_cast<double>(wanted_);
    before = std::max(before, share);
    points.push_back({kBeams[b], before});
    if (before >= kEnough) break;
  }
  return points;
}

Result<bool> keep_effort(CollectionCore& core, const Graph& graph,
                         const std::function<bool()>& stopping) {
  GraphState& state = core.graphs;
  GraphState::Keeping& keeping = state.keeping;
  if (keeping.measuring == nullptr) {
    if (!due(state, graph)) return false;
    keeping.measuring = std::make_shared<EffortMeasure>(core);
  }
  EffortMeasure& measuring = *keeping.measuring;
  if (!measuring.done()) VECSERVE_TRY(measuring.step(core, stopping));
  if (!measuring.done()) return !stopping();
  state.set_effort(std::make_shared<const EffortCurve>(measuring.points()));
  keeping.measured_at = measuring.seen();
  keeping.measured_nodes = graph.live();
  keeping.from_queries = measuring.from_queries();
  keeping.measuring = nullptr;
  return true;
}

}  // namespace vecserve::engine
