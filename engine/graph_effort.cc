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
// Fewer queries say too little: with these the recall is known within about half a percent.
constexpr std::uint64_t kQueriesMin = 256;
constexpr std::uint32_t kRowsAsked = 256;
// Beyond this a wider beam finds nothing more.
constexpr double kEnough = 0.9995;
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

double recall_between(const SearchResult& exact, const SearchResult& found) {
  std::uint64_t right = 0;
  std::uint64_t all = 0;
  for (std::size_t q = 0; q < exact.query_count(); ++q) {
    const auto wanted = exact.of(q);
    if (wanted.empty()) continue;
    all += wanted.size();
    for (const Neighbor& neighbor : found.of(q)) {
      right += neighbor.distance <= wanted.back().distance ? 1U : 0U;
    }
  }
  return all == 0 ? 1.0 : static_cast<double>(right) / static_cast<double>(all);
}

}  // namespace

Result<bool> keep_effort(CollectionCore& core, const Graph& graph,
                         const std::function<bool()>& stopping) {
  GraphState& state = core.graphs;
  if (!due(state, graph)) return false;
  const std::uint64_t seen = state.queries.seen();
  const bool from_queries = seen >= kQueriesMin;
  const Vectors vectors = from_queries ? state.queries.all() : some_rows(core);
  const std::vector<Query> queries(vectors.begin(), vectors.end());
  SearchOptions options;
  // A row that is asked for finds itself: the others are what is measured.
  options.k = kMeasuredK + (from_queries ? 0U : 1U);
  SearchResult exact;
  VECSERVE_TRY(search_for_measure(core, queries, options, exact));
  std::vector<EffortPoint> points;
  SearchResult found;
  for (const std::uint32_t ef : kBeams) {
    if (stopping()) return false;
    options.ef = ef + options.k - kMeasuredK;
    VECSERVE_TRY(search_for_measure(core, queries, options, found));
    const double before = points.empty() ? 0.0 : points.back().recall;
    points.push_back({ef, std::max(before, recall_between(exact, found))});
    if (points.back().recall >= kEnough) break;
  }
  state.set_effort(std::make_shared<const EffortCurve>(std::move(points)));
  state.keeping.measured_at = seen;
  state.keeping.measured_nodes = graph.live();
  state.keeping.from_queries = from_queries;
  return true;
}

}  // namespace vecserve::engine
