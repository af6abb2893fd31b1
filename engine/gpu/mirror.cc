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

bool Mirror::serves(const RowShape& shape) {
  if (shape.type == ScalarType::bit) return shape.metric == Metric::hamming;
  return shape.coarse && CoarsePlane::serves(shape);
}

bool Mirror::covers(const RowBlock& block) {
  return serves(block.shape()) &&
         (block.shape().type == ScalarType::bit || block.coarse() != nullptr);
}

std::uint32_t Mirror::stride(const RowShape& shape) {
  if (shape.type == ScalarType::bit) return shape.stride;
  return static_cast<std::uint32_t>(row_bytes(shape) - sizeof(DeviceRow));
}

std::size_t Mirror::row_bytes(const RowShape& shape) {
  return shape.type == ScalarType::bit ? shape.stride : CoarsePlane::bytes_per_row(shape);
}

MirrorView Mirror::view_of(std::uint64_t serial) const {
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(serial);
  if (found == blocks_.end()) return {};
  const MirrorView& view = found->second;
  return {view.page, view.live, view.sketch, nullptr};
}

Result<std::shared_ptr<MirrorPage>> Mirror::make_page(const RowShape& shape, std::uint32_t room) {
  const std::size_t codes_bytes = std::size_t{room} * stride(shape);
  std::unique_ptr<MirrorStretch> stretch = take(std::size_t{room} * row_bytes(shape), false);
  if (stretch != nullptr) {
    return std::make_shared<MirrorPage>(std::move(stretch), room, codes_bytes);
  }
  const std::lock_guard lock(mutex_);
  ++refused_;
  return Status(StatusCode::resource_exhausted, "the GPU's budget has no room for this block");
}

Result<std::shared_ptr<MirrorPage>> Mirror::page_for(const RowBlock& block, std::uint32_t count) {
  const MirrorView view = view_of(block.serial());
  if (view.page != nullptr && view.page->room() >= count) {
    return std::const_pointer_cast<MirrorPage>(view.page);
  }
  return make_page(block.shape(), block.shape().capacity);
}

void Mirror::put_in(std::uint64_t serial, std::shared_ptr<const MirrorPage> page) {
  const std::lock_guard lock(mutex_);
  blocks_[serial].page.swap(page);  // the old one ends with the argument, after the lock
}

template <typename Put>
Status Mirror::send(std::byte* to, std::size_t bytes, const Put& put) {
  for (std::size_t from = 0; from < bytes;) {
    const std::size_t count = std::min(slot_bytes_, bytes - from);
    const Slot& slot = slots_[next_slot_];
    next_slot_ = (next_slot_ + 1) % kSlots;
    VECSERVE_TRY(device_->wait(slot.copied));
    put(from, count, slot.host);
    VECSERVE_TRY(device_->copy_in(to + from, slot.host, count, stream_));
    VECSERVE_TRY(device_->record(slot.copied, stream_));
    from += count;
  }
  return {};
}

Status Mirror::send_bytes(std::byte* to, const void* bytes, std::size_t size) {
  return send(to, size, [&](std::size_t from, std::size_t count, std::byte* out) {
    std::memcpy(out, static_cast<const std::byte*>(bytes) + from, count);
  });
}

Status Mirror::settle(const Status& sent) {
  const Status drained = device_->drain(stream_);
  return sent.ok() ? drained : sent;
}

