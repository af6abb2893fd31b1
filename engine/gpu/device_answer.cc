// See device_answer.h.
// Runs on the searching thread. Always holds: the threshold of a list is the least of what its rows
// give by the host's arithmetic, and of the device's own, for which that left rows out.
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

DistanceBounds DeviceAnswer::bounds_for(const DeviceBatch& batch, const PackedSurvivor& survivor) {
  const RowBlock& block = *batch.request->blocks[survivor.block].block;
  const std::uint32_t q = batch.queries[survivor.query];
  if (batch.request->shape.type == ScalarType::bit) return {survivor.score, survivor.score};
  if (!is_sharpened(batch, survivor)) {
    return bounds_of(batch.probes[q], *block.coarse(), survivor.position, survivor.score);
  }
  const float norm = block.norms() == nullptr ? 0.0f : block.norms()[survivor.position];
  return {lower_bound(batch.fulls[q], norm, survivor.score),
          upper_bound(batch.fulls[q], norm, survivor.score)};
}

bool DeviceAnswer::score_holds(const DeviceBatch& batch, const PackedSurvivor& survivor) {
  const std::uint32_t q = batch.queries[survivor.query];
  const bool is_bits = batch.request->shape.type == ScalarType::bit;
  if (is_bits || is_sharpened(batch, survivor)) {
    const RowBlock& block = *batch.request->blocks[survivor.block].block;
    const ScanQuery& query = batch.request->queries[q];
    const void* const asked = is_bits ? static_cast<const void*>(query.bits) : query.f32;
    const double distance =
        reference_distance(batch.request->shape, asked, block.vector(survivor.position));
    const DistanceBounds bounds = bounds_for(batch, survivor);
    return distance >= static_cast<double>(bounds.lower) &&
           distance <= static_cast<double>(bounds.upper);
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
    if (batch.request->shape.type == ScalarType::bit && !std::isfinite(survivor.score)) {
      return false;
    }
    const DistanceBounds bounds = bounds_for(batch, survivor);
    lists_[survivor.query].add({bounds.lower, bounds.upper, survivor.block, survivor.position});
  }
  return true;
}

void DeviceAnswer::finish(const DeviceBatch& batch, std::size_t query, float threshold,
                          QueryCandidates& out) {
  const ScanQuery& asked = batch.request->queries[batch.queries[query]];
  SharedThreshold least;
  least.reset(limit_of(asked));
  least.lower_to(threshold);
  lists_[query].finish(least, asked.limit, out);
}

}  // namespace vecserve::engine::gpu
