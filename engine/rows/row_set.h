// A snapshot of a collection: an immutable list of blocks, how many rows of each are published, and
// which of those are alive. Searches pin one and are never disturbed; the committing thread makes
// the next one with a RowSetEditor and publishes it. Nobody waits for anybody.
// Any thread may read a RowSet. An editor belongs to one thread, and only one editor of a
// collection exists at a time. Always holds: slots rise strictly over blocks and positions; live
// bits at or above count are zero.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/rows/row_block.h"
#include "engine/rows/sketch_plane.h"

namespace vecserve::engine {

// One bit per row of a block, in words of 64; immutable once in a RowSet.
struct LiveBits {
  std::vector<std::uint64_t> words;  // capacity / 64 of them
  std::uint32_t live = 0;            // bits set

  [[nodiscard]] bool test(std::uint32_t position) const {
    return (words[position / 64] >> (position % 64) & 1) != 0;
  }
};

struct BlockView {
  std::shared_ptr<RowBlock> block;  // const for readers
  std::shared_ptr<const LiveBits> live;
  std::uint32_t count = 0;                    // published rows, dead ones included
  std::shared_ptr<const SketchPlane> sketch;  // of its first rows, or null
};

// Where a row stands in a RowSet.
struct RowRef {
  std::uint32_t block = 0;
  std::uint32_t position = 0;
};

class RowSet {
 public:
  RowSet() = default;

  [[nodiscard]] std::size_t block_count() const { return views_.size(); }
  [[nodiscard]] const BlockView& view(std::size_t block) const { return *views_[block]; }
  [[nodiscard]] std::uint64_t live_count() const { return live_; }
  [[nodiscard]] std::uint64_t row_count() const { return rows_; }     // dead ones included
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }  // of the last write in it
  // The row of that slot if it is here and alive. O(log blocks + log rows of a block).
  [[nodiscard]] std::optional<RowRef> find(std::uint64_t slot) const;

 private:
  friend class RowSetEditor;
  std::vector<std::shared_ptr<const BlockView>> views_;
  std::uint64_t live_ = 0;
  std::uint64_t rows_ = 0;
  std::uint64_t sequence_ = 0;
};

// Makes the next RowSet from the last one. Copies only the block list and the live bits of blocks
// that change. May throw std::bad_alloc at any call; then destroy it: rows appended through it are
// taken back out of their block, and nothing was changed that a reader can see.
class RowSetEditor {
 public:
  explicit RowSetEditor(const std::shared_ptr<const RowSet>& base);
  ~RowSetEditor();
  RowSetEditor(const RowSetEditor&) = delete;
  RowSetEditor& operator=(const RowSetEditor&) = delete;

  // The block that the next row of `slot` would go to, or null when a new one must be added first.
  [[nodiscard]] RowBlock* open_block(std::uint64_t slot);
  void add_block(std::shared_ptr<RowBlock> block);  // empty or full; becomes the open block
  // Appends to the open block, which must accept the slot; the row is alive.
  std::uint32_t append(std::uint64_t slot, const IdView& id, const std::byte* vector,
                       std::uint64_t expires_at_ms);
  // Marks the row of that slot dead; false when it is not here or already dead. Sees rows appended
  // through this editor too.
  bool kill(std::uint64_t slot);
  [[nodiscard]] std::optional<RowRef> find(std::uint64_t slot) const;
  [[nodiscard]] const BlockView& view(std::size_t block) const;

  // Puts `fresh` (complete blocks, in slot order, made elsewhere from the rows of the views
  // [first, last) of an older RowSet that were alive then) in the place of those blocks. Rows that
  // died since are dead in the new blocks too. The open block is never part of the range. Blocks
  // are found by identity; false, and nothing changed, when they are not all here any more.
  bool replace(std::span<const std::shared_ptr<RowBlock>> old_blocks,
               std::span<const std::shared_ptr<RowBlock>> fresh);

  // Gives the block this sketch instead of the one it has; false, and nothing changed, when it is
  // not here any more.
  bool set_sketch(const RowBlock& block, std::shared_ptr<const SketchPlane> sketch);

  // The new RowSet; the editor is spent. Never throws after its own allocations are done.
  [[nodiscard]] std::shared_ptr<const RowSet> finish(std::uint64_t sequence);

 private:
  struct Edit;
  std::unique_ptr<Edit> edit_;
};

}  // namespace vecserve::engine
