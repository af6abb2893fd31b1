// The public Collection and Cursor: check the handle, keep exceptions inside, forward to the
// engine. First stop of every call of an embedder. Any thread. Always holds: nothing here knows how
// a call is done; an empty handle answers failed_precondition.
#include "vecserve/collection.h"

#include <optional>
#include <utility>

#include "engine/collection_core.h"
#include "engine/cursor_state.h"
#include "engine/guard.h"
#include "engine/payload/filter.h"
#include "engine/payload_rows.h"
#include "engine/read.h"
#include "engine/search.h"
#include "engine/write.h"

namespace vecserve {

namespace {

const std::string kNoName;

Status no_collection() {
  return {StatusCode::failed_precondition, "this Collection is an empty handle"};
}

// Runs body(core) behind the border that no exception crosses.
template <typename Core, typename F>
auto call(const Core& core, F&& body) -> decltype(body()) {
  return engine::guarded([&]() -> decltype(body()) {
    if (core == nullptr) {
      return no_collection();
    }
    return body();
  });
}

CollectionStats gather_stats(const engine::CollectionCore& core) {
  CollectionStats stats;
  const std::shared_ptr<const engine::RowSet> rows = core.snapshot();
  stats.name = core.name;
  stats.options = core.options;
  if (const auto graph = core.graphs.graph(); graph != nullptr) {
    stats.graph_bytes = graph->bytes();
    stats.rows_linked = graph->live();
    stats.rows_unlinked = core.graphs.tail();
    stats.graph_measured = core.graphs.effort() != nullptr;
  }
  stats.graph_restored = core.graphs.restored.load(std::memory_order_relaxed);
  stats.graph_saved = core.graphs.saved.load(std::memory_order_relaxed);
  stats.rows = rows->live_count();
  stats.rows_dead = rows->row_count() - rows->live_count();
  stats.blocks = rows->block_count();
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    const engine::RowBlock& block = *rows->view(b).block;
    stats.vector_bytes += block.vector_bytes();
    if (block.coarse() != nullptr) {
      stats.coarse_bytes +=
          std::uint64_t{core.shape.capacity} * engine::CoarsePlane::bytes_per_row(core.shape);
    }
    if (const auto& sketch = rows->view(b).sketch; sketch != nullptr) {
      stats.sketch_bytes += sketch->bytes();
      stats.rows_sketched += sketch->count();
    }
    stats.index_bytes += block.index_bytes();
    stats.payload_bytes += engine::columns_of(block).memory_bytes();
  }
  stats.slots = core.slots.load(std::memory_order_relaxed);
  stats.index_bytes += core.index.memory_bytes();
  const engine::CollectionCore::Tallies& tallies = core.tallies;
  stats.writes = tallies.writes.load(std::memory_order_relaxed);
  stats.erases = tallies.erases.load(std::memory_order_relaxed);
  stats.searches = tallies.searches.load(std::memory_order_relaxed);
  stats.search_reruns = tallies.search_reruns.load(std::memory_order_relaxed);
  stats.reads = {tallies.read_sketch.load(std::memory_order_relaxed),
                 tallies.read_sketch_fine.load(std::memory_order_relaxed),
                 tallies.read_coarse.load(std::memory_order_relaxed),
                 tallies.read_graph.load(std::memory_order_relaxed),
                 tallies.read_full.load(std::memory_order_relaxed)};
  stats.blocks_rewritten = tallies.blocks_rewritten.load(std::memory_order_relaxed);
  stats.rows_expired = tallies.rows_expired.load(std::memory_order_relaxed);
  stats.rows_surveyed = tallies.rows_surveyed.load(std::memory_order_relaxed);
  stats.backend = core.runtime->lanes.backend();
  return stats;
}

}  // namespace

const std::string& Collection::name() const {
  return core_ ? core_->name : kNoName;
}

CollectionOptions Collection::options() const {
  return core_ ? core_->options : CollectionOptions();
}

Result<WriteResult> Collection::upsert(std::span<const RowInput> rows,
                                       const WriteOptions& options) {
  return call(core_, [&] {
    return engine::write_rows(core_, engine::WriteOp::Kind::upsert, rows, options);
  });
}

Result<WriteResult> Collection::upsert(const RowInput& row, const WriteOptions& options) {
  return upsert(std::span(&row, 1), options);
}

