// See search.h.
// Runs on the searching thread with one lane to itself. Always holds: nothing in the lane outlives
// the pinned snapshot of its search; a warm lane serves a search of the same size without
// allocating.
#include "engine/search.h"

#include <chrono>
#include <limits>
#include <numeric>
#include <string>

#include "engine/base/limits.h"
#include "engine/eligible.h"
#include "engine/payload/filter.h"
#include "engine/payload_rows.h"
#include "engine/plan.h"
#include "engine/rows/vector_input.h"
#include "engine/scan/rescore.h"

namespace vecserve::engine {

namespace {

// What both kinds of search come down to.
struct SearchCall {
  std::uint32_t k = 0;  // where a query does not say; for a range, one more than its limit
  bool ranged = false;
  double radius = std::numeric_limits<double>::infinity();
  std::string_view filter;
  bool with_payload = false;
  bool with_vector = false;
  double recall = 1.0;
  std::uint32_t ef = 0;
  bool explain = false;
  bool measured = false;  // by graph_effort
  StopCheck stop;
};

class StageTimer {
 public:
  // Nanoseconds since the last call.
  std::uint64_t lap() {
    const auto now = std::chrono::steady_clock::now();
    const auto passed = std::chrono::duration_cast<std::chrono::nanoseconds>(now - last_).count();
    last_ = now;
    return static_cast<std::uint64_t>(passed);
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

Status stopped(const SearchCall& call) {
  return call.stop.cancelled()
             ? Status(StatusCode::cancelled, "the search was cancelled")
             : Status(StatusCode::deadline_exceeded, "the deadline of the search has passed");
}

class Search {
 public:
  Search(const CollectionCore& core, const SearchCall& call, std::span<const Query> queries,
         SearchLane& lane, SearchResult& result)
      : core_(core), call_(call), queries_(queries), lane_(lane), result_(result) {}

  Status run() {
    StageTimer timer;
    result_.reads = {};
    result_.times = {};
    rows_ = core_.snapshot();
    VECSERVE_TRY(check_queries());
    VECSERVE_TRY(make_masks());
    VECSERVE_TRY(make_queries());
    result_.stages.prepare_ns = timer.lap();
    choose_graph();
    VECSERVE_TRY(graph_ != nullptr ? walk() : scan(lane_.queries));
    name_backend();
    result_.stages.scan_ns = timer.lap();
    VECSERVE_TRY(decide(timer));
    fetch();
    result_.stages.fetch_ns = timer.lap();
    if (!call_.measured) core_.tallies.add_search(queries_.size(), result_.reruns, result_.reads);
    return {};
  }

 private:
  Status check_queries() const {
    if (queries_.size() > limits::queries_max) {
      return Status::invalid_argument("queries", "more than 65536 in one search");
    }
    for (const Query& query : queries_) {
      if (!call_.ranged && query.k > limits::k_max) {
        return Status::invalid_argument("k", "must be between 1 and 65536");
      }
      if (query.filter.has_value() && query.filter->size() > limits::filter_bytes_max) {
        return Status::invalid_argument("filter", "longer than 1 MiB");
      }
    }
    return {};
  }

  std::string_view filter_of(const Query& query) const {
    return query.filter.value_or(call_.filter);
  }

  // One mask per distinct filter of the batch.
  Status make_masks() {
    const std::size_t blocks = rows_->block_count();
    lane_.blocks.resize(blocks);
    for (std::size_t b = 0; b < blocks; ++b) {
      const BlockView& view = rows_->view(b);
      lane_.blocks[b] = {view.block.get(), view.count, view.sketch.get()};
    }
    lane_.filters.clear();
    lane_.queries.assign(queries_.size(), ScanQuery{});
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      const std::string_view text = filter_of(queries_[q]);
      std::size_t m = 0;
      while (m < lane_.filters.size() && lane_.filters[m] != text) {
        ++m;
      }
      if (m == lane_.filters.size()) {
        VECSERVE_TRY(add_mask(text));
      }
      lane_.queries[q].mask = static_cast<std::uint32_t>(m);
    }
    return {};
  }

  Status add_mask(std::string_view text) {
    const std::size_t m = lane_.filters.size();
    // Each by its own size: memory may have run out between the two in an earlier search.
    lane_.masks.resize(std::max(lane_.masks.size(), m + 1));
    lane_.words.resize(std::max(lane_.words.size(), m + 1));
    const std::uint64_t now_ms = core_.runtime->clock.unix_ms();
    std::uint64_t eligible = 0;
    if (text.empty()) {
      eligible = make_mask(*rows_, now_ms, nullptr, lane_.words[m], lane_.masks[m]);
    } else {
      const Result<Filter> filter = Filter::parse(text);
      VECSERVE_TRY(filter.status());
      eligible = make_mask(*rows_, now_ms, &*filter, lane_.words[m], lane_.masks[m]);
    }
    eligible_max_ = std::max(eligible_max_, eligible);
    lane_.filters.push_back(text);
    return {};
  }

  Status make_queries() {
    const RowShape& shape = core_.shape;
    const bool bits = shape.type == ScalarType::bit;
    const std::size_t padded = (std::size_t{shape.dim} + 15) / 16 * 16;
    const std::size_t words = (std::size_t{shape.row_bytes} + 7) / 8;
    float* floats = nullptr;
    if (bits) {
      lane_.bits.assign(queries_.size() * words, 0);
    } else {
      lane_.floats.assign(queries_.size() * padded + 16, 0.0f);
      auto address = reinterpret_cast<std::uintptr_t>(lane_.floats.data());
      floats = reinterpret_cast<float*>((address + 63) / 64 * 64);
    }
    lane_.wanted.resize(queries_.size());
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      ScanQuery& query = lane_.queries[q];
      if (bits) {
        query.bits = lane_.bits.data() + q * words;
        VECSERVE_TRY(query_bits(shape, queries_[q].vector, "vector",
                                reinterpret_cast<std::byte*>(lane_.bits.data() + q * words)));
      } else {
        query.f32 = floats + q * padded;
        VECSERVE_TRY(
            query_floats(shape, queries_[q].vector, "vector", floats + q * padded, query.norm));
      }
      const bool own_k = !call_.ranged && queries_[q].k != 0;
      lane_.wanted[q] = own_k ? queries_[q].k : call_.k;
      query.want = candidates_wanted(lane_.wanted[q]);
      query.k = lane_.wanted[q];
      query.limit = call_.radius;
    }
    return {};
  }

