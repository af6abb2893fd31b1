// See mirror.h.
// cover() on the keeper's thread; everything else on any. Always holds: a slot of the ring is
// written only after the copy out of it, four slots ago, is done; after a failure the stream is
// drained before a slot is used again.
#include "engine/gpu/mirror.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vecserve::engine::gpu {

namespace {

// The device's kernels multiply signed bytes: the bias of the codes goes.
void put_signed(const std::uint8_t* codes, std::size_t bytes, std::byte* out) {
  for (std::size_t i = 0; i < bytes; ++i) {
    out[i] = static_cast<std::byte>(codes[i] ^ 0x80u);
  }
}

void put_rows(const CoarsePlane& plane, std::uint32_t first, std::uint32_t count, DeviceRow* out) {
  for (std::uint32_t r = 0; r < count; ++r) {
    const std::uint32_t row = first + r;
    out[r] = {plane.scales()[row], plane.squares()[row], plane.residuals()[row],
              plane.norms()[row]};
  }
}

}  // namespace

MirrorPage::MirrorPage(std::shared_ptr<MirrorMemory> memory, std::size_t offset, std::size_t bytes,
                       std::size_t codes_bytes)
    : memory_(std::move(memory)), offset_(offset), bytes_(bytes), codes_bytes_(codes_bytes) {}

MirrorPage::~MirrorPage() {
  const std::lock_guard lock(memory_->mutex);
  memory_->pool.give_back(offset_, bytes_);
}

std::uint8_t* MirrorPage::codes() const {
  return reinterpret_cast<std::uint8_t*>(memory_->base + offset_);
}

DeviceRow* MirrorPage::rows() const {
  return reinterpret_cast<DeviceRow*>(memory_->base + offset_ + codes_bytes_);
}

Result<std::unique_ptr<Mirror>> Mirror::make(std::shared_ptr<Device> device,
                                             std::size_t budget_bytes, std::size_t ring_bytes) {
  std::unique_ptr<Mirror> mirror(new Mirror(std::move(device), ring_bytes / kSlots / 64 * 64));
  VECSERVE_TRY(mirror->allocate(budget_bytes, ring_bytes));
  return mirror;
}

Mirror::Mirror(std::shared_ptr<Device> device, std::size_t slot_bytes)
    : device_(std::move(device)), slot_bytes_(slot_bytes) {}

Status Mirror::allocate(std::size_t budget_bytes, std::size_t ring_bytes) {
  const Result<void*> pool = device_->allocate(budget_bytes);
  VECSERVE_TRY(pool.status());
  memory_ = std::make_shared<MirrorMemory>(device_, static_cast<std::byte*>(*pool), budget_bytes);
  const Result<void*> ring = device_->allocate_pinned(ring_bytes);
  VECSERVE_TRY(ring.status());
  ring_ = static_cast<std::byte*>(*ring);
  const Result<Driver::Stream> stream = device_->make_stream(Driver::Priority::insert);
  VECSERVE_TRY(stream.status());
  stream_ = *stream;
  for (std::size_t s = 0; s < kSlots; ++s) {
    slots_[s].host = ring_ + s * slot_bytes_;
    const Result<Driver::Event> event = device_->make_event();
    VECSERVE_TRY(event.status());
    slots_[s].copied = *event;
  }
  return {};
}

Mirror::~Mirror() {
  if (stream_ != nullptr && device_->alive()) static_cast<void>(device_->drain(stream_));
  for (const Slot& slot : slots_) device_->end_event(slot.copied);
  device_->end_stream(stream_);
  device_->release_pinned(ring_);
}

Result<std::shared_ptr<MirrorPage>> Mirror::page_of(const RowBlock& block) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = pages_.find(block.serial());
    if (found != pages_.end()) return found->second;
  }
  const RowShape& shape = block.shape();
  const std::size_t codes_bytes = std::size_t{shape.capacity} * block.coarse()->stride();
  const std::size_t bytes = codes_bytes + std::size_t{shape.capacity} * sizeof(DeviceRow);
  std::optional<std::size_t> offset;
  {
    const std::lock_guard lock(memory_->mutex);
    offset = memory_->pool.take(bytes);
  }
  if (!offset.has_value()) {
    const std::lock_guard lock(mutex_);
    ++refused_;
    return Status(StatusCode::resource_exhausted, "the GPU's budget has no room for this block");
  }
  auto page = std::make_shared<MirrorPage>(memory_, *offset, bytes, codes_bytes);
  const std::lock_guard lock(mutex_);
  pages_[block.serial()] = page;
  return page;
}

