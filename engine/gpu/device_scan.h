// One launch of the scan on a device: packs what the kernels need, starts them, waits, and gives
// back the survivors. Comes between gpu_scanner, which makes candidates of them, and Device. One
// thread at a time, with a lane to itself. Always holds: when a call has failed, the lane's stream
// is drained before the next launch, or the device given up; memory is kept from launch to launch.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/gpu/device_lane.h"
#include "engine/gpu/mirror.h"
#include "engine/scan/coarse_bounds.h"
#include "engine/scan/scanner.h"

namespace vecserve::engine::gpu {

// Of each block of a request: the rows of it that the device is to look at.
struct MirroredBlock {
  std::shared_ptr<const MirrorPage> page;  // null: none
  std::uint32_t count = 0;
};

// Queries of a request that are scanned together. Probes, codes and wants stand in the order of the
// request's queries, and `queries` says which of them.
struct DeviceBatch {
  const ScanRequest* request = nullptr;
  std::span<const MirroredBlock> blocks;
  std::span<const std::uint32_t> queries;
  std::span<const CoarseProbe> probes;
  std::span<const std::uint32_t> wants;  // see DeviceQuery
  const std::int8_t* codes = nullptr;
  std::uint32_t stride = 0;
};

class DeviceScan {
 public:
  DeviceScan(Device& device, const DeviceTuning& tuning) : device_(device), tuning_(tuning) {}

  // Queries of one launch at most, and the room for survivors that each of so many has.
  [[nodiscard]] std::uint32_t queries_max() const;
  [[nodiscard]] std::uint32_t capacity(std::size_t queries) const;

  // Starts; `batch` must stay until finish(). resource_exhausted when it is more than a lane holds.
  [[nodiscard]] Status start(const DeviceBatch& batch, DeviceLane& lane);
  // Waits for it. survivors() are then there.
  [[nodiscard]] Status finish();

  // `query` of a survivor is an index into batch.queries. Until the next start().
  [[nodiscard]] std::span<const PackedSurvivor> survivors() const { return survivors_; }
  // Whether some survivors of that query were lost for lack of room.
  [[nodiscard]] bool overflowed(std::size_t query) const { return overflowed_[query] != 0; }

 private:
  [[nodiscard]] Status pack();
  void pack_masks(std::byte* words, std::size_t& used);
  void pack_queries();
  [[nodiscard]] bool needs_words(std::uint32_t mask, std::size_t block, std::uint32_t& at) const;
  [[nodiscard]] std::uint32_t seed_tiles() const;
  [[nodiscard]] Status launch_scan(std::uint32_t first, std::uint32_t last);
  [[nodiscard]] Status launch_finish(Kernel kernel, bool restart);
  [[nodiscard]] Status launch_all();
  [[nodiscard]] Status read_back();
  [[nodiscard]] Status checked(const Status& status);

  Device& device_;
  const DeviceTuning& tuning_;
  const DeviceBatch* batch_ = nullptr;
  DeviceLane* lane_ = nullptr;
  ScanArguments arguments_{};
  std::size_t states_at_ = 0;             // in the lane's input
  std::vector<std::uint32_t> masks_;      // of the request, those that the batch uses
  std::vector<std::uint32_t> mask_slot_;  // of each mask of the request: index in masks_
  std::span<const PackedSurvivor> survivors_;
  std::vector<std::uint8_t> overflowed_;
};

}  // namespace vecserve::engine::gpu