  ScanRequest request_for(std::span<const ScanQuery> queries) const {
    PlanInput input;
    input.eligible_rows = eligible_max_;
    input.row_bytes = core_.shape.stride;
    input.queries = static_cast<std::uint32_t>(queries.size());
    input.threads_max = core_.runtime->pool.threads();
    ScanRequest request;
    request.shape = core_.shape;
    request.blocks = lane_.blocks;
    // A lane keeps the masks of larger batches, which were made for other blocks.
    request.masks = std::span(lane_.masks).first(lane_.filters.size());
    request.queries = queries;
    request.stop = &call_.stop;
    request.threads = plan_search(input).threads;
    request.timed = call_.explain;
    return request;
  }

  void count_reads(const ScanCounts& counts) {
    result_.reads.sketch += counts.sketch;
    result_.reads.sketch_fine += counts.sketch_fine;
    result_.reads.coarse += counts.coarse;
    result_.reads.full += counts.full;
    result_.times.sketch_ns += counts.sketch_ns;
    result_.times.coarse_ns += counts.coarse_ns;
    result_.times.full_ns += counts.full_ns;
  }

  Status scan(std::span<const ScanQuery> queries) {
    VECSERVE_TRY(lane_.scanner->scan(request_for(queries), lane_.result));
    count_reads(lane_.result.counts);
    return lane_.result.stopped || call_.stop.stop() ? stopped(call_) : Status();
  }

  // An approximate search walks through the graph where there is one, unless a scan is faster.
  void choose_graph() {
    if (call_.ranged || (call_.recall >= 1.0 && call_.ef == 0)) return;
    GraphState& state = core_.graphs;
    if (!call_.measured) {
      state.wanted.store(true, std::memory_order_relaxed);
      for (const ScanQuery& query : lane_.queries) {
        if (query.f32 != nullptr) state.queries.keep({query.f32, core_.shape.dim});
      }
    }
    std::shared_ptr<Graph> graph = state.graph();
    if (graph == nullptr) return;
    const auto effort = state.effort();
    if (effort == nullptr && call_.ef == 0) return;
    // Read after the snapshot was pinned: rows of it below the mark that are alive are nodes.
    graph_from_ = graph->watermark.load(std::memory_order_acquire);
    GraphPlanInput input;
    input.tail_rows = rows_from(*rows_, graph_from_);
    input.rows = graph->live() + input.tail_rows;
    input.eligible_rows = eligible_max_;
    input.row_bytes = core_.shape.stride;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      const std::uint32_t k = lane_.wanted[q];
      input.ef = std::max(input.ef,
                          call_.ef != 0 ? std::max(call_.ef, k) : effort->ef_for(call_.recall, k));
      result_.recall =
          std::min(result_.recall, effort == nullptr ? 0.0 : effort->recall_of(input.ef, k));
    }
    graph_plan_ = plan_graph(input);
    ef_ = input.ef;
    if (graph_plan_.walk) {
      graph_ = std::move(graph);
    } else {
      result_.recall = 1.0;
    }
  }