Status Mirror::copy_rows(const CoarsePlane& plane, std::uint32_t first, std::uint32_t count,
                         const MirrorPage& page) {
  const std::size_t stride = plane.stride();
  const Slot& slot = slots_[next_slot_];
  next_slot_ = (next_slot_ + 1) % kSlots;
  VECSERVE_TRY(device_->wait(slot.copied));
  const std::size_t codes_bytes = count * stride;
  put_signed(plane.codes() + first * stride, codes_bytes, slot.host);
  put_rows(plane, first, count, reinterpret_cast<DeviceRow*>(slot.host + codes_bytes));
  VECSERVE_TRY(device_->copy_in(page.codes() + first * stride, slot.host, codes_bytes, stream_));
  VECSERVE_TRY(device_->copy_in(page.rows() + first, slot.host + codes_bytes,
                                count * sizeof(DeviceRow), stream_));
  return device_->record(slot.copied, stream_);
}

Status Mirror::cover(const RowBlock& block, std::uint32_t count) {
  const std::lock_guard lock(cover_mutex_);
  const CoarsePlane* const plane = block.coarse();
  const std::size_t row_bytes = plane->stride() + sizeof(DeviceRow);
  const auto rows_max = static_cast<std::uint32_t>(slot_bytes_ / row_bytes);
  if (rows_max == 0) {
    return {StatusCode::resource_exhausted, "a row is longer than a slot of the GPU's ring"};
  }
  const Result<std::shared_ptr<MirrorPage>> found = page_of(block);
  VECSERVE_TRY(found.status());
  MirrorPage& page = **found;
  std::uint32_t done = page.covered();
  if (done >= count) return {};
  Status status;
  while (done < count && status.ok()) {
    const std::uint32_t rows = std::min(rows_max, count - done);
    status = copy_rows(*plane, done, rows, page);
    done += rows;
  }
  // Also after a failure: the ring must be quiet before anybody writes to it again.
  const Status drained = device_->drain(stream_);
  VECSERVE_TRY(status);
  VECSERVE_TRY(drained);
  page.publish(count);
  return {};
}

void Mirror::forget(std::uint64_t serial) {
  std::shared_ptr<MirrorPage> page;  // ends after the lock
  const std::lock_guard lock(mutex_);
  const auto found = pages_.find(serial);
  if (found == pages_.end()) return;
  page = std::move(found->second);
  pages_.erase(found);
}

void Mirror::keep_only(std::span<const std::uint64_t> serials) {
  const std::lock_guard lock(mutex_);
  std::erase_if(pages_, [&](const auto& entry) {
    return !std::binary_search(serials.begin(), serials.end(), entry.first);
  });
}

std::shared_ptr<const MirrorPage> Mirror::find(std::uint64_t serial) const {
  const std::lock_guard lock(mutex_);
  const auto found = pages_.find(serial);
  return found == pages_.end() ? nullptr : found->second;
}

void Mirror::find_all(std::span<const std::uint64_t> serials,
                      std::vector<std::shared_ptr<const MirrorPage>>& pages) const {
  pages.resize(serials.size());
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < serials.size(); ++i) {
    const auto found = pages_.find(serials[i]);
    pages[i] = found == pages_.end() ? nullptr : found->second;
  }
}

MirrorReport Mirror::report() const {
  MirrorReport report;
  {
    const std::lock_guard lock(memory_->mutex);
    report.budget_bytes = memory_->pool.bytes();
    report.used_bytes = memory_->pool.used();
  }
  const std::lock_guard lock(mutex_);
  report.blocks = pages_.size();
  for (const auto& [serial, page] : pages_) report.rows += page->covered();
  report.refused = refused_;
  return report;
}

}  // namespace vecserve::engine::gpu
