// See expire.h.
// Runs on the background thread, or on a caller of maintenance in tests.
// Always holds: at most kRowsPerWrite rows go into one write, so that other writers wait little.
#include "engine/expire.h"

#include <bit>
#include <utility>
#include <vector>

#include "engine/write.h"

namespace vecserve::engine {

namespace {

constexpr std::size_t kRowsPerWrite = 8'192;

void collect_expired(const BlockView& view, std::uint64_t now_ms, std::vector<SlotToErase>& slots) {
  for (std::size_t w = 0; w < (std::size_t{view.count} + 63) / 64; ++w) {
    for (std::uint64_t rest = view.live->words[w]; rest != 0; rest &= rest - 1) {
      const auto position =
          static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      const std::uint64_t expires = view.block->expires_at_ms(position);
      if (expires != 0 && expires <= now_ms) {
        const IdView id = view.block->id(position);
        slots.push_back({id, hash_id(id), view.block->slot(position)});
      }
    }
  }
}

}  // namespace

Result<std::uint64_t> expire_rows(const std::shared_ptr<CollectionCore>& core) {
  const std::shared_ptr<const RowSet> rows = core->snapshot();
  const std::uint64_t now_ms = core->runtime->clock.unix_ms();
  std::uint64_t removed = 0;
  std::vector<SlotToErase> slots;
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    if (rows->view(b).block->first_expiry_ms() <= now_ms) {
      collect_expired(rows->view(b), now_ms, slots);
    }
    if (!slots.empty() && (slots.size() >= kRowsPerWrite || b + 1 == rows->block_count())) {
      const Result<WriteResult> written = erase_slots(core, std::exchange(slots, {}), {});
      VECSERVE_TRY(written.status());
      removed += written->rows;
    }
  }
  core->tallies.rows_expired.fetch_add(removed, std::memory_order_relaxed);
  return removed;
}

}  // namespace vecserve::engine
