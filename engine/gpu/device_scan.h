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
#include "engine/scan/bounds.h"
#include "engine/scan/coarse_bounds.h"
#include "engine/scan/scanner.h"
#include "engine/scan/sketch_bounds.h"

namespace vecserve::engine::gpu {

// Of each block of a request: the rows of it that the device is to look at.
struct MirroredBlock {
  std::shared_ptr<const MirrorPage> page;  // null: none
  std::shared_ptr<const MirrorLive> live;  // null: none
  // Null: none that has all of those rows, or not the one that the request has.
  std::shared_ptr<const MirrorSketch> sketch;
  std::uint32_t count = 0;
  std::shared_ptr<const MirrorFull> full = nullptr;  // null: none
  std::uint32_t full_count = 0;                      // rows whose vectors it has
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
  // Blocks that have a sketch along these axes are sifted, for the queries as those see them, in
  // the order of `queries`. Null: none is. At most kFewQueries then.
  const SketchAxes* axes = nullptr;
  std::span<const SketchQuery> sketches;
  // Survivors whose vectors are there have their bounds from these, those of kFullLanes; in the
  // order of the request's queries. Empty: no vector is read.
  std::span<const ScoreBound> fulls;
};

// Whether that row's score is a sum over its vector, if it survived.
[[nodiscard]] inline bool is_sharpened(const DeviceBatch& batch, const PackedSurvivor& survivor) {
  return !batch.fulls.empty() && survivor.position < batch.blocks[survivor.block].full_count;
}

// See ScoreBound; as sharpen.cuh adds.
[[nodiscard]] ScoreBound make_full_bound(const RowShape& shape, double query_norm);

// A float that is not below the query's limit.
[[nodiscard]] float limit_of(const ScanQuery& query);

class DeviceScan {
 public:
  DeviceScan(Device& device, const DeviceTuning& tuning) : device_(device), tuning_(tuning) {}

  // Queries of one launch at most, and the room for survivors that each of so many has.
  [[nodiscard]] std::uint32_t queries_max() const;
  [[nodiscard]] std::uint32_t capacity(std::size_t queries) const;
  // Whether a lane's input has room for the batch.
  [[nodiscard]] bool fits(const DeviceBatch& batch);

  // Starts; `batch` must stay until finish(). resource_exhausted when it is more than a lane holds.
  [[nodiscard]] Status start(const DeviceBatch& batch, DeviceLane& lane);
  // Waits for it. survivors() are then there.
  [[nodiscard]] Status finish();

  // `query` of a survivor is an index into batch.queries. Until the next start().
  [[nodiscard]] std::span<const PackedSurvivor> survivors() const { return survivors_; }
  // Whether some survivors of that query were lost for lack of room.
  [[nodiscard]] bool overflowed(std::size_t query) const { return overflowed_[query] != 0; }
  // No row that is not among that query's survivors is nearer, unless some were lost.
  [[nodiscard]] float threshold(std::size_t query) const { return thresholds_[query]; }
  // Of the last launch.
  [[nodiscard]] const ScanTotals& totals() const { return totals_; }

 private:
  // Where the parts of a lane's input begin, in bytes.
  struct Layout {
    std::size_t sketches = 0;
    std::size_t masks = 0;
    std::size_t queries = 0;
    std::size_t codes = 0;
    std::size_t sketch_queries = 0;
    std::size_t fulls = 0;
    std::size_t full_queries = 0;
    std::size_t full_floats = 0;
    std::size_t states = 0;
    std::size_t totals = 0;
    std::size_t words = 0;
    std::size_t end = 0;  // of the words
  };
  [[nodiscard]] Layout lay_out(const DeviceBatch& batch);
  [[nodiscard]] Status pack();
  void pack_blocks();
  void pack_masks(std::size_t& used);
  void pack_queries();
  void pack_sketches();
  void pack_fulls();
  [[nodiscard]] static std::uint64_t stand_in(const DeviceBatch& batch, std::uint32_t mask,
                                              std::size_t block);
  [[nodiscard]] std::uint32_t seed_tiles() const;
  void add_scan(std::uint32_t first, std::uint32_t last, bool sift);
  void add_finish(Kernel kernel, bool restart);
  void add_sharpen();
  [[nodiscard]] Status launch_all();
  // By the lane's graph where it has one, or step by step.
  [[nodiscard]] Status run_steps();
  [[nodiscard]] Status run_step(const Step& step);
  [[nodiscard]] Status read_back();
  [[nodiscard]] Status checked(const Status& status);

  Device& device_;
  const DeviceTuning& tuning_;
  const DeviceBatch* batch_ = nullptr;
  DeviceLane* lane_ = nullptr;
  ScanArguments arguments_{};
  Steps steps_;
  Layout layout_;
  ScanTotals totals_{};
  std::vector<std::uint32_t> masks_;      // of the request, those that the batch uses
  std::vector<std::uint32_t> mask_slot_;  // of each mask of the request: index in masks_
  std::vector<std::uint64_t> places_;     // of masks_ and blocks: ScanArguments::mask_at
  std::span<const PackedSurvivor> survivors_;
  std::vector<std::uint8_t> overflowed_;
  std::vector<float> thresholds_;
};

}  // namespace vecserve::engine::gpu
