// A collection: rows of one dimension, metric and storage type, searched and changed at any time.
// Obtained from Database. Any thread may call any member at any time, and on the same object.
//
// What every call keeps to:
//  - A reader (search, get, scan, count, ...) works on the rows as they were at one moment, never
//    waits for a writer, and sees every write that was acknowledged before the call began.
//  - A writer (upsert, insert, update, erase) applies its whole batch or, on any error, nothing.
//    Order: durable, then visible, then returned. Writers wait for the disk and for each other.
//  - Input is checked before anything is done: NaN and infinities, a wrong dimension, a zero vector
//    under cosine, an id twice in one batch, a payload that is not a JSON object, or anything
//    beyond a limit give invalid_argument with the field's name.
//  - After Database::close or drop_collection: unavailable or not_found, never a crash.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/export.h"
#include "vecserve/options.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve {

namespace engine {
class CollectionCore;
struct CursorState;
}  // namespace engine

// The outcome of a write.
struct WriteResult {
  std::uint64_t rows = 0;                    // rows written or erased
  std::uint64_t sequence = 0;                // rises with every write of the database
  Durability durability = Durability::sync;  // what this write survives
  bool replayed = false;  // the request id was remembered: this is the first outcome
};

// Where the time of a search went, in nanoseconds.
struct SearchStages {
  std::uint64_t prepare_ns = 0;  // checks, snapshot, filter
  std::uint64_t scan_ns = 0;     // proposing candidates, re-runs included
  std::uint64_t rescore_ns = 0;  // deciding among them with the reference
  std::uint64_t fetch_ns = 0;    // ids, payloads and vectors of the answers
};

// How often a row was looked at in each view of the vectors, over all queries of a batch: what a
// search had to read, and how much each view left to the next.
struct SearchReads {
  std::uint64_t sketch = 0;       // the first 16 axes of a sketch
  std::uint64_t sketch_fine = 0;  // all axes, for rows that the first did not rule out
  std::uint64_t coarse = 0;       // eight bits a coordinate
  std::uint64_t graph = 0;        // codes of the graph, where a walk met them
  std::uint64_t full = 0;  // the vectors themselves, those that the reference scored included
};

// Where the time went in each of these views, in nanoseconds of all threads together, when
// SearchOptions::explain asked for it; else 0. What a GPU does is not told apart.
struct SearchTimes {
  std::uint64_t sketch_ns = 0;
  std::uint64_t coarse_ns = 0;
  std::uint64_t graph_ns = 0;
  std::uint64_t full_ns = 0;
};

// The answers of a batch, flat: those of query i are neighbors[offsets[i]] up to, not including,
// neighbors[offsets[i + 1]], nearest first; equal distances by id. Reuse one object for many
// searches and its memory is reused.
struct SearchResult {
  std::vector<Neighbor> neighbors;
  std::vector<std::size_t> offsets;     // queries + 1 of them
  std::vector<std::uint8_t> certified;  // per query, 1: proven to be the exact answer
  std::vector<std::uint8_t> truncated;  // per query, 1: a range search met its limit
  std::uint32_t reruns = 0;             // queries that were scanned again with more slack
  std::uint64_t rows_visible = 0;       // live rows of the snapshot
  std::string backend;                  // what proposed, such as "cpu/avx512" or "graph/vnni"
  double recall = 1.0;                  // of an approximate answer: what is expected of it
  SearchStages stages;
  SearchReads reads;
  SearchTimes times;

  [[nodiscard]] std::size_t query_count() const { return offsets.empty() ? 0 : offsets.size() - 1; }
  [[nodiscard]] std::span<const Neighbor> of(std::size_t query) const {
    return {neighbors.data() + offsets[query], offsets[query + 1] - offsets[query]};
  }
};

struct CollectionStats {
  std::string name;
  CollectionOptions options;
  std::uint64_t rows = 0;       // live
  std::uint64_t rows_dead = 0;  // erased or replaced, memory not yet given back
  std::uint64_t blocks = 0;
  std::uint64_t slots = 0;             // positions ever given out
  std::uint64_t vector_bytes = 0;      // memory of the vectors, padding and dead rows included
  std::uint64_t coarse_bytes = 0;      // memory of the coarse plane, where it is there already
  std::uint64_t sketch_bytes = 0;      // memory of the sketches
  std::uint64_t rows_sketched = 0;     // dead ones included; the others are scanned without
  std::uint64_t graph_bytes = 0;       // memory of the graph, codes included
  std::uint64_t rows_linked = 0;       // rows that are in the graph
  std::uint64_t rows_unlinked = 0;     // rows that are scanned beside it, dead ones included
  std::uint64_t graph_restored = 0;    // rows whose links came from a copy in the store
  std::uint64_t graph_saved = 0;       // rows of the copy that a restart would take
  bool graph_measured = false;         // what effort gives what recall is known from queries
  std::uint64_t rows_surveyed = 0;     // there were so many when planes were last looked after
  std::uint64_t payload_bytes = 0;     // memory of payload texts and columns
  std::uint64_t index_bytes = 0;       // memory of ids and positions
  std::uint64_t writes = 0;            // rows written since open
  std::uint64_t erases = 0;            // rows erased since open
  std::uint64_t searches = 0;          // queries answered since open
  std::uint64_t search_reruns = 0;     // of these, scanned again to certify the answer
  SearchReads reads;                   // of all searches and range searches since open
  std::uint64_t blocks_rewritten = 0;  // sparse blocks given back since open
  std::uint64_t rows_expired = 0;      // removed because their time to live passed
  std::string backend;                 // the scanner in use
};

