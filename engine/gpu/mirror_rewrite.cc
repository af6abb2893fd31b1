// The part of the mirror that moves rows on the device; see Mirror::rewrite. Comes between the
// engine's rewriting of sparse blocks and Device.
// Runs on the background thread that rewrites, in turns with the keeper. Always holds: old pages
// are pinned until the device has read them; a page is somebody's only when it is complete.
#include <algorithm>
#include <utility>

#include "engine/gpu/mirror.h"

namespace vecserve::engine::gpu {

bool Mirror::find_rows(std::span<const Origin> origins, const RowShape& shape,
                       std::vector<MovedRow>& rows,
                       std::vector<std::shared_ptr<const MirrorPage>>& pinned) const {
  const std::size_t width = stride(shape);
  rows.reserve(origins.size());
  std::uint64_t serial = 0;
  for (const Origin& origin : origins) {
    if (pinned.empty() || origin.serial != serial) {
      serial = origin.serial;
      pinned.push_back(view_of(serial).page);
    }
    const MirrorPage* const page = pinned.back().get();
    if (page == nullptr || origin.position >= page->covered()) return false;
    const std::uint8_t* const codes = page->codes() + origin.position * width;
    const DeviceRow* const row =
        shape.type == ScalarType::bit ? nullptr : page->rows() + origin.position;
    rows.push_back({reinterpret_cast<const RowChunk*>(codes), row});
  }
  return true;
}

Status Mirror::move_rows(const std::vector<MovedRow>& from, const RowShape& shape,
                         const MirrorPage& page, const MirrorStretch& list) {
  VECSERVE_TRY(send_bytes(list.at(0), from.data(), from.size() * sizeof(MovedRow)));
  RowMove move{};
  move.from = reinterpret_cast<const MovedRow*>(list.at(0));
  move.codes = reinterpret_cast<RowChunk*>(page.codes());
  move.rows = shape.type == ScalarType::bit ? nullptr : page.rows();
  move.count = static_cast<std::uint32_t>(from.size());
  move.chunks = stride(shape) / static_cast<std::uint32_t>(sizeof(RowChunk));
  return device_->move_rows(move, stream_);
}

Status Mirror::rewrite(const RowBlock& fresh, std::span<const Origin> origins) {
  const std::lock_guard lock(cover_mutex_);
  const RowShape& shape = fresh.shape();
  if (origins.empty() || origins.size() != fresh.size() || !covers(fresh)) {
    return {StatusCode::failed_precondition, "not every row of the block has an origin"};
  }
  std::vector<MovedRow> from;
  std::vector<std::shared_ptr<const MirrorPage>> pinned;
  if (!find_rows(origins, shape, from, pinned)) {
    return {StatusCode::failed_precondition, "not every row of the block is mirrored"};
  }
  // From the other end of the memory, and only for as long as this takes.
  const std::unique_ptr<MirrorStretch> list = take(from.size() * sizeof(MovedRow), true);
  if (list == nullptr) return {StatusCode::resource_exhausted, "the GPU's budget has no room"};
  const Result<std::shared_ptr<MirrorPage>> page = make_page(shape, fresh.size());
  VECSERVE_TRY(page.status());
  VECSERVE_TRY(settle(move_rows(from, shape, **page, *list)));
  (*page)->publish(fresh.size());
  const std::lock_guard shared(mutex_);
  ahead_.reserve(ahead_.size() + 1);  // so that a block is never there without
  blocks_[fresh.serial()] = {*page, nullptr, nullptr, nullptr};
  ahead_.push_back({fresh.serial(), false});
  moved_ += from.size();
  return {};
}

void Mirror::end_rewrite(std::uint64_t serial, bool published) {
  if (!published) forget(serial);
  const std::lock_guard lock(mutex_);
  if (!published) std::erase_if(ahead_, [&](const Ahead& made) { return made.serial == serial; });
  for (Ahead& made : ahead_) made.published = made.published || made.serial == serial;
}

}  // namespace vecserve::engine::gpu
