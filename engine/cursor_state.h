// A walk over the rows of one snapshot in id order. Made by Collection::scan, driven by
// Cursor::next. One thread at a time; keeps its snapshot (and so the memory of its rows) alive.
// Always holds: every id handed out is above the one before; a row is handed out at most once, and
// every row that was eligible when the walk began is handed out.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/collection_core.h"
#include "engine/payload/filter.h"

namespace vecserve::engine {

struct CursorState {
  CursorState(std::shared_ptr<const CollectionCore> core_in, const ScanOptions& options_in,
              std::optional<Filter> filter);

  [[nodiscard]] Result<std::vector<Row>> next(std::uint32_t limit);
  [[nodiscard]] bool done() const { return at_ == order_.size() && exhausted_; }

  std::optional<RowId> position;  // the last id handed out, or where the walk was told to start

 private:
  void refill(std::uint32_t wanted);
  void take(std::uint32_t limit, std::vector<Row>& page);

  std::shared_ptr<const CollectionCore> core_;
  ScanOptions options_;
  std::shared_ptr<const RowSet> rows_;
  std::uint64_t now_ms_;
  std::vector<std::uint64_t> mask_words_;
  ScanMask mask_;

  std::vector<RowRef> order_;  // the next rows, sorted
  std::size_t at_ = 0;         // the first of order_ not handed out yet
  std::size_t chunk_ = 0;      // how many rows the last refill gathered at most
  bool exhausted_ = false;     // nothing is left beyond order_
};

}  // namespace vecserve::engine