// A walk over the rows in id order, over the rows as they were when the walk began. Not for
// concurrent use by several threads; may outlive its Collection object and the database.
class VECSERVE_API Cursor {
 public:
  Cursor(Cursor&&) noexcept;
  Cursor& operator=(Cursor&&) noexcept;
  ~Cursor();

  // The next rows, at most `limit` (1 to 100,000); fewer only at the end, none when it is past. The
  // first call and a few later ones sort ids and cost time in proportion to the collection.
  [[nodiscard]] Result<std::vector<Row>> next(std::uint32_t limit);
  [[nodiscard]] bool done() const;  // true once everything was returned
  // The last id that next() returned: give it to ScanOptions::after to go on in a later scan.
  [[nodiscard]] std::optional<RowId> position() const;

 private:
  friend class Collection;
  explicit Cursor(std::unique_ptr<engine::CursorState> state);
  std::unique_ptr<engine::CursorState> state_;
};

// A handle: cheap to copy, all copies mean the same collection.
class VECSERVE_API Collection {
 public:
  // An empty handle; every call on it returns failed_precondition. For declaring members.
  Collection() = default;

  [[nodiscard]] const std::string& name() const;
  [[nodiscard]] CollectionOptions options() const;

  // -- Writing ----------------------------------------------------------------------------------

  // Writes rows: new ids are added, existing ones replaced. Returns how many rows were written.
  // An empty batch is ok and writes nothing. At most 1,000,000 rows and 1 GiB.
  [[nodiscard]] Result<WriteResult> upsert(std::span<const RowInput> rows,
                                           const WriteOptions& options = {});
  [[nodiscard]] Result<WriteResult> upsert(const RowInput& row, const WriteOptions& options = {});

  // As upsert, but already_exists when any of the ids exists; then nothing is written.
  [[nodiscard]] Result<WriteResult> insert(std::span<const RowInput> rows,
                                           const WriteOptions& options = {});

  // Changes existing rows; what a RowInput leaves out keeps its value. not_found when any of the
  // ids does not exist; then nothing is written.
  [[nodiscard]] Result<WriteResult> update(std::span<const RowInput> rows,
                                           const WriteOptions& options = {});

  // Erases rows; ids that do not exist are passed over. Returns how many were erased.
  [[nodiscard]] Result<WriteResult> erase(std::span<const RowId> ids,
                                          const WriteOptions& options = {});
  [[nodiscard]] Result<WriteResult> erase(const RowId& id, const WriteOptions& options = {});

  // Erases every row that matches at the moment of the call, except one that is replaced before the
  // erasure is applied. The filter must not be empty. Costs a pass over the payloads.
  [[nodiscard]] Result<WriteResult> erase_where(std::string_view filter,
                                                const WriteOptions& options = {});

  // -- Searching --------------------------------------------------------------------------------

  // The k nearest rows of each query that match its filter, exactly: fewer than k only when fewer
  // match. All queries of a batch see the same rows; a batch costs far less than its queries one
  // by one. On an error `result` holds nothing of use. At most 65,536 queries.
  // SearchOptions::recall and ef ask for approximate answers instead, which are not certified.
  [[nodiscard]] Status search(std::span<const Query> queries, const SearchOptions& options,
                              SearchResult& result) const;
  [[nodiscard]] Result<SearchResult> search(std::span<const Query> queries,
                                            const SearchOptions& options = {}) const;
  // One query.
  [[nodiscard]] Result<std::vector<Neighbor>> search(const Query& query,
                                                     const SearchOptions& options = {}) const;

  // Every row within the radius, nearest first. Query::k is ignored.
  [[nodiscard]] Result<SearchResult> range_search(std::span<const Query> queries,
                                                  const RangeSearchOptions& options) const;

  // -- Reading ----------------------------------------------------------------------------------

  // One row; not_found when there is none.
  [[nodiscard]] Result<Row> get(const RowId& id, const GetOptions& options = {}) const;
  // One entry per id, in the order asked; nullopt where there is no such row. All from one moment.
  [[nodiscard]] Result<std::vector<std::optional<Row>>> multi_get(
      std::span<const RowId> ids, const GetOptions& options = {}) const;
  [[nodiscard]] Result<bool> exists(const RowId& id) const;

  // Rows in id order; see Cursor. Holds on to the memory of the rows as they are now.
  [[nodiscard]] Result<Cursor> scan(const ScanOptions& options = {}) const;

  // How many live rows match; "" counts all, at once.
  [[nodiscard]] Result<std::uint64_t> count(std::string_view filter = {}) const;

  [[nodiscard]] Result<CollectionStats> stats() const;

 private:
  friend class Database;
  explicit Collection(std::shared_ptr<engine::CollectionCore> core) : core_(std::move(core)) {}
  std::shared_ptr<engine::CollectionCore> core_;
};

}  // namespace vecserve
