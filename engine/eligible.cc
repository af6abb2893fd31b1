// See eligible.h.
// Runs on the calling thread of a search, count, scan or erase_where; no state.
// Always holds: a row whose expiry time is at or before now_ms is never eligible.
#include "engine/eligible.h"

#include <bit>
#include <optional>

#include "engine/payload_rows.h"

namespace vecserve::engine {

namespace {

// Clears the bits of expired rows, looking only at rows that are alive; returns how many are left.
std::uint32_t drop_expired(const BlockView& view, std::uint64_t now_ms, std::uint64_t* words) {
  std::uint32_t left = 0;
  for (std::size_t w = 0; w < (std::size_t{view.count} + 63) / 64; ++w) {
    std::uint64_t kept = view.live->words[w];
    for (std::uint64_t rest = kept; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<std::uint32_t>(std::countr_zero(rest));
      const std::uint64_t expires =
          view.block->expires_at_ms(static_cast<std::uint32_t>(w) * 64 + bit);
      if (expires != 0 && expires <= now_ms) {
        kept &= ~(std::uint64_t{1} << bit);
      }
    }
    words[w] = kept;
    left += static_cast<std::uint32_t>(std::popcount(kept));
  }
  return left;
}

}  // namespace

EligibleRows eligible_rows(const BlockView& view, std::uint64_t now_ms, FilterRun* filter,
                           std::uint64_t* scratch) {
  EligibleRows rows{view.live->words.data(), view.live->live};
  if (rows.count != 0 && view.block->first_expiry_ms() <= now_ms) {
    rows = {scratch, drop_expired(view, now_ms, scratch)};
  }
  if (rows.count != 0 && filter != nullptr) {
    rows = {scratch, filter->evaluate(&columns_of(*view.block), view.count, rows.words, scratch)};
  }
  return rows.count == 0 ? EligibleRows{} : rows;
}

std::uint64_t make_mask(const RowSet& rows, std::uint64_t now_ms, const Filter* filter,
                        std::vector<std::uint64_t>& scratch, ScanMask& mask) {
  const std::size_t blocks = rows.block_count();
  mask.words.resize(blocks);
  mask.eligible.resize(blocks);
  const std::size_t words_per_block = blocks == 0 ? 0 : rows.view(0).block->shape().capacity / 64;
  bool needs_scratch = filter != nullptr;
  for (std::size_t b = 0; b < blocks && !needs_scratch; ++b) {
    needs_scratch = rows.view(b).block->first_expiry_ms() <= now_ms;
  }
  if (needs_scratch && scratch.size() < blocks * words_per_block) {
    scratch.resize(blocks * words_per_block);
  }
  std::optional<FilterRun> run;
  if (filter != nullptr) run.emplace(*filter);
  std::uint64_t eligible = 0;
  for (std::size_t b = 0; b < blocks; ++b) {
    std::uint64_t* const space = needs_scratch ? scratch.data() + b * words_per_block : nullptr;
    const EligibleRows found =
        eligible_rows(rows.view(b), now_ms, run.has_value() ? &*run : nullptr, space);
    mask.words[b] = found.words;
    mask.eligible[b] = found.count;
    eligible += found.count;
  }
  return eligible;
}

}  // namespace vecserve::engine
