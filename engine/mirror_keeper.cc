// See mirror_keeper.h.
// Runs on the mirror's background thread, one pass at a time. Always holds: after a pass the mirror
// has no block that was gone from all collections when the pass began.
#include "engine/mirror_keeper.h"

#include <algorithm>

namespace vecserve::engine {

namespace {

// Of all collections: so that rows which come in the meantime do not wait for long.
constexpr std::size_t kVectorBytesPerPass = std::size_t{8} << 20;

// A collection as a pass finds it.
struct Seen {
  CollectionCore* core = nullptr;
  std::uint64_t slots = 0;  // that were given out, all of them in `rows`
  std::shared_ptr<const RowSet> rows;
};

// Rows and sketches of one collection; their live bits to the others.
void cover_rows(gpu::Mirror& mirror, const Seen& seen, std::vector<gpu::Mirror::Live>& live) {
  bool whole = true;
  for (std::size_t b = 0; b < seen.rows->block_count(); ++b) {
    const BlockView& view = seen.rows->view(b);
    if (view.count == 0) continue;
    // Rows that were loaded get their coarse plane later. What fails here is served by the CPU and
    // tried again by the next pass.
    const bool ready = gpu::Mirror::covers(*view.block);
    whole = ready && mirror.cover(*view.block, view.count).ok() && whole;
    if (whole) seen.core->mirrored.advance(view.block->slot(view.count - 1) + 1);
    if (!ready) continue;
    static_cast<void>(mirror.cover_sketch(view.block->serial(), view.sketch));
    gpu::LiveWords words;
    if (view.live->live < view.count) words = {view.live, view.live->words.data()};
    live.push_back({view.block->serial(), std::move(words), (view.count + 63) / 64});
  }
  if (whole) seen.core->mirrored.advance(seen.slots);
  seen.core->mirrored.end_pass(whole);
}

// Vectors of all collections, in the room that is left.
void cover_vectors(gpu::Mirror& mirror, const std::vector<Seen>& all) {
  std::size_t left = kVectorBytesPerPass;
  for (const Seen& seen : all) {
    const std::size_t width = gpu::Mirror::full_row_bytes(seen.core->shape);
    for (std::size_t b = 0; b < seen.rows->block_count(); ++b) {
      const BlockView& view = seen.rows->view(b);
      const auto most = static_cast<std::uint32_t>(left / width);
      if (most == 0) return;
      const Result<std::uint32_t> sent = mirror.cover_full(*view.block, view.count, most);
      if (sent.ok()) left -= *sent * width;
    }
  }
}

}  // namespace

void keep_mirror(gpu::Mirror& mirror, const std::vector<std::shared_ptr<CollectionCore>>& cores) {
  std::vector<Seen> all;
  std::vector<std::uint64_t> serials;
  for (const auto& core : cores) {
    if (!gpu::Mirror::serves(core->shape)) continue;
    if (core->dropped.load(std::memory_order_acquire)) continue;
    // Slots first: they trail the rows.
    const std::uint64_t slots = core->slots.load(std::memory_order_acquire);
    all.push_back({core.get(), slots, core->snapshot()});
    const RowSet& rows = *all.back().rows;
    for (std::size_t b = 0; b < rows.block_count(); ++b) {
      serials.push_back(rows.view(b).block->serial());
    }
  }
  std::sort(serials.begin(), serials.end());
  mirror.keep_only(serials);
  std::vector<gpu::Mirror::Live> live;
  for (const Seen& seen : all) cover_rows(mirror, seen, live);
  static_cast<void>(mirror.cover_live(live));
  cover_vectors(mirror, all);
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