Result<WriteResult> Collection::insert(std::span<const RowInput> rows,
                                       const WriteOptions& options) {
  return call(core_, [&] {
    return engine::write_rows(core_, engine::WriteOp::Kind::insert, rows, options);
  });
}

Result<WriteResult> Collection::update(std::span<const RowInput> rows,
                                       const WriteOptions& options) {
  return call(core_, [&] {
    return engine::write_rows(core_, engine::WriteOp::Kind::update, rows, options);
  });
}

Result<WriteResult> Collection::erase(std::span<const RowId> ids, const WriteOptions& options) {
  return call(core_, [&] { return engine::erase_rows(core_, ids, options); });
}

Result<WriteResult> Collection::erase(const RowId& id, const WriteOptions& options) {
  return erase(std::span(&id, 1), options);
}

Result<WriteResult> Collection::erase_where(std::string_view filter, const WriteOptions& options) {
  return call(core_, [&] { return engine::erase_matching(core_, filter, options); });
}

Status Collection::search(std::span<const Query> queries, const SearchOptions& options,
                          SearchResult& result) const {
  return call(core_, [&] { return engine::search_collection(*core_, queries, options, result); });
}

Result<SearchResult> Collection::search(std::span<const Query> queries,
                                        const SearchOptions& options) const {
  SearchResult result;
  VECSERVE_TRY(search(queries, options, result));
  return result;
}

Result<std::vector<Neighbor>> Collection::search(const Query& query,
                                                 const SearchOptions& options) const {
  SearchResult result;
  VECSERVE_TRY(search(std::span(&query, 1), options, result));
  return std::move(result.neighbors);
}

Result<SearchResult> Collection::range_search(std::span<const Query> queries,
                                              const RangeSearchOptions& options) const {
  SearchResult result;
  VECSERVE_TRY(call(
      core_, [&] { return engine::range_search_collection(*core_, queries, options, result); }));
  return result;
}

Result<Row> Collection::get(const RowId& id, const GetOptions& options) const {
  return call(core_, [&]() -> Result<Row> {
    auto rows = engine::read_rows(*core_, std::span(&id, 1), &options);
    VECSERVE_TRY(rows.status());
    if (!rows->front().has_value()) {
      return {StatusCode::not_found, "there is no row " + id.to_string()};
    }
    return std::move(*rows->front());
  });
}

Result<std::vector<std::optional<Row>>> Collection::multi_get(std::span<const RowId> ids,
                                                              const GetOptions& options) const {
  return call(core_, [&] { return engine::read_rows(*core_, ids, &options); });
}

Result<bool> Collection::exists(const RowId& id) const {
  return call(core_, [&]() -> Result<bool> {
    const Result<std::vector<std::optional<Row>>> rows =
        engine::read_rows(*core_, std::span(&id, 1), nullptr);
    VECSERVE_TRY(rows.status());
    return rows->front().has_value();
  });
}

Result<Cursor> Collection::scan(const ScanOptions& options) const {
  return call(core_, [&]() -> Result<Cursor> {
    VECSERVE_TRY(core_->usable());
    VECSERVE_TRY(options.validate());
    std::optional<engine::Filter> filter;
    if (!options.filter.empty()) {
      Result<engine::Filter> parsed = engine::Filter::parse(options.filter);
      VECSERVE_TRY(parsed.status());
      filter = std::move(parsed).value();
    }
    return Cursor(std::make_unique<engine::CursorState>(core_, options, std::move(filter)));
  });
}

Result<std::uint64_t> Collection::count(std::string_view filter) const {
  return call(core_, [&] { return engine::count_rows(*core_, filter); });
}

Result<CollectionStats> Collection::stats() const {
  return call(core_, [&]() -> Result<CollectionStats> {
    VECSERVE_TRY(core_->usable());
    return gather_stats(*core_);
  });
}

Cursor::Cursor(std::unique_ptr<engine::CursorState> state) : state_(std::move(state)) {}
Cursor::Cursor(Cursor&&) noexcept = default;
Cursor& Cursor::operator=(Cursor&&) noexcept = default;
Cursor::~Cursor() = default;

Result<std::vector<Row>> Cursor::next(std::uint32_t limit) {
  return call(state_, [&] { return state_->next(limit); });
}

bool Cursor::done() const {
  return state_ == nullptr || state_->done();
}

std::optional<RowId> Cursor::position() const {
  return state_ == nullptr ? std::nullopt : state_->position;
}

}  // namespace vecserve
