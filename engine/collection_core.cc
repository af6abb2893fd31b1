// See collection_core.h.
// Any thread. Always holds: snapshot() never returns null.
// Comes below everything that reads or writes a collection.
#include "engine/collection_core.h"

#include <utility>

#include "engine/plan.h"

namespace vecserve::engine {

namespace {

RowShape make_shape(const CollectionOptions& options, Planes planes) {
  RowShape shape = RowShape::make(options.metric, options.type, options.dim);
  shape.coarse = wants_coarse_plane(shape, planes);
  return shape;
}

}  // namespace

CollectionCore::CollectionCore(std::shared_ptr<Runtime> runtime_in, std::uint32_t id_in,
                               std::string name_in, const CollectionOptions& options_in)
    : runtime(std::move(runtime_in)),
      id(id_in),
      name(std::move(name_in)),
      options(options_in),
      shape(make_shape(options_in, runtime->options.planes)),
      snapshot_(std::make_shared<const RowSet>()) {}

std::shared_ptr<const RowSet> CollectionCore::snapshot() const {
  const std::lock_guard lock(snapshot_mutex_);
  return snapshot_;
}

void CollectionCore::publish(std::shared_ptr<const RowSet> rows) {
  {
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.swap(rows);
  }
  // The last row set may go here, and with it whole blocks: after the lock, not under it.
}

Status CollectionCore::usable() const {
  if (runtime->closed.load(std::memory_order_acquire)) {
    return {StatusCode::unavailable, "the database is closed"};
  }
  if (dropped.load(std::memory_order_acquire)) {
    return {StatusCode::not_found, "collection \"" + name + "\" was dropped"};
  }
  return {};
}

void CollectionCore::Tallies::add_search(std::uint64_t queries, std::uint64_t reruns,
                                         const SearchReads& reads) {
  const std::pair<std::atomic<std::uint64_t>&, std::uint64_t> sums[] = {
      {searches, queries},         {search_reruns, reruns},
      {read_sketch, reads.sketch}, {read_sketch_fine, reads.sketch_fine},
      {read_coarse, reads.coarse}, {read_graph, reads.graph},
      {read_full, reads.full},
  };
  for (const auto& [sum, more] : sums) {
    if (more != 0) sum.fetch_add(more, std::memory_order_relaxed);
  }
}

}  // namespace vecserve::engine
