// See device_scan.h.
// Runs on the searching thread. Always holds: a launch scans its first rows alone, so that all
// others meet a threshold; when a query has found more than there is room for, the threshold that
// those it kept give is taken to a second launch over all rows.
#include "engine/gpu/device_scan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace vecserve::engine::gpu {

namespace {

constexpr std::size_t kPart = 16;               // parts of the input begin at multiples of this
constexpr std::uint32_t kSharedMax = 48 << 10;  // bytes that every device gives a block unasked
constexpr std::uint32_t kLaunchesMax = 3;
// Survivors of the first rows leave room for those to come.
constexpr std::uint32_t kSeedShare = 2;
constexpr std::uint32_t kSeedPerWanted = 4;

std::size_t rounded(std::size_t bytes) {
  return (bytes + kPart - 1) / kPart * kPart;
}

std::uint32_t key(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return bits ^ ((bits >> 31) != 0 ? 0xffffffffu : 0x80000000u);
}

// A float that is not below the limit.
float limit_of(const ScanQuery& query) {
  const auto limit = static_cast<float>(query.limit);
  return static_cast<double>(limit) < query.limit
             ? std::nextafter(limit, std::numeric_limits<float>::infinity())
             : limit;
}

bool all_set(const std::uint64_t* words, std::uint32_t count) {
  const std::uint32_t whole = count / kTileRows;
  for (std::uint32_t w = 0; w < whole; ++w) {
    if (words[w] != ~std::uint64_t{0}) return false;
  }
  const std::uint64_t rest = (std::uint64_t{1} << (count % kTileRows)) - 1;
  return count % kTileRows == 0 || (words[whole] & rest) == rest;
}

}  // namespace

std::uint32_t DeviceScan::queries_max() const {
  return std::max(tuning_.survivors / tuning_.survivors_min, 1u);
}

std::uint32_t DeviceScan::capacity(std::size_t queries) const {
  const auto share =
      static_cast<std::uint32_t>(tuning_.survivors / std::max<std::size_t>(queries, 1));
  return std::min(std::bit_floor(std::max(share, 1u)), tuning_.survivors_max);
}

Status DeviceScan::checked(const Status& status) {
  if (!status.ok() && device_.alive()) static_cast<void>(device_.drain(lane_->stream));
  return status;
}

Status DeviceScan::start(const DeviceBatch& batch, DeviceLane& lane) {
  batch_ = &batch;
  lane_ = &lane;
  survivors_ = {};
  overflowed_.assign(batch.queries.size(), 0);
  VECSERVE_TRY(pack());
  return checked(launch_all());
}

// Lays out the lane's input: blocks, offsets of masks, queries, codes, states with the total behind
// them, and the words of masks, of which nobody knows how many there will be.
Status DeviceScan::pack() {
  const ScanRequest& request = *batch_->request;
  const std::size_t queries = batch_->queries.size();
  const std::size_t blocks = batch_->blocks.size();
  masks_.clear();
  mask_slot_.assign(request.masks.size(), kNoRows);
  for (const std::uint32_t q : batch_->queries) {
    std::uint32_t& slot = mask_slot_[request.queries[q].mask];
    if (slot != kNoRows) continue;
    slot = static_cast<std::uint32_t>(masks_.size());
    masks_.push_back(request.queries[q].mask);
  }
  const std::size_t mask_at = rounded(blocks * sizeof(DeviceBlock));
  const std::size_t queries_at = mask_at + rounded(masks_.size() * blocks * sizeof(std::uint32_t));
  const std::size_t codes_at = queries_at + rounded(queries * sizeof(DeviceQuery));
  states_at_ = codes_at + rounded(queries * batch_->stride);
  const std::size_t total_at = states_at_ + queries * sizeof(QueryState);
  std::size_t used = total_at + kPart;
  std::size_t words_max = 0;
  for (const MirroredBlock& block : batch_->blocks) {
    words_max += (std::size_t{block.count} + kTileRows - 1) / kTileRows;
  }
  if (used + words_max * masks_.size() * sizeof(std::uint64_t) > tuning_.input_bytes) {
    return {StatusCode::resource_exhausted, "more blocks, masks or queries than a lane holds"};
  }
  const auto device = [&](std::size_t at) { return lane_->input + at; };
  arguments_ = {};
  arguments_.blocks = reinterpret_cast<const DeviceBlock*>(device(0));
  arguments_.mask_at = reinterpret_cast<const std::uint32_t*>(device(mask_at));
  arguments_.mask_words = reinterpret_cast<const std::uint64_t*>(device(used));
  arguments_.queries = reinterpret_cast<const DeviceQuery*>(device(queries_at));
  arguments_.codes = reinterpret_cast<const std::int8_t*>(device(codes_at));
  arguments_.states = reinterpret_cast<QueryState*>(device(states_at_));
  arguments_.total = reinterpret_cast<std::uint32_t*>(device(total_at));
  arguments_.keys = lane_->keys;
  arguments_.survivors = lane_->survivors;
  arguments_.packed = lane_->packed;
  arguments_.block_count = static_cast<std::uint32_t>(blocks);
  arguments_.tiles_per_block = request.shape.capacity / kTileRows;
  arguments_.query_count = static_cast<std::uint32_t>(queries);
  arguments_.stride = batch_->stride;
  arguments_.capacity = capacity(queries);
  arguments_.packed_capacity = tuning_.packed;
  arguments_.is_l2 = request.shape.metric == Metric::l2 ? 1 : 0;
  arguments_.offset = request.shape.metric == Metric::cosine ? 1.0f : 0.0f;
  auto* const out = reinterpret_cast<DeviceBlock*>(lane_->input_host);
  for (std::size_t b = 0; b < blocks; ++b) {
    const MirroredBlock& block = batch_->blocks[b];
    out[b] = {block.page ? block.page->codes() : nullptr, block.page ? block.page->rows() : nullptr,
              block.page ? block.count : 0, 0};
  }
  pack_queries();
  pack_masks(lane_->input_host + used, used);
  return device_.copy_in(lane_->input, lane_->input_host, used, lane_->stream);
}

