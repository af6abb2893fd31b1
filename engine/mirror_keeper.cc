// See mirror_keeper.h.
// Runs on the mirror's background thread, one pass at a time. Always holds: after a pass the mirror
// has no block that was gone from all collections when the pass began.
#include "engine/mirror_keeper.h"

#include <algorithm>

namespace vecserve::engine {

void keep_mirror(gpu::Mirror& mirror, const std::vector<std::shared_ptr<CollectionCore>>& cores) {
  std::vector<std::shared_ptr<const RowSet>> sets;
  std::vector<std::uint64_t> serials;
  for (const auto& core : cores) {
    if (!gpu::Mirror::serves(core->shape)) continue;
    if (core->dropped.load(std::memory_order_acquire)) continue;
    sets.push_back(core->snapshot());
    for (std::size_t b = 0; b < sets.back()->block_count(); ++b) {
      serials.push_back(sets.back()->view(b).block->serial());
    }
  }
  std::sort(serials.begin(), serials.end());
  mirror.keep_only(serials);
  std::vector<gpu::Mirror::Live> live;
  for (const auto& rows : sets) {
    for (std::size_t b = 0; b < rows->block_count(); ++b) {
      const BlockView& view = rows->view(b);
      // Rows that were loaded get their coarse plane later.
      if (view.count == 0 || !gpu::Mirror::covers(*view.block)) continue;
      // What fails here is served by the CPU and tried again by the next pass.
      static_cast<void>(mirror.cover(*view.block, view.count));
      static_cast<void>(mirror.cover_sketch(view.block->serial(), view.sketch));
      gpu::LiveWords words;
      if (view.live->live < view.count) words = {view.live, view.live->words.data()};
      live.push_back({view.block->serial(), std::move(words), (view.count + 63) / 64});
    }
  }
  static_cast<void>(mirror.cover_live(live));
}

// What fails here is brought over by the keeper once the block is published.
MirrorAhead::MirrorAhead(gpu::Mirror* mirror, const RowBlock& fresh,
                         std::span<const gpu::Mirror::Origin> origins)
    : mirror_(mirror), serial_(fresh.serial()) {
  if (mirror_ != nullptr) static_cast<void>(mirror_->rewrite(fresh, origins));
}

MirrorAhead::~MirrorAhead() {
  if (mirror_ != nullptr) mirror_->end_rewrite(serial_, published_);
}

}  // namespace vecserve::engine
