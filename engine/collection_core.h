// The inside of a collection: its options, the row set that readers pin, the index from id to slot,
// and the counters that travel with every write. Everything that a write or a search does happens
// in the files that take one of these; this one only holds it together. Members are grouped by who
// may touch them. Always holds: the published row set and the index agree whenever `version` is
// even; a row is in the row set only when it is durable in the store.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>

#include "engine/graph_state.h"
#include "engine/id_index.h"
#include "engine/mirror_tail.h"
#include "engine/rows/row_set.h"
#include "engine/rows/row_shape.h"
#include "engine/runtime.h"
#include "engine/store/store.h"
#include "vecserve/collection.h"

namespace vecserve::engine {

class CollectionCore {
 public:
  CollectionCore(std::shared_ptr<Runtime> runtime_in, std::uint32_t id_in, std::string name_in,
                 const CollectionOptions& options_in);

  // -- Constant after construction --------------------------------------------------------------
  const std::shared_ptr<Runtime> runtime;
  const std::uint32_t id;
  const std::string name;
  const CollectionOptions options;
  const RowShape shape;

  // -- Any thread -------------------------------------------------------------------------------
  // The rows as of now. Costs a lock of a few nanoseconds.
  [[nodiscard]] std::shared_ptr<const RowSet> snapshot() const;
  // ok, or why nothing can be done with the collection any more.
  [[nodiscard]] Status usable() const;

  IdIndex index;
  std::atomic<bool> dropped{false};

  // A seqlock over "row set and index together": odd while the committing thread publishes. Readers
  // that need both and meet a change wait on publication_mutex, for memory only, never for the
  // disk.
  std::atomic<std::uint64_t> version{0};
  mutable std::shared_mutex publication_mutex;

  struct Tallies {
    std::atomic<std::uint64_t> writes{0};
    std::atomic<std::uint64_t> erases{0};
    std::atomic<std::uint64_t> searches{0};
    std::atomic<std::uint64_t> search_reruns{0};
    std::atomic<std::uint64_t> read_sketch{0};  // these five as in SearchReads
    std::atomic<std::uint64_t> read_sketch_fine{0};
    std::atomic<std::uint64_t> read_coarse{0};
    std::atomic<std::uint64_t> read_graph{0};
    std::atomic<std::uint64_t> read_full{0};
    std::atomic<std::uint64_t> blocks_rewritten{0};
    std::atomic<std::uint64_t> rows_expired{0};
    std::atomic<std::uint64_t> rows_surveyed{0};

    void add_search(std::uint64_t queries, std::uint64_t reruns, const SearchReads& reads);
  };
  mutable Tallies tallies;
  // counters.next_slot for those who may not read counters; trails it by a publication at most.
  std::atomic<std::uint64_t> slots{0};

  // See there for who may touch what.
  mutable GraphState graphs;
  MirrorTail mirrored;

  // -- The background thread only
  // ------------------------------------------------------------------ The axes of the sketches,
  // and what was known when they were learned, or found not to pay.
  struct Sketching {
    std::shared_ptr<const SketchAxes> axes;
    std::uint64_t rows_then = 0;
    double reach_then = 0.0;  // mean of the first block's, to notice when later rows lie elsewhere
    bool elsewhere = false;   // they do
  };
  Sketching sketching;

  // -- The committing thread only ---------------------------------------------------------------
  CollectionCounters counters;
  void publish(std::shared_ptr<const RowSet> rows);

 private:
  mutable std::mutex snapshot_mutex_;
  std::shared_ptr<const RowSet> snapshot_;  // guarded by snapshot_mutex_
};

}  // namespace vecserve::engine