Status Mirror::copy_rows(const RowBlock& block, std::uint32_t first, std::uint32_t count,
                         const MirrorPage& page) {
  const std::size_t width = stride(block.shape());
  const Slot& slot = slots_[next_slot_];
  next_slot_ = (next_slot_ + 1) % kSlots;
  VECSERVE_TRY(device_->wait(slot.copied));
  const std::size_t codes_bytes = count * width;
  std::uint8_t* const codes = page.codes() + first * width;
  if (block.shape().type == ScalarType::bit) {
    std::memcpy(slot.host, block.vector(first), codes_bytes);
    VECSERVE_TRY(device_->copy_in(codes, slot.host, codes_bytes, stream_));
    return device_->record(slot.copied, stream_);
  }
  const CoarsePlane& plane = *block.coarse();
  put_signed(plane.codes() + first * width, codes_bytes, slot.host);
  put_rows(plane, first, count, reinterpret_cast<DeviceRow*>(slot.host + codes_bytes));
  VECSERVE_TRY(device_->copy_in(codes, slot.host, codes_bytes, stream_));
  VECSERVE_TRY(device_->copy_in(page.rows() + first, slot.host + codes_bytes,
                                count * sizeof(DeviceRow), stream_));
  return device_->record(slot.copied, stream_);
}

Status Mirror::cover(const RowBlock& block, std::uint32_t count) {
  const std::lock_guard lock(cover_mutex_);
  const auto rows_max = static_cast<std::uint32_t>(slot_bytes_ / row_bytes(block.shape()));
  if (rows_max == 0) {
    return {StatusCode::resource_exhausted, "a row is longer than a slot of the GPU's ring"};
  }
  const Result<std::shared_ptr<MirrorPage>> found = page_for(block, count);
  VECSERVE_TRY(found.status());
  MirrorPage& page = **found;
  std::uint32_t done = page.covered();
  if (done >= count) return {};
  Status status;
  while (done < count && status.ok()) {
    const std::uint32_t rows = std::min(rows_max, count - done);
    status = copy_rows(block, done, rows, page);
    done += rows;
  }
  VECSERVE_TRY(settle(status));
  page.publish(count);
  put_in(block.serial(), *found);
  return {};
}

Status Mirror::send_sketch(const MirrorSketch& sketch) {
  const SketchPlane& plane = *sketch.plane;
  const std::size_t padded = sketch.padded();
  VECSERVE_TRY(send(sketch.stretch->at(0), padded * kSketchFirst,
                    [&](std::size_t from, std::size_t count, std::byte* out) {
                      put_signed(plane.first() + from, count, out);
                    }));
  const float* const numbers[] = {plane.bases(), plane.lefts(), plane.reaches()};
  for (std::size_t i = 0; i < 3; ++i) {
    const std::size_t bytes = padded * sizeof(float);
    VECSERVE_TRY(
        send_bytes(sketch.stretch->at(sketch.numbers_at() + i * bytes), numbers[i], bytes));
  }
  const std::size_t stride = plane.fine_stride();
  if (stride == 0) return {};
  return send(sketch.stretch->at(sketch.fine_at()), plane.count() * stride,
              [&](std::size_t from, std::size_t count, std::byte* out) {
                std::memcpy(out, plane.fine() + from, count);
                for (std::size_t i = 0; i < count; ++i) {
                  if ((from + i) % stride < plane.fine_codes()) out[i] ^= std::byte{0x80};
                }
              });
}

Status Mirror::cover_sketch(std::uint64_t serial, const std::shared_ptr<const SketchPlane>& plane) {
  const std::lock_guard lock(cover_mutex_);
  const MirrorView view = view_of(serial);
  const SketchPlane* const there = view.sketch == nullptr ? nullptr : view.sketch->plane.get();
  if (view.page == nullptr || there == plane.get()) return {};
  std::shared_ptr<const MirrorSketch> made;
  if (plane != nullptr) {
    MirrorSketch sketch{nullptr, plane};
    sketch.stretch = take(sketch.bytes(), false);
    if (sketch.stretch == nullptr) {
      return {StatusCode::resource_exhausted, "the GPU's budget has no room for this sketch"};
    }
    VECSERVE_TRY(settle(send_sketch(sketch)));
    made = std::make_shared<const MirrorSketch>(std::move(sketch));
  }
  const std::lock_guard shared(mutex_);
  const auto found = blocks_.find(serial);
  if (found != blocks_.end()) found->second.sketch.swap(made);
  return {};
}

