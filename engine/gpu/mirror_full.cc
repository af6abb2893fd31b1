// The part of the mirror that has vectors where there is room for them; see Mirror::cover_full and
// Mirror::take. Comes between the keeper and Device.
// cover_full() on the keeper's thread; take() on whichever thread covers. Always holds: vectors
// take no room that anything else asked for, and nothing that is searched needs them; what was
// pinned when it was given up is memory again when the last search that reads it has ended.
#include <algorithm>
#include <utility>

#include "engine/gpu/mirror.h"

namespace vecserve::engine::gpu {

bool Mirror::serves_full(const RowShape& shape) {
  return shape.type != ScalarType::bit && serves(shape) && shape.dim <= kFullDimMax;
}

std::size_t Mirror::full_row_bytes(const RowShape& shape) {
  return shape.stride + (shape.metric == Metric::l2 ? 0 : sizeof(float));
}

std::unique_ptr<MirrorStretch> Mirror::take(std::size_t bytes, bool small) {
  std::unique_ptr<MirrorStretch> taken = MirrorStretch::take(memory_, bytes, small);
  std::size_t on_its_way = 0;  // back, with the searches that read it
  while (taken == nullptr && on_its_way < bytes) {
    const Evicted evicted = evict_full();
    if (evicted.bytes == 0) break;
    if (evicted.pinned) on_its_way += evicted.bytes;
    taken = MirrorStretch::take(memory_, bytes, small);
  }
  return taken;
}

Mirror::Evicted Mirror::evict_full() {
  std::shared_ptr<const MirrorFull> victim;  // ends after the lock
  const std::lock_guard lock(mutex_);
  MirrorView* from = nullptr;
  Evicted evicted;
  for (auto& [serial, view] : blocks_) {
    if (view.full == nullptr) continue;
    // Who pins, does so under this lock.
    const bool pinned = view.full.use_count() > 1;
    if (from != nullptr && (pinned || !evicted.pinned)) continue;
    from = &view;
    evicted = {view.full->bytes(), pinned};
  }
  if (from == nullptr) return evicted;
  victim = std::move(from->full);
  from->full = nullptr;
  ++evicted_;
  return evicted;
}

std::shared_ptr<MirrorFull> Mirror::full_for(const RowBlock& block) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = blocks_.find(block.serial());
    if (found != blocks_.end() && found->second.full != nullptr) {
      return std::const_pointer_cast<MirrorFull>(found->second.full);
    }
  }
  const std::size_t room = block.shape().capacity;
  std::unique_ptr<MirrorStretch> stretch =
      MirrorStretch::take(memory_, room * full_row_bytes(block.shape()), false);
  if (stretch == nullptr) return nullptr;
  return std::make_shared<MirrorFull>(std::move(stretch), block.shape().capacity,
                                      room * block.shape().stride);
}

Status Mirror::send_vectors(const RowBlock& block, std::uint32_t first, std::uint32_t count,
                            const MirrorFull& full) {
  const std::size_t stride = block.shape().stride;
  VECSERVE_TRY(send_bytes(full.vectors() + first * stride, block.vector(first), count * stride));
  if (block.norms() == nullptr) return {};
  return send_bytes(reinterpret_cast<std::byte*>(full.norms() + first), block.norms() + first,
                    count * sizeof(float));
}

Result<std::uint32_t> Mirror::cover_full(const RowBlock& block, std::uint32_t count,
                                         std::uint32_t most) {
  const std::lock_guard lock(cover_mutex_);
  const bool useful = serves_full(block.shape()) && view_of(block.serial()).page != nullptr;
  if (!useful) return std::uint32_t{0};
  const std::shared_ptr<MirrorFull> full = full_for(block);
  if (full == nullptr) {
    return Status(StatusCode::resource_exhausted, "the GPU's budget has no room for these vectors");
  }
  const std::uint32_t done = full->covered();
  const std::uint32_t rows = done >= count ? 0 : std::min(count - done, most);
  if (rows == 0) return rows;
  VECSERVE_TRY(settle(send_vectors(block, done, rows, *full)));
  full->publish(done + rows);
  const std::lock_guard shared(mutex_);
  const auto found = blocks_.find(block.serial());
  if (found != blocks_.end()) found->second.full = full;
  return rows;
}

}  // namespace vecserve::engine::gpu