void DeviceScan::pack_queries() {
  std::byte* const host = lane_->input_host;
  const auto offset = [&](const void* address) {
    return static_cast<const std::byte*>(address) - lane_->input;
  };
  auto* const queries = reinterpret_cast<DeviceQuery*>(host + offset(arguments_.queries));
  std::byte* const codes = host + offset(arguments_.codes);
  auto* const states = reinterpret_cast<QueryState*>(host + states_at_);
  for (std::size_t i = 0; i < batch_->queries.size(); ++i) {
    const std::uint32_t q = batch_->queries[i];
    const CoarseLimit& limit = batch_->probes[q].limit;
    const ScanQuery& query = batch_->request->queries[q];
    queries[i] = {limit.scale,       limit.square,     batch_->probes[q].query.residual,
                  limit.coarse_norm, batch_->wants[q], mask_slot_[query.mask]};
    std::memcpy(codes + i * batch_->stride, batch_->codes + std::size_t{q} * batch_->stride,
                batch_->stride);
    states[i] = {key(limit_of(query)), 0, kNoKey, 0};
  }
  std::memset(host + offset(arguments_.total), 0, kPart);
}

// Whether the words of that mask and block must travel; if not, `at` says what stands for them.
bool DeviceScan::needs_words(std::uint32_t mask, std::size_t block, std::uint32_t& at) const {
  const ScanMask& of = batch_->request->masks[mask];
  const MirroredBlock& mirrored = batch_->blocks[block];
  at = kNoRows;
  if (mirrored.page == nullptr || mirrored.count == 0 || of.words[block] == nullptr ||
      of.eligible[block] == 0) {
    return false;
  }
  at = kAllRows;
  return of.eligible[block] < mirrored.count || !all_set(of.words[block], mirrored.count);
}

void DeviceScan::pack_masks(std::byte* words, std::size_t& used) {
  auto* const at = reinterpret_cast<std::uint32_t*>(
      lane_->input_host + (reinterpret_cast<const std::byte*>(arguments_.mask_at) - lane_->input));
  std::uint32_t next = 0;
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    for (std::size_t b = 0; b < batch_->blocks.size(); ++b) {
      std::uint32_t& place = at[m * batch_->blocks.size() + b];
      if (!needs_words(masks_[m], b, place)) continue;
      const std::uint32_t count = (batch_->blocks[b].count + kTileRows - 1) / kTileRows;
      std::memcpy(words + std::size_t{next} * sizeof(std::uint64_t),
                  batch_->request->masks[masks_[m]].words[b], count * sizeof(std::uint64_t));
      place = next;
      next += count;
    }
  }
  used += std::size_t{next} * sizeof(std::uint64_t);
}

// Tiles that hold enough rows for a first threshold of every query.
std::uint32_t DeviceScan::seed_tiles() const {
  std::uint32_t wanted = tuning_.seed_rows;
  for (const std::uint32_t q : batch_->queries) {
    wanted = std::max(wanted, kSeedPerWanted * batch_->wants[q]);
  }
  wanted = std::min(wanted, arguments_.capacity / kSeedShare);
  std::uint32_t rows = 0;
  for (std::uint32_t b = 0; b < arguments_.block_count; ++b) {
    const std::uint32_t count = batch_->blocks[b].page ? batch_->blocks[b].count : 0;
    if (rows + count >= wanted) {
      return b * arguments_.tiles_per_block + (wanted - rows + kTileRows - 1) / kTileRows;
    }
    rows += count;
  }
  return arguments_.block_count * arguments_.tiles_per_block;
}

