// The graph of a collection in the cache of its store: writes it there, and brings it back when a
// database was opened, both in steps of a few milliseconds. Called by graph_keeper, with the
// keeping mutex held. Comes between engine/graph (what the bytes mean) and the store (where they
// lie).
// Always holds: a graph that comes back belongs to the rows that are there. Its slots below the
// watermark cover every live row, each once; every live row of it has the fingerprint that it was
// saved with. Rows that died since are nodes that the repair takes out; rows that came since are
// the tail. Anything else is a status, and the graph is made anew.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/collection_core.h"
#include "engine/graph/graph_image.h"

namespace vecserve::engine {

class GraphSave {
 public:
  // Nothing may be repaired until it is done or gone; rows may be linked.
  [[nodiscard]] static Result<std::shared_ptr<GraphSave>> begin(CollectionCore& core,
                                                                std::shared_ptr<const Graph> graph);

  // The next nodes. False when all are saved, durably.
  [[nodiscard]] Result<bool> step(const CollectionCore& core);
  [[nodiscard]] std::uint32_t nodes() const { return image_.image().nodes; }

 private:
  GraphSave(std::shared_ptr<const Graph> graph, std::uint64_t sequence,
            std::unique_ptr<CacheWriter> writer)
      : image_(std::move(graph), sequence), writer_(std::move(writer)) {}

  GraphWriter image_;
  std::unique_ptr<CacheWriter> writer_;
  std::string chunk_;
};

class GraphRestore {
 public:
  // not_found when there is no graph in the cache; data_loss when what is there cannot be it.
  [[nodiscard]] static Result<std::shared_ptr<GraphRestore>> begin(const CollectionCore& core);

  // The next nodes, on `threads` at most. False when all are there: then the two below are valid.
  [[nodiscard]] Result<bool> step(const CollectionCore& core, std::uint32_t threads);
  [[nodiscard]] const std::shared_ptr<Graph>& graph() const { return image_->graph(); }
  [[nodiscard]] const std::shared_ptr<const EffortCurve>& effort() const { return effort_; }
  [[nodiscard]] bool from_queries() const { return from_queries_; }
  [[nodiscard]] std::uint32_t nodes() const { return image_->graph()->nodes(); }

 private:
  explicit GraphRestore(std::shared_ptr<const RowSet> rows) : rows_(std::move(rows)) {}
  [[nodiscard]] Status open(const CollectionCore& core);
  [[nodiscard]] Status read_effort(std::string_view chunk);
  [[nodiscard]] Status claim_rows();
  [[nodiscard]] bool fill_record(const RowShape& shape, std::size_t i, std::vector<float>& row,
                                 std::vector<float>& scratch) const;
  [[nodiscard]] Status check_cover() const;
  void fill_dead_records();

  // Pinned, so that blocks stay where they are from the first step to the last.
  const std::shared_ptr<const RowSet> rows_;
  std::unique_ptr<CacheReader> reader_;
  std::unique_ptr<GraphReader> image_;
  std::shared_ptr<const EffortCurve> effort_;
  bool from_queries_ = false;
  std::vector<std::vector<std::uint64_t>> covered_;  // a bit for each row of each block
  std::vector<std::uint32_t> dead_;                  // nodes without a row
  // Of the chunk in hand.
  std::vector<GraphReader::Node> nodes_;
  std::vector<RowRef> refs_;
  std::vector<std::uint8_t> alive_;
};

}  // namespace vecserve::engine
