// See search.h.
// Runs on the searching thread with one lane to itself. Always holds: nothing in the lane outlives
// the pinned snapshot of its search; a warm lane serves a search of the same size without
// allocating.
#include "engine/search.h"

#include <chrono>
#include <limits>
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
    rows_ = core_.snapshot();
    VECSERVE_TRY(check_queries());
    VECSERVE_TRY(make_masks());
    VECSERVE_TRY(make_queries());
    result_.stages.prepare_ns = timer.lap();
    VECSERVE_TRY(scan(lane_.queries));
    const std::string_view backend = lane_.result.backend;
    result_.backend = backend.empty() ? core_.runtime->lanes.backend() : backend;
    result_.stages.scan_ns = timer.lap();
    VECSERVE_TRY(decide(timer));
    fetch();
    result_.stages.fetch_ns = timer.lap();
    core_.tallies.searches.fetch_add(queries_.size(), std::memory_order_relaxed);
    core_.tallies.search_reruns.fetch_add(result_.reruns, std::memory_order_relaxed);
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

  Status scan(std::span<const ScanQuery> queries) {
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
    VECSERVE_TRY(lane_.scanner->scan(request, lane_.result));
    result_.reads.sketch += lane_.result.counts.sketch;
    result_.reads.sketch_fine += lane_.result.counts.sketch_fine;
    result_.reads.coarse += lane_.result.counts.coarse;
    result_.reads.full += lane_.result.counts.full;
    return lane_.result.stopped || call_.stop.stop() ? stopped(call_) : Status();
  }

  // Scores the candidates; what is not proven exact goes through the scanner once more, this time
  // for every row within the limit that the first pass established, which always proves it.
  Status decide(StageTimer& timer) {
    lane_.best.resize(std::max(lane_.best.size(), queries_.size()));
    result_.certified.assign(queries_.size(), 1);
    result_.truncated.assign(queries_.size(), 0);
    lane_.rerun_queries.clear();
    lane_.rerun_of.clear();
    for (std::size_t q = 0; q < queries_.size(); ++q) {
      result_.reads.full += lane_.result.queries[q].list.size();
      const Decision decision = rescore(core_.shape, lane_.blocks, lane_.queries[q],
                                        lane_.wanted[q], lane_.result.queries[q], lane_.best[q]);
      if (!decision.certified) {
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
      const Decision decision = rescore(core_.shape, lane_.blocks, lane_.rerun_queries[i],
                                        lane_.wanted[q], lane_.result.queries[i], lane_.best[q]);
      result_.certified[q] = decision.certified ? 1 : 0;
    }
    result_.stages.rescore_ns += timer.lap();
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
};

Status run_search(const CollectionCore& core, const SearchCall& call,
                  std::span<const Query> queries, SearchResult& result) {
  VECSERVE_TRY(core.usable());
  result.reruns = 0;
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
  call.stop = StopCheck(options.deadline, options.cancel.get());
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
  call.stop = StopCheck(options.deadline, options.cancel.get());
  return run_search(core, call, queries, result);
}

}  // namespace vecserve::engine