Status Mirror::cover_live(std::span<const Live> blocks) {
  const std::lock_guard lock(cover_mutex_);
  std::vector<std::pair<std::uint64_t, std::shared_ptr<const MirrorLive>>> fresh;
  Status status;
  for (const Live& block : blocks) {
    const MirrorView view = view_of(block.serial);
    const LiveWords there = view.live == nullptr ? nullptr : view.live->words;
    const bool same =
        there == block.words && (there == nullptr || view.live->word_count >= block.word_count);
    if (view.page == nullptr || same) continue;
    std::shared_ptr<const MirrorLive> made;
    const std::size_t bytes = block.word_count * sizeof(std::uint64_t);
    if (block.words != nullptr && bytes != 0) {
      MirrorLive live{take(bytes, true), block.words, block.word_count};
      // What does not fit goes with each search.
      if (live.stretch != nullptr) {
        status = send_bytes(live.stretch->at(0), live.words.get(), bytes);
        made = std::make_shared<const MirrorLive>(std::move(live));
      }
    }
    fresh.emplace_back(block.serial, std::move(made));
    if (!status.ok()) break;
  }
  if (fresh.empty()) return {};
  VECSERVE_TRY(settle(status));
  const std::lock_guard shared(mutex_);
  for (auto& [serial, live] : fresh) {
    const auto found = blocks_.find(serial);
    if (found != blocks_.end()) found->second.live.swap(live);
  }
  return {};
}

void Mirror::forget(std::uint64_t serial) {
  MirrorView view;  // ends after the lock
  const std::lock_guard lock(mutex_);
  const auto found = blocks_.find(serial);
  if (found == blocks_.end()) return;
  view = std::move(found->second);
  blocks_.erase(found);
}

void Mirror::keep_only(std::span<const std::uint64_t> serials) {
  const std::lock_guard lock(mutex_);
  const auto made_ahead = [this](std::uint64_t serial) {
    return std::any_of(ahead_.begin(), ahead_.end(),
                       [&](const Ahead& made) { return made.serial == serial; });
  };
  std::erase_if(blocks_, [&](const auto& entry) {
    return !std::binary_search(serials.begin(), serials.end(), entry.first) &&
           !made_ahead(entry.first);
  });
  std::erase_if(ahead_, [](const Ahead& made) { return made.published; });
}

std::shared_ptr<const MirrorPage> Mirror::find(std::uint64_t serial) const {
  return view_of(serial).page;
}

void Mirror::find_all(std::span<const std::uint64_t> serials,
                      std::vector<MirrorView>& views) const {
  views.resize(serials.size());
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < serials.size(); ++i) {
    const auto found = blocks_.find(serials[i]);
    views[i] = found == blocks_.end() ? MirrorView() : found->second;
  }
}

std::string to_string(const MirrorReport& report) {
  const auto mebibytes = [](std::uint64_t bytes) {
    return std::to_string((bytes + (1u << 20) - 1) >> 20);
  };
  return std::to_string(report.rows) + " rows in " + std::to_string(report.blocks) + " blocks, " +
         std::to_string(report.full_rows) + " with their vectors, " + mebibytes(report.used_bytes) +
         " of " + mebibytes(report.budget_bytes) + " MiB";
}

MirrorReport Mirror::report() const {
  MirrorReport report;
  {
    const std::lock_guard lock(memory_->mutex);
    report.budget_bytes = memory_->pool.bytes();
    report.used_bytes = memory_->pool.used();
  }
  const std::lock_guard lock(mutex_);
  report.blocks = blocks_.size();
  for (const auto& [serial, view] : blocks_) {
    report.rows += view.page->covered();
    if (view.sketch != nullptr) ++report.sketched;
    if (view.live != nullptr) ++report.masked;
    if (view.full == nullptr) continue;
    ++report.full;
    report.full_rows += view.full->covered();
  }
  report.refused = refused_;
  report.moved = moved_;
  report.evicted = evicted_;
  return report;
}

}  // namespace vecserve::engine::gpu
