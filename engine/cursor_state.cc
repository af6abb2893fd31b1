// See cursor_state.h. Sorting all ids at once would make the first page of a large collection slow;
// finding only the next page would make a whole walk quadratic. So each refill gathers the smallest
// ids above the last one, and eight times as many as the refill before: a walk makes a few passes.
// Runs on the caller's thread.
// Always holds: order_[at_...] are the smallest eligible ids above `position`, sorted.
#include "engine/cursor_state.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "engine/base/limits.h"
#include "engine/eligible.h"
#include "engine/read.h"

namespace vecserve::engine {

namespace {

constexpr std::size_t kChunkMin = 4'096;
constexpr std::size_t kChunkGrowth = 8;

}  // namespace

CursorState::CursorState(std::shared_ptr<const CollectionCore> core_in,
                         const ScanOptions& options_in, std::optional<Filter> filter)
    : position(options_in.after),
      core_(std::move(core_in)),
      options_(options_in),
      rows_(core_->snapshot()),
      now_ms_(core_->runtime->clock.unix_ms()) {
  make_mask(*rows_, now_ms_, filter.has_value() ? &*filter : nullptr, mask_words_, mask_);
}

void CursorState::refill(std::uint32_t wanted) {
  const auto id_of = [&](const RowRef& at) { return rows_->view(at.block).block->id(at.position); };
  const auto before = [&](const RowRef& a, const RowRef& b) { return id_of(a) < id_of(b); };
  const std::size_t chunk = std::max({kChunkMin, std::size_t{wanted}, chunk_ * kChunkGrowth});
  std::vector<RowRef> gathered;
  bool dropped = false;
  const auto keep_smallest = [&] {
    if (gathered.size() > chunk) {
      std::nth_element(gathered.begin(), gathered.begin() + static_cast<std::ptrdiff_t>(chunk),
                       gathered.end(), before);
      gathered.resize(chunk);
      dropped = true;
    }
  };
  const std::optional<IdView> after =
      position.has_value() ? std::optional<IdView>(IdView(*position)) : std::nullopt;
  for (std::uint32_t b = 0; b < rows_->block_count(); ++b) {
    const std::uint64_t* const words = mask_.words[b];
    const std::size_t word_count = (std::size_t{rows_->view(b).count} + 63) / 64;
    for (std::size_t w = 0; words != nullptr && w < word_count; ++w) {
      for (std::uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
        const RowRef at{b, static_cast<std::uint32_t>(
                               w * 64 + static_cast<std::size_t>(std::countr_zero(rest)))};
        if (!after.has_value() || *after < id_of(at)) {
          gathered.push_back(at);
        }
      }
    }
    if (gathered.size() >= chunk * 2) {
      keep_smallest();
    }
  }
  keep_smallest();
  std::sort(gathered.begin(), gathered.end(), before);
  order_ = std::move(gathered);
  at_ = 0;
  chunk_ = chunk;
  exhausted_ = !dropped;
}

void CursorState::take(std::uint32_t limit, std::vector<Row>& page) {
  while (page.size() < limit && !done()) {
    if (at_ == order_.size()) {
      refill(limit);
    }
    for (; at_ < order_.size() && page.size() < limit; ++at_) {
      const RowRef at = order_[at_];
      page.push_back(make_row(core_->shape, *rows_->view(at.block).block, at.position, now_ms_,
                              options_.with_payload, options_.with_vector));
      position = page.back().id;
    }
  }
}

Result<std::vector<Row>> CursorState::next(std::uint32_t limit) {
  if (limit == 0 || limit > limits::page_rows_max) {
    return Status::invalid_argument("limit", "must be between 1 and 100000");
  }
  std::vector<Row> page;
  std::optional<RowId> start = position;
  try {
    take(limit, page);
  } catch (...) {
    // The page is lost with the exception: the next call gathers its rows again.
    position = std::move(start);
    order_.clear();
    at_ = 0;
    exhausted_ = false;
    throw;
  }
  return page;
}

}  // namespace vecserve::engine