  Status walk() {
    ScanResult& found = lane_.result;
    found.queries.resize(std::max(found.queries.size(), lane_.queries.size()));
    found.counts = {};
    GraphRequest request;
    request.graph = graph_.get();
    request.rows = rows_.get();
    request.ef = ef_;
    request.coarse = &coarse_kernels_for(kernel_name(core_.runtime->kernels).data());
    request.steps_max = graph_plan_.steps_max;
    request.filtered = graph_plan_.filtered;
    PlaneTimer plane(call_.explain);
    for (std::size_t q = 0; q < lane_.queries.size(); ++q) {
      const ScanQuery& query = lane_.queries[q];
      if (call_.stop.stop()) return stopped(call_);
      if (!lane_.graph.search(request, query, lane_.masks[query.mask], found.queries[q])) {
        plane.lap(result_.times.graph_ns);
        return scan_instead();  // too few rows that match lie where it walked
      }
      result_.reads.graph += lane_.graph.scored();
      if (found.queries[q].list.size() < lane_.wanted[q] && !request.filtered) {
        // Dead rows were in the way: walk on until there are enough that are not.
        GraphRequest on = request;
        on.filtered = true;
        on.steps_max = UINT32_MAX;
        static_cast<void>(lane_.graph.search(on, query, lane_.masks[query.mask], found.queries[q]));
        result_.reads.graph += lane_.graph.scored();
      }
    }
    plane.lap(result_.times.graph_ns);
    VECSERVE_TRY(scan_tail());
    return finds_enough() ? Status() : scan_instead();
  }

  // Rows of the snapshot that were erased since may have left the graph already.
  bool finds_enough() const {
    for (std::size_t q = 0; q < lane_.queries.size(); ++q) {
      const std::size_t found = lane_.result.queries[q].list.size();
      if (found >= lane_.wanted[q]) continue;
      const std::vector<std::uint32_t>& eligible = lane_.masks[lane_.queries[q].mask].eligible;
      if (found < std::accumulate(eligible.begin(), eligible.end(), std::uint64_t{0})) return false;
    }
    return true;
  }

  Status scan_instead() {
    graph_ = nullptr;
    result_.recall = 1.0;
    return scan(lane_.queries);
  }

  // Rows that came since the graph was last brought forward.
  Status scan_tail() {
    if (!lane_.tail.cut(request_for(lane_.queries), *rows_, graph_from_)) return {};
    VECSERVE_TRY(lane_.scanner->scan(lane_.tail.request(), lane_.tail_result));
    count_reads(lane_.tail_result.counts);
    if (lane_.tail_result.stopped) return stopped(call_);
    for (std::size_t q = 0; q < lane_.queries.size(); ++q) {
      for (Candidate candidate : lane_.tail_result.queries[q].list) {
        candidate.block += lane_.tail.first_block();
        lane_.result.queries[q].list.push_back(candidate);
      }
    }
    return {};
  }

  Status score_candidates() {
    std::uint64_t rows = 0;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      rows += std::min<std::uint64_t>(lane_.wanted[q], lane_.result.queries[q].list.size());
    }
    const SearchPlan plan = plan_rescore(rows, core_.shape.stride, core_.runtime->pool.threads());
    lane_.decisions.resize(std::max(lane_.decisions.size(), queries_.size()));
    const RescoreRequest request{core_.shape,          lane_.blocks, lane_.queries, lane_.wanted,
                                 lane_.result.queries, call_.stop,   plan.threads,  call_.explain};
    const bool done = lane_.rescore.run(request, core_.runtime->pool, lane_.best, lane_.decisions);
    if (call_.explain) result_.times.full_ns += lane_.rescore.busy_ns();
    return done ? Status() : stopped(call_);
  }

