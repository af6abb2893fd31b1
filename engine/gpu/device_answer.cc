// See device_answer.h.
// Runs on the searching thread. Always holds: the threshold of a list is made of the host's upper
// bounds, which are tighter than the device's: what the device left out for its threshold is
// further than this one, too.
#include "engine/gpu/device_answer.h"

#include <cmath>

#include "engine/scan/coarse_kernels.h"
#include "engine/scan/reference.h"

namespace vecserve::engine::gpu {

bool DeviceAnswer::makes_sense(const DeviceBatch& batch, const PackedSurvivor& survivor) {
  if (survivor.query >= batch.queries.size() || survivor.block >= batch.blocks.size()) return false;
  const MirroredBlock& block = batch.blocks[survivor.block];
  if (block.page == nullptr || survivor.position >= block.count) return false;
  const ScanQuery& query = batch.request->queries[batch.queries[survivor.query]];
  const std::uint64_t* const words = batch.request->masks[query.mask].words[survivor.block];
  return words != nullptr &&
         (words[survivor.position / kTileRows] >> (survivor.position % kTileRows) & 1) != 0;
}

bool DeviceAnswer::score_holds(const DeviceBatch& batch, const PackedSurvivor& survivor) {
  const std::uint32_t q = batch.queries[survivor.query];
  if (batch.request->shape.type == ScalarType::bit) {
    const RowBlock& block = *batch.request->blocks[survivor.block].block;
    return reference_distance(batch.request->shape, batch.request->queries[q].bits,
                              block.vector(survivor.position)) ==
           static_cast<double>(survivor.score);
  }
  const CoarsePlane& plane = *batch.request->blocks[survivor.block].block->coarse();
  const std::uint8_t* const row = plane.codes() + std::size_t{survivor.position} * batch.stride;
  const std::int8_t* const codes = batch.codes + std::size_t{q} * batch.stride;
  std::int64_t sum = 0;
  for (std::uint32_t i = 0; i < batch.stride; ++i) sum += (int{row[i]} - 128) * int{codes[i]};
  const CoarseProbe& probe = batch.probes[q];
  const double product = static_cast<double>(sum) *
                         static_cast<double>(plane.scales()[survivor.position]) *
                         static_cast<double>(probe.limit.scale);
  const bool is_l2 = probe.metric == Metric::l2;
  const double squares = is_l2 ? static_cast<double>(plane.squares()[survivor.position]) +
                                     static_cast<double>(probe.limit.square)
                               : 0.0;
  const double score = squares - product;
  const double room = static_cast<double>(kScoreError) * (squares + std::fabs(product)) +
                      static_cast<double>(kScoreFloor);
  const double found = static_cast<double>(survivor.score);
  return std::fabs(score - found) <= room;  // all but `found` are finite
}

bool DeviceAnswer::take(const DeviceBatch& batch, std::span<const PackedSurvivor> survivors,
                        std::uint32_t recheck_every) {
  if (lists_.size() < batch.queries.size()) lists_.resize(batch.queries.size());
  for (std::size_t i = 0; i < batch.queries.size(); ++i) {
    lists_[i].reset(needed(batch.request->queries[batch.queries[i]]));
  }
  std::uint32_t number = 0;
  for (const PackedSurvivor& survivor : survivors) {
    if (!makes_sense(batch, survivor)) return false;
    if (recheck_every != 0 && ++number % recheck_every == 0 && !score_holds(batch, survivor)) {
      return false;
    }
    // Of bits the score is the distance.
    DistanceBounds bounds{survivor.score, survivor.score};
    if (batch.request->shape.type != ScalarType::bit) {
      const CoarsePlane& plane = *batch.request->blocks[survivor.block].block->coarse();
      bounds = bounds_of(batch.probes[batch.queries[survivor.query]], plane, survivor.position,
                         survivor.score);
    } else if (!std::isfinite(survivor.score)) {
      return false;
    }
    lists_[survivor.query].add({bounds.lower, bounds.upper, survivor.block, survivor.position});
  }
  return true;
}

void DeviceAnswer::finish(const DeviceBatch& batch, std::size_t query, QueryCandidates& out) {
  const ScanQuery& asked = batch.request->queries[batch.queries[query]];
  SharedThreshold threshold;
  threshold.reset(limit_of(asked));
  lists_[query].finish(threshold, asked.limit, out);
}

}  // namespace vecserve::engine::gpu
