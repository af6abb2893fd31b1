// See mirror_page.h.
// Bookkeeping on the host, under the memory's lock where it is shared. Always holds: a stretch that
// was not taken gives nothing back.
#include "engine/gpu/mirror_page.h"

#include <optional>

namespace vecserve::engine::gpu {

std::unique_ptr<MirrorStretch> MirrorStretch::take(std::shared_ptr<MirrorMemory> memory,
                                                   std::size_t bytes, bool small) {
  // Made first: when there is no memory for it on the host, none was taken on the device.
  std::unique_ptr<MirrorStretch> made(new MirrorStretch(std::move(memory), bytes));
  const std::lock_guard lock(made->memory_->mutex);
  PagePool& pool = made->memory_->pool;
  const std::optional<std::size_t> offset = small ? pool.take_last(bytes) : pool.take(bytes);
  if (!offset.has_value()) return nullptr;
  made->offset_ = *offset;
  made->taken_ = true;
  return made;
}

MirrorStretch::~MirrorStretch() {
  if (!taken_) return;
  const std::lock_guard lock(memory_->mutex);
  memory_->pool.give_back(offset_, bytes_);
}

DeviceSketch MirrorSketch::on_device() const {
  return {reinterpret_cast<const std::uint8_t*>(stretch->at(0)),
          reinterpret_cast<const float*>(stretch->at(numbers_at())),
          reinterpret_cast<const std::uint8_t*>(stretch->at(fine_at())), padded(), 0};
}

}  // namespace vecserve::engine::gpu