  // Scores the candidates; what is not proven exact goes through the scanner once more, this time
  // for every row within the limit that the first pass established, which always proves it.
  Status decide(StageTimer& timer) {
    lane_.best.resize(std::max(lane_.best.size(), queries_.size()));
    result_.certified.assign(queries_.size(), 1);
    result_.truncated.assign(queries_.size(), 0);
    lane_.rerun_queries.clear();
    lane_.rerun_of.clear();
    VECSERVE_TRY(score_candidates());
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      const Decision& decision = lane_.decisions[q];
      result_.reads.full += decision.scored;
      if (graph_ != nullptr) {
        result_.certified[q] = 0;
      } else if (!decision.certified) {
        ScanQuery again = lane_.queries[q];
        again.limit = decision.limit;
        again.want = std::numeric_limits<std::uint32_t>::max();
        again.k = 0;
        lane_.rerun_queries.push_back(again);
        lane_.rerun_of.push_back(static_cast<std::uint32_t>(q));
      }
    }
    result_.reruns = static_cast<std::uint32_t>(lane_.rerun_of.size());
    result_.stages.rescore_ns = timer.lap();
    if (lane_.rerun_of.empty()) {
      return {};
    }
    VECSERVE_TRY(scan(lane_.rerun_queries));
    result_.stages.scan_ns += timer.lap();
    for (std::size_t i = 0; i < lane_.rerun_of.size(); ++i) {
      const std::uint32_t q = lane_.rerun_of[i];
      const Decision decision =
          rescore(core_.shape, lane_.blocks, lane_.rerun_queries[i], lane_.wanted[q],
                  lane_.result.queries[i], lane_.spare, lane_.best[q]);
      result_.certified[q] = decision.certified ? 1 : 0;
      result_.reads.full += decision.scored;
    }
    const std::uint64_t again_ns = timer.lap();
    result_.stages.rescore_ns += again_ns;
    if (call_.explain) result_.times.full_ns += again_ns;
    return {};
  }

  void fetch() {
    result_.offsets.resize(queries_.size() + 1);
    result_.offsets[0] = 0;
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      std::vector<Scored>& best = lane_.best[q];
      if (call_.ranged && best.size() >= call_.k) {
        best.resize(call_.k - 1);
        result_.truncated[q] = 1;
      }
      result_.offsets[q + 1] = result_.offsets[q] + best.size();
    }
    result_.neighbors.resize(result_.offsets.back());
    Neighbor* next = result_.neighbors.data();
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      for (const Scored& scored : lane_.best[q]) {
        fetch_row(scored, *next++);
      }
    }
    result_.rows_visible = rows_->live_count();
  }

  // What proposed the first candidates.
  void name_backend() {
    const std::string_view backend = lane_.result.backend;
    if (graph_ != nullptr) {
      result_.backend = "graph/";
      result_.backend += graph_->axes().kernels().name;
    } else {
      result_.backend = backend.empty() ? core_.runtime->lanes.backend() : backend;
    }
  }

  void fetch_row(const Scored& scored, Neighbor& neighbor) const {
    const RowBlock& block = *rows_->view(scored.block).block;
    neighbor.id = block.id(scored.position).to_id();
    neighbor.distance = scored.distance;
    neighbor.payload.clear();
    neighbor.vector = Vector();
    if (call_.with_payload) {
      neighbor.payload = payload_text(block, scored.position);
    }
    if (call_.with_vector) {
      neighbor.vector = Vector(core_.shape.type, core_.shape.dim,
                               {block.vector(scored.position), core_.shape.row_bytes});
    }
  }

  const CollectionCore& core_;
  const SearchCall& call_;
  std::span<const Query> queries_;
  SearchLane& lane_;
  SearchResult& result_;
  std::shared_ptr<const RowSet> rows_;
  std::uint64_t eligible_max_ = 0;
  std::shared_ptr<Graph> graph_;  // null: the answer is exact
  std::uint64_t graph_from_ = 0;  // slots from here on are not in it
  std::uint32_t ef_ = 0;
  GraphPlan graph_plan_;
};

Status run_search(const CollectionCore& core, const SearchCall& call,
                  std::span<const Query> queries, SearchResult& result) {
  VECSERVE_TRY(core.usable());
  result.reruns = 0;
  result.recall = 1.0;
  result.stages = {};
  if (call.stop.stop()) {
    return stopped(call);
  }
  const LanePool::Lease lane = core.runtime->lanes.take(call.stop);
  if (!lane) return stopped(call);
  return Search(core, call, queries, *lane, result).run();
}

}  // namespace

Status search_collection(const CollectionCore& core, std::span<const Query> queries,
                         const SearchOptions& options, SearchResult& result) {
  VECSERVE_TRY(options.validate());
  SearchCall call;
  call.k = options.k;
  call.filter = options.filter;
  call.with_payload = options.with_payload;
  call.with_vector = options.with_vector;
  call.recall = options.recall;
  call.ef = options.ef;
  call.explain = options.explain;
  call.stop = StopCheck(options.deadline, options.cancel.get());
  return run_search(core, call, queries, result);
}

Status search_for_measure(const CollectionCore& core, std::span<const Query> queries,
                          const SearchOptions& options, SearchResult& result) {
  SearchCall call;
  call.k = options.k;
  call.ef = options.ef;
  call.measured = true;
  return run_search(core, call, queries, result);
}

Status range_search_collection(const CollectionCore& core, std::span<const Query> queries,
                               const RangeSearchOptions& options, SearchResult& result) {
  VECSERVE_TRY(options.validate());
  SearchCall call;
  call.k = options.limit + 1;  // one more tells whether there were more
  call.ranged = true;
  call.radius = options.radius;
  call.filter = options.filter;
  call.with_payload = options.with_payload;
  call.with_vector = options.with_vector;
  call.explain = options.explain;
  call.stop = StopCheck(options.deadline, options.cancel.get());
  return run_search(core, call, queries, result);
}

}  // namespace vecserve::engine
