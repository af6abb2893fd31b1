// See graph_cache.h.
// The thread of the keeper; the pool's threads encode the rows of a chunk. Always holds: codes are
// made from the vectors that are there, so they are right whatever the cache says; a node whose row
// is gone gets the code of a neighbour, which is about where it stood.
#include "engine/graph_cache.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <utility>

#include "engine/base/coding.h"
#include "engine/base/limits.h"
#include "engine/rows/row_floats.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {

namespace {

// Rows may have been erased since; a graph that is mostly dead is made anew as fast.
constexpr std::uint64_t kNodesPerRow = 2;
constexpr std::uint32_t kPointsMax = 64;

std::uint32_t print_of(const RowShape& shape, std::uint64_t slot, const std::byte* vector) {
  return fingerprint(slot, {reinterpret_cast<const char*>(vector), shape.row_bytes});
}

Status damaged(const char* what) {
  return {StatusCode::data_loss, std::string("a stored graph ") + what};
}

std::string encode_effort(const EffortCurve* effort, bool from_queries) {
  std::string chunk;
  put_fixed(chunk, static_cast<std::uint8_t>(from_queries ? 1 : 0));
  if (effort == nullptr) return chunk;
  for (const EffortPoint& point : effort->points()) {
    put_fixed(chunk, point.ef);
    put_fixed(chunk, std::bit_cast<std::uint64_t>(point.recall));
  }
  return chunk;
}

}  // namespace

Result<std::shared_ptr<GraphSave>> GraphSave::begin(CollectionCore& core,
                                                    std::shared_ptr<const Graph> graph) {
  Result<std::unique_ptr<CacheWriter>> writer = core.runtime->store->write_cache(core.id);
  VECSERVE_TRY(writer.status());
  const std::shared_ptr<GraphSave> save(
      new GraphSave(std::move(graph), core.snapshot()->sequence(), std::move(*writer)));
  save->image_.head(save->chunk_);
  VECSERVE_TRY(save->writer_->append(save->chunk_));
  const auto effort = core.graphs.effort();
  VECSERVE_TRY(
      save->writer_->append(encode_effort(effort.get(), core.graphs.keeping.from_queries)));
  return save;
}

Result<bool> GraphSave::step(const CollectionCore& core) {
  const std::shared_ptr<const RowSet> rows = core.snapshot();
  const bool more = image_.next(
      [&](std::uint64_t slot) -> std::uint32_t {
        // One that is dead now is dead then, and nobody asks.
        const std::optional<RowRef> ref = rows->find(slot);
        if (!ref.has_value()) return 0;
        return print_of(core.shape, slot, rows->view(ref->block).block->vector(ref->position));
      },
      chunk_);
  if (more) {
    VECSERVE_TRY(writer_->append(chunk_));
    return true;
  }
  VECSERVE_TRY(core.usable());  // a collection that was dropped has no file any more
  VECSERVE_TRY(writer_->finish());
  return false;
}

Result<std::shared_ptr<GraphRestore>> GraphRestore::begin(const CollectionCore& core) {
  const std::shared_ptr<GraphRestore> restore(new GraphRestore(core.snapshot()));
  VECSERVE_TRY(restore->open(core));
  return restore;
}

Status GraphRestore::open(const CollectionCore& core) {
  Result<std::unique_ptr<CacheReader>> reader = core.runtime->store->read_cache(core.id);
  VECSERVE_TRY(reader.status());
  reader_ = std::move(*reader);
  if (!CodeAxes::serves(core.shape)) return damaged("belongs to other rows");
  const Result<std::string_view> head = reader_->next();
  VECSERVE_TRY(head.status());
  Result<std::unique_ptr<GraphReader>> image =
      GraphReader::begin(*head, core.shape, graph_kernels_for(core.runtime->kernels.name),
                         kNodesPerRow * rows_->live_count());
  VECSERVE_TRY(image.status());
  image_ = std::move(*image);
  // A power loss may have taken rows that a weaker durability did not promise.
  if (image_->image().sequence > core.runtime->sequence.load(std::memory_order_acquire) ||
      image_->image().watermark > core.slots.load(std::memory_order_relaxed)) {
    return damaged("knows of rows that are not there");
  }
  const Result<std::string_view> effort = reader_->next();
  VECSERVE_TRY(effort.status());
  VECSERVE_TRY(read_effort(*effort));
  covered_.resize(rows_->block_count());
  for (std::size_t b = 0; b < covered_.size(); ++b) {
    covered_[b].assign((std::size_t{rows_->view(b).count} + 63) / 64, 0);
  }
  return {};
}

