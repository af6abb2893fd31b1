// What a mirror keeps of one block on the device, each part in a stretch of the mirror's memory: a
// page with the coarse plane, and beside it the block's sketch, the live bits of one snapshot and,
// where there is room for them, the vectors as they were given.
// Made by the mirror, pinned by searches. Any thread. Always holds: device memory that a part lies
// in is given back when nobody looks at it any more; sketch and live bits never change, a newer one
// takes the place of an older.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "engine/gpu/device.h"
#include "engine/gpu/page_pool.h"
#include "engine/rows/sketch_plane.h"

namespace vecserve::engine::gpu {

// What all parts of a mirror share; lives as long as the last of them.
struct MirrorMemory {
  std::shared_ptr<Device> device;
  std::byte* base = nullptr;
  std::mutex mutex;
  PagePool pool;  // guarded by mutex

  MirrorMemory(std::shared_ptr<Device> on, std::byte* at, std::size_t bytes)
      : device(std::move(on)), base(at), pool(bytes) {}
  ~MirrorMemory() { device->release(base); }
  MirrorMemory(const MirrorMemory&) = delete;
  MirrorMemory& operator=(const MirrorMemory&) = delete;
};

class MirrorStretch {
 public:
  // Nothing when the budget has no room for it. `small`: few bytes for a short time, which are
  // taken where they leave no holes between pages. May throw std::bad_alloc.
  [[nodiscard]] static std::unique_ptr<MirrorStretch> take(std::shared_ptr<MirrorMemory> memory,
                                                           std::size_t bytes, bool small);
  ~MirrorStretch();
  MirrorStretch(const MirrorStretch&) = delete;
  MirrorStretch& operator=(const MirrorStretch&) = delete;
  // Device address.
  [[nodiscard]] std::byte* at(std::size_t offset) const { return memory_->base + offset_ + offset; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  MirrorStretch(std::shared_ptr<MirrorMemory> memory, std::size_t bytes)
      : memory_(std::move(memory)), bytes_(bytes) {}

  const std::shared_ptr<MirrorMemory> memory_;
  const std::size_t bytes_;
  std::size_t offset_ = 0;
  bool taken_ = false;
};

// A part that rows are added to: bytes of each, and behind those of all the numbers of each.
class MirrorRows {
 public:
  // `first_bytes`: of all `room` rows, which the numbers stand behind.
  MirrorRows(std::unique_ptr<MirrorStretch> stretch, std::uint32_t room, std::size_t first_bytes)
      : stretch_(std::move(stretch)), room_(room), first_bytes_(first_bytes) {}

  [[nodiscard]] std::uint32_t room() const { return room_; }
  [[nodiscard]] std::size_t bytes() const { return stretch_->bytes(); }  // on the device
  [[nodiscard]] std::uint32_t covered() const { return covered_.load(std::memory_order_acquire); }
  void publish(std::uint32_t rows) { covered_.store(rows, std::memory_order_release); }

 protected:
  // Device addresses.
  [[nodiscard]] std::byte* first() const { return stretch_->at(0); }
  [[nodiscard]] std::byte* behind() const { return stretch_->at(first_bytes_); }

 private:
  const std::unique_ptr<MirrorStretch> stretch_;
  const std::uint32_t room_;
  const std::size_t first_bytes_;
  std::atomic<std::uint32_t> covered_{0};
};

// The coarse plane, or rows of bits.
class MirrorPage : public MirrorRows {
 public:
  using MirrorRows::MirrorRows;
  // Device addresses.
  [[nodiscard]] std::uint8_t* codes() const { return reinterpret_cast<std::uint8_t*>(first()); }
  [[nodiscard]] DeviceRow* rows() const { return reinterpret_cast<DeviceRow*>(behind()); }
};

// Vectors, as far apart as in the block, and their norms where bounds of the metric need those.
class MirrorFull : public MirrorRows {
 public:
  using MirrorRows::MirrorRows;
  // Device addresses.
  [[nodiscard]] std::byte* vectors() const { return first(); }
  [[nodiscard]] float* norms() const { return reinterpret_cast<float*>(behind()); }
};

// The first word of somebody's live bits, and with it the whole of them, unchanged.
using LiveWords = std::shared_ptr<const std::uint64_t>;

// Live bits of the first `word_count` * 64 rows of a block. They are those of a search when that
// has the same words, at the same address: they stay there while this part is here.
struct MirrorLive {
  std::unique_ptr<MirrorStretch> stretch;
  LiveWords words;
  std::uint32_t word_count = 0;

  [[nodiscard]] const std::uint64_t* on_device() const {
    return reinterpret_cast<const std::uint64_t*>(stretch->at(0));
  }
};

// The sketch of a block's first rows, known by its address, as above.
struct MirrorSketch {
  std::unique_ptr<MirrorStretch> stretch;
  std::shared_ptr<const SketchPlane> plane;

  [[nodiscard]] std::uint32_t padded() const {
    return (plane->count() + SketchPlane::kStripeRows - 1) / SketchPlane::kStripeRows *
           SketchPlane::kStripeRows;
  }
  // Where the parts begin, in this order: first stripe, three numbers for each row, fine records.
  [[nodiscard]] std::size_t numbers_at() const { return std::size_t{padded()} * kSketchFirst; }
  [[nodiscard]] std::size_t fine_at() const {
    return numbers_at() + std::size_t{padded()} * 3 * sizeof(float);
  }
  [[nodiscard]] std::size_t bytes() const {
    return fine_at() + std::size_t{plane->count()} * plane->fine_stride();
  }
  [[nodiscard]] DeviceSketch on_device() const;
};

// All parts of a block at one moment; null where there is none.
struct MirrorView {
  std::shared_ptr<const MirrorPage> page;
  std::shared_ptr<const MirrorLive> live;
  std::shared_ptr<const MirrorSketch> sketch;
  std::shared_ptr<const MirrorFull> full;
};

}  // namespace vecserve::engine::gpu
