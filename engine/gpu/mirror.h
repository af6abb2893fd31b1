// The rows that a GPU has: for each mirrored block a page with the coarse plane of its first rows.
// Filled by the keeper of the database through a pinned ring on a stream of low priority; read by
// searches, which pin pages. Comes between Device and the scanner. Any thread; covering is done by
// one thread at a time, others wait.
// Always holds: rows [0, covered) of a page are on the device, complete, before `covered` says so;
// a page that a search has pinned stays, forgotten or not; memory comes from one allocation made at
// the start. A block is known by its serial, never by its address.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "engine/gpu/device.h"
#include "engine/gpu/page_pool.h"
#include "engine/rows/row_block.h"

namespace vecserve::engine::gpu {

// What all pages of a mirror share; lives as long as the last of them.
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

class MirrorPage {
 public:
  MirrorPage(std::shared_ptr<MirrorMemory> memory, std::size_t offset, std::size_t bytes,
             std::size_t codes_bytes);
  ~MirrorPage();
  MirrorPage(const MirrorPage&) = delete;
  MirrorPage& operator=(const MirrorPage&) = delete;

  // Device addresses.
  [[nodiscard]] std::uint8_t* codes() const;
  [[nodiscard]] DeviceRow* rows() const;
  [[nodiscard]] std::uint32_t covered() const { return covered_.load(std::memory_order_acquire); }
  void publish(std::uint32_t rows) { covered_.store(rows, std::memory_order_release); }

 private:
  std::shared_ptr<MirrorMemory> memory_;
  const std::size_t offset_;
  const std::size_t bytes_;
  const std::size_t codes_bytes_;
  std::atomic<std::uint32_t> covered_{0};
};

struct MirrorReport {
  std::uint64_t budget_bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t rows = 0;
  std::uint64_t refused = 0;  // pages that did not fit
};

class Mirror {
 public:
  // Takes the whole budget from the device at once, and the ring.
  [[nodiscard]] static Result<std::unique_ptr<Mirror>> make(std::shared_ptr<Device> device,
                                                            std::size_t budget_bytes,
                                                            std::size_t ring_bytes);
  ~Mirror();

  // Brings rows [0, count) of the block over; those that are there already cost nothing. Blocks
  // until they are. resource_exhausted when the page does not fit into the budget; nothing changes
  // then. Requires a coarse plane and published rows.
  [[nodiscard]] Status cover(const RowBlock& block, std::uint32_t count);
  void forget(std::uint64_t serial);
  // Forgets every block whose serial is not among them (sorted).
  void keep_only(std::span<const std::uint64_t> serials);
  // Null when the block has no page.
  [[nodiscard]] std::shared_ptr<const MirrorPage> find(std::uint64_t serial) const;
  // Pages of many blocks at one lock; null where there is none.
  void find_all(std::span<const std::uint64_t> serials,
                std::vector<std::shared_ptr<const MirrorPage>>& pages) const;
  [[nodiscard]] MirrorReport report() const;

 private:
  static constexpr std::size_t kSlots = 4;
  struct Slot {
    std::byte* host = nullptr;
    Driver::Event copied = nullptr;
  };

  Mirror(std::shared_ptr<Device> device, std::size_t slot_bytes);
  [[nodiscard]] Status allocate(std::size_t budget_bytes, std::size_t ring_bytes);
  [[nodiscard]] Result<std::shared_ptr<MirrorPage>> page_of(const RowBlock& block);
  [[nodiscard]] Status copy_rows(const CoarsePlane& plane, std::uint32_t first, std::uint32_t count,
                                 const MirrorPage& page);

  const std::shared_ptr<Device> device_;
  const std::size_t slot_bytes_;
  std::shared_ptr<MirrorMemory> memory_;
  std::byte* ring_ = nullptr;
  Driver::Stream stream_ = nullptr;
  Slot slots_[kSlots];
  std::size_t next_slot_ = 0;  // guarded by cover_mutex_
  std::mutex cover_mutex_;     // one at a time; before mutex_
  mutable std::mutex mutex_;
  std::unordered_map<std::uint64_t, std::shared_ptr<MirrorPage>> pages_;  // guarded by mutex_
  std::uint64_t refused_ = 0;                                             // guarded by mutex_
};

}  // namespace vecserve::engine::gpu