Status GraphRestore::read_effort(std::string_view chunk) {
  ByteReader in(chunk);
  std::uint8_t from_queries = 0;
  std::vector<EffortPoint> points;
  if (!in.fixed(from_queries) || from_queries > 1) return damaged("has no effort");
  while (!in.done()) {
    std::uint32_t ef = 0;
    std::uint64_t bits = 0;
    if (!in.fixed(ef) || !in.fixed(bits) || points.size() == kPointsMax) {
      return damaged("has an effort that cannot be");
    }
    const auto recall = std::bit_cast<double>(bits);
    const EffortPoint before = points.empty() ? EffortPoint() : points.back();
    if (ef <= before.ef || ef > limits::ef_max || !(recall >= before.recall && recall <= 1.0)) {
      return damaged("has an effort that does not rise");
    }
    points.push_back({ef, recall});
  }
  from_queries_ = from_queries == 1;
  if (!points.empty()) effort_ = std::make_shared<const EffortCurve>(std::move(points));
  return {};
}

// Finds the rows of the chunk in hand; no two nodes may have the same.
Status GraphRestore::claim_rows() {
  refs_.assign(nodes_.size(), RowRef{});
  alive_.assign(nodes_.size(), 0);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::optional<RowRef> ref = rows_->find(nodes_[i].slot);
    if (!ref.has_value()) {
      dead_.push_back(nodes_[i].node);
      continue;
    }
    std::uint64_t& word = covered_[ref->block][ref->position / 64];
    const std::uint64_t bit = std::uint64_t{1} << ref->position % 64;
    if ((word & bit) != 0) return damaged("has a row twice");
    word |= bit;
    refs_[i] = *ref;
    alive_[i] = 1;
  }
  return {};
}

bool GraphRestore::fill_record(const RowShape& shape, std::size_t i, std::vector<float>& row,
                               std::vector<float>& scratch) const {
  if (alive_[i] == 0) return true;
  const GraphReader::Node& node = nodes_[i];
  const std::byte* const vector = rows_->view(refs_[i].block).block->vector(refs_[i].position);
  if (print_of(shape, node.slot, vector) != node.print) return false;
  row_floats(shape.type, vector, shape.dim, row.data());
  Graph& graph = *image_->graph();
  graph.axes().encode(row.data(), scratch.data(), graph.mutable_record(node.node));
  return true;
}

Result<bool> GraphRestore::step(const CollectionCore& core, std::uint32_t threads) {
  const Result<std::string_view> chunk = reader_->next();
  VECSERVE_TRY(chunk.status());
  if (chunk->empty()) {
    VECSERVE_TRY(image_->finish());
    VECSERVE_TRY(check_cover());
    fill_dead_records();
    return false;
  }
  VECSERVE_TRY(image_->add(*chunk, nodes_));
  VECSERVE_TRY(claim_rows());
  const CodeAxes& axes = image_->graph()->axes();
  std::vector<std::vector<float>> rows(threads, std::vector<float>(core.shape.dim));
  std::vector<std::vector<float>> scratch(threads, std::vector<float>(axes.scratch_floats()));
  std::atomic<bool> other{false};
  core.runtime->pool.parallel_for(nodes_.size(), threads, [&](std::size_t i, std::uint32_t worker) {
    if (!fill_record(core.shape, i, rows[worker], scratch[worker])) {
      other.store(true, std::memory_order_relaxed);
    }
  });
  if (other.load(std::memory_order_relaxed)) return damaged("belongs to other rows");
  return true;
}

// A row that is no node would never be found again.
Status GraphRestore::check_cover() const {
  const std::uint64_t watermark = image_->image().watermark;
  for (std::size_t b = 0; b < rows_->block_count(); ++b) {
    const BlockView& view = rows_->view(b);
    for (std::uint32_t r = 0; r < view.count; ++r) {
      if (view.block->slot(r) >= watermark) return {};
      const bool covered = (covered_[b][r / 64] >> (r % 64) & 1) != 0;
      if (view.live->test(r) && !covered) return damaged("lacks rows that are there");
    }
  }
  return {};
}

void GraphRestore::fill_dead_records() {
  Graph& graph = *image_->graph();
  std::vector<std::uint8_t> dead(graph.nodes(), 0);
  for (const std::uint32_t node : dead_) dead[node] = 1;
  const CodeAxes& axes = graph.axes();
  std::vector<float> scratch(axes.scratch_floats());
  const std::vector<float> nowhere(axes.dim(), 0.0f);
  for (const std::uint32_t node : dead_) {
    const auto& links = graph.links(node);
    const auto at = std::find_if(links.begin(), links.end(), [&](const auto& link) {
      const std::uint32_t value = link.load(std::memory_order_relaxed);
      return value != kNoNode && dead[value & kNodeMask] == 0;
    });
    if (at == links.end()) {
      axes.encode(nowhere.data(), scratch.data(), graph.mutable_record(node));
    } else {
      std::copy_n(graph.record(at->load(std::memory_order_relaxed) & kNodeMask),
                  axes.record_bytes(), graph.mutable_record(node));
    }
  }
}

}  // namespace vecserve::engine
