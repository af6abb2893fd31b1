// What one group commit is about to change in one collection: rows appended and killed in an editor
// that no reader sees, counters, and the changes to the index, kept apart until the store has them.
// Used by commit_group alone, on the committing thread.
// Always holds: until publish() nothing of it is visible; destroying a stage undoes it. After
// make_ready() publish() cannot fail.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/collection_core.h"
#include "engine/rows/row_set.h"
#include "engine/write_op.h"

namespace vecserve::engine {

class Stage {
 public:
  explicit Stage(CollectionCore& core);

  // The slot of the newest row of that id, staged ones included; nullopt when there is none. A row
  // whose time to live has passed is still found: see is_expired.
  [[nodiscard]] std::optional<std::uint64_t> find(const IdView& id, std::uint64_t hash) const;
  [[nodiscard]] bool is_expired(std::uint64_t slot, std::uint64_t now_ms) const;

  // Stages one write, all of it or nothing; adds to `batch` what the store must do. Sets the op's
  // result or error. The batch's views point into the op. May throw std::bad_alloc: then the whole
  // group must be dropped.
  void add(WriteOp& op, StoreBatch& batch);

  // Reserves what publish() needs. May throw std::bad_alloc.
  void make_ready();
  void publish(std::uint64_t sequence);

  [[nodiscard]] CollectionCore& core() { return core_; }
  [[nodiscard]] const CollectionCounters& counters() const { return counters_; }
  [[nodiscard]] bool changed() const { return !changes_.empty(); }

 private:
  // One change of the index, in order. Exactly one of the slots may be absent.
  struct Change {
    std::uint64_t hash = 0;
    IdView id;
    std::optional<std::uint64_t> old_slot;
    std::optional<std::uint64_t> new_slot;
  };

  [[nodiscard]] Status check_rows(const WriteOp& op) const;
  void put_row(WriteOp& op, const WriteRow& row, StoreBatch& batch);
  [[nodiscard]] Status complete_update(WriteOp& op);
  void complete_row(WriteOp& op, WriteRow& row, std::uint64_t slot);
  void append_row(const WriteOp& op, const WriteRow& row, std::uint64_t slot);
  std::uint64_t erase_rows(WriteOp& op, StoreBatch& batch);
  void record_change(Change change);
  [[nodiscard]] const Change* staged(const IdView& id, std::uint64_t hash) const;

  CollectionCore& core_;
  std::shared_ptr<const RowSet> base_;
  RowSetEditor editor_;
  CollectionCounters counters_;
  std::vector<Change> changes_;
  std::vector<std::uint32_t> newest_;  // open addressing: index + 1 of an id's newest change
  std::array<std::uint32_t, IdIndex::kShards> inserts_{};
  std::uint64_t written_ = 0;
  std::uint64_t erased_ = 0;
};

}  // namespace vecserve::engine