Status DeviceScan::launch_scan(std::uint32_t first, std::uint32_t last) {
  ScanArguments arguments = arguments_;
  arguments.first_tile = first;
  arguments.last_tile = last;
  const std::uint32_t tiles = last - first;
  const std::uint32_t processors = device_.info().processors;
  const std::uint32_t queries = arguments.query_count;
  const bool one = queries == 1 && arguments.stride <= kSharedMax;
  if (one || (queries <= kFewQueries && arguments.stride * kFewQueries <= kSharedMax)) {
    // Four warps to a block, half a tile to a warp; eight blocks fill a processor.
    const std::uint32_t blocks = std::clamp((2 * tiles + 3) / 4, 1u, 8 * processors);
    return device_.launch(one ? Kernel::scan_one : Kernel::scan_few, arguments, blocks,
                          lane_->stream);
  }
  const std::uint32_t groups = (queries + kGroupQueries - 1) / kGroupQueries;
  const std::uint32_t lanes = std::clamp(4 * processors / groups, 1u, tiles);
  return device_.launch(Kernel::scan_groups, arguments, groups * lanes, lane_->stream);
}

Status DeviceScan::launch_finish(Kernel kernel, bool restart) {
  ScanArguments arguments = arguments_;
  arguments.restart = restart ? 1 : 0;
  const std::uint32_t warps = kScanThreads / 32;
  return device_.launch(kernel, arguments, (arguments.query_count + warps - 1) / warps,
                        lane_->stream);
}

// From empty survivors to packed ones on the host's side.
Status DeviceScan::launch_all() {
  const std::size_t key_bytes =
      std::size_t{arguments_.capacity} * arguments_.query_count * sizeof(std::uint32_t);
  VECSERVE_TRY(device_.fill(lane_->keys, 0xff, key_bytes, lane_->stream));
  const std::uint32_t tiles = arguments_.block_count * arguments_.tiles_per_block;
  const std::uint32_t seeds = std::min(seed_tiles(), tiles);
  if (seeds != 0) VECSERVE_TRY(launch_scan(0, seeds));
  VECSERVE_TRY(launch_finish(Kernel::refine, false));
  if (seeds < tiles) {
    VECSERVE_TRY(launch_scan(seeds, tiles));
    VECSERVE_TRY(launch_finish(Kernel::refine, false));
  }
  VECSERVE_TRY(launch_finish(Kernel::pack, false));
  const std::size_t states_bytes = arguments_.query_count * sizeof(QueryState) + kPart;
  VECSERVE_TRY(
      device_.copy_out(lane_->output_host, arguments_.states, states_bytes, lane_->stream));
  const std::uint32_t first = std::min(tuning_.packed_first, tuning_.packed);
  VECSERVE_TRY(device_.copy_out(lane_->output_host + lane_->states_bytes, lane_->packed,
                                first * sizeof(PackedSurvivor), lane_->stream));
  return device_.record(lane_->done, lane_->stream);
}

// What launch_all left on the host's side; more survivors are fetched where there are more.
Status DeviceScan::read_back() {
  VECSERVE_TRY(device_.wait(lane_->done));
  const auto* const states = reinterpret_cast<const QueryState*>(lane_->output_host);
  std::uint32_t total = 0;
  std::memcpy(&total, states + arguments_.query_count, sizeof(total));
  for (std::size_t i = 0; i < overflowed_.size(); ++i) {
    const bool lost = states[i].count > arguments_.capacity || total > arguments_.packed_capacity;
    overflowed_[i] = lost ? 1 : 0;
  }
  const std::uint32_t there = std::min(total, arguments_.packed_capacity);
  const std::uint32_t first = std::min(tuning_.packed_first, tuning_.packed);
  auto* const packed = reinterpret_cast<PackedSurvivor*>(lane_->output_host + lane_->states_bytes);
  if (there > first) {
    VECSERVE_TRY(device_.copy_out(packed + first, lane_->packed + first,
                                  (there - first) * sizeof(PackedSurvivor), lane_->stream));
    VECSERVE_TRY(device_.record(lane_->done, lane_->stream));
    VECSERVE_TRY(device_.wait(lane_->done));
  }
  survivors_ = {packed, there};
  return {};
}

Status DeviceScan::finish() {
  for (std::uint32_t launch = 1;; ++launch) {
    VECSERVE_TRY(checked(read_back()));
    bool again = false;
    for (std::size_t i = 0; i < overflowed_.size(); ++i) {
      again = again || (overflowed_[i] != 0 && batch_->wants[batch_->queries[i]] != 0);
    }
    if (!again || launch == kLaunchesMax) return {};
    VECSERVE_TRY(checked(launch_finish(Kernel::refine, true)));
    VECSERVE_TRY(checked(device_.fill(arguments_.total, 0, kPart, lane_->stream)));
    VECSERVE_TRY(checked(launch_all()));
  }
}

}  // namespace vecserve::engine::gpu
