// See expire.h.
// Runs on the background thread, or on a caller of maintenance in tests.
// Always holds: at most kRowsPerWrite rows go into one write, so that other writers wait little;
// rows_expired counts each write that was applied, also when a later one fails.
#include "engine/expire.h"

#include <bit>
#include <utility>
#include <vector>

#include "engine/base/limits.h"
#include "engine/write.h"

namespace vecserve::engine {

namespace {

constexpr std::size_t kRowsPerWrite = limits::block_rows_max;

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
  const auto remove = [&]() -> Status {
    const Result<WriteResult> written = erase_slots(core, std::exchange(slots, {}), {});
    VECSERVE_TRY(written.status());
    core->tallies.rows_expired.fetch_add(written->rows, std::memory_order_relaxed);
    removed += written->rows;
    return {};
  };
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    const BlockView& view = rows->view(b);
    if (view.block->first_expiry_ms() > now_ms) {
      continue;
    }
    if (slots.size() + view.live->live > kRowsPerWrite) {
      VECSERVE_TRY(remove());
    }
    collect_expired(view, now_ms, slots);
  }
  VECSERVE_TRY(remove());
  return removed;
}

}  // namespace vecserve::engine
