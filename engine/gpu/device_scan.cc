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

constexpr std::size_t kPart = 16;  // parts of the input begin at multiples of this
constexpr std::uint32_t kLaunchesMax = 3;
// Survivors of the first rows leave room for those to come.
constexpr std::uint32_t kSeedShare = 2;
constexpr std::uint32_t kSeedPerWanted = 4;
// With sketches a good first threshold is worth more than the few rows that it takes.
constexpr std::uint64_t kSeedEverySketched = 64;
// In mask_slot_: not used by the batch.
constexpr std::uint32_t kUnused = 0xffffffffu;
// In place of an address: the words go with the request.
constexpr std::uint64_t kTravels = ~std::uint64_t{0};

std::size_t rounded(std::size_t bytes) {
  return (bytes + kPart - 1) / kPart * kPart;
}

float round_up(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value
             ? rounded
             : std::nextafter(rounded, std::numeric_limits<float>::infinity());
}

bool all_set(const std::uint64_t* words, std::uint32_t count) {
  const std::uint32_t whole = count / kTileRows;
  for (std::uint32_t w = 0; w < whole; ++w) {
    if (words[w] != ~std::uint64_t{0}) return false;
  }
  const std::uint64_t rest = (std::uint64_t{1} << (count % kTileRows)) - 1;
  return count % kTileRows == 0 || (words[whole] & rest) == rest;
}

// Floats of a query, as queries are padded.
std::uint32_t full_width(const RowShape& shape) {
  return (shape.dim + 15) / 16 * 16;
}

static_assert(static_cast<int>(FullType::f32) == static_cast<int>(ScalarType::f32));
static_assert(static_cast<int>(FullType::f16) == static_cast<int>(ScalarType::f16));
static_assert(static_cast<int>(FullType::bf16) == static_cast<int>(ScalarType::bf16));
static_assert(static_cast<int>(FullType::i8) == static_cast<int>(ScalarType::i8));
static_assert(static_cast<int>(FullType::u8) == static_cast<int>(ScalarType::u8));

std::size_t word_bytes(const MirroredBlock& block) {
  return (std::size_t{block.count} + kTileRows - 1) / kTileRows * sizeof(std::uint64_t);
}

}  // namespace

ScoreBound make_full_bound(const RowShape& shape, double query_norm) {
  KernelTable table;
  table.lanes = kFullLanes;
  return make_bound(shape, table, query_norm);
}

float limit_of(const ScanQuery& query) {
  return round_up(query.limit);
}

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
  thresholds_.assign(batch.queries.size(), 0.0f);
  VECSERVE_TRY(pack());
  return checked(launch_all());
}

// The parts of the lane's input: blocks, sketches, addresses of masks, queries, codes, what is
// needed for sketches and for vectors, states with the totals behind them, and the words of masks,
// of which nobody knows how many there will be.
DeviceScan::Layout DeviceScan::lay_out(const DeviceBatch& batch) {
  const std::size_t queries = batch.queries.size();
  const std::size_t blocks = batch.blocks.size();
  masks_.clear();
  mask_slot_.assign(batch.request->masks.size(), kUnused);
  for (const std::uint32_t q : batch.queries) {
    std::uint32_t& slot = mask_slot_[batch.request->queries[q].mask];
    if (slot != kUnused) continue;
    slot = static_cast<std::uint32_t>(masks_.size());
    masks_.push_back(batch.request->queries[q].mask);
  }
  const std::size_t sketched = batch.axes == nullptr ? 0 : 1;
  Layout at;
  at.sketches = rounded(blocks * sizeof(DeviceBlock));
  at.masks = at.sketches + sketched * blocks * sizeof(DeviceSketch);
  at.queries = at.masks + rounded(masks_.size() * blocks * sizeof(std::uint64_t));
  at.codes = at.queries + rounded(queries * sizeof(DeviceQuery));
  at.sketch_queries = at.codes + rounded(queries * batch.stride);
  const std::size_t sharpened = batch.fulls.empty() ? 0 : 1;
  at.fulls = at.sketch_queries + sketched * queries * sizeof(DeviceSketchQuery);
  at.full_queries = at.fulls + sharpened * rounded(blocks * sizeof(DeviceFull));
  at.full_floats = at.full_queries + sharpened * queries * sizeof(DeviceFullQuery);
  at.states =
      at.full_floats + sharpened * queries * full_width(batch.request->shape) * sizeof(float);
  at.totals = at.states + queries * sizeof(QueryState);
  at.words = at.totals + sizeof(ScanTotals);
  at.end = at.words;
  places_.resize(masks_.size() * blocks);
  for (std::size_t m = 0; m < masks_.size(); ++m) {
    for (std::size_t b = 0; b < blocks; ++b) {
      std::uint64_t& place = places_[m * blocks + b];
      place = stand_in(batch, masks_[m], b);
      if (place == kTravels) at.end += word_bytes(batch.blocks[b]);
    }
  }
  return at;
}

// What stands for the words of that mask and block; kTravels when nothing does.
std::uint64_t DeviceScan::stand_in(const DeviceBatch& batch, std::uint32_t mask,
                                   std::size_t block) {
  const ScanMask& of = batch.request->masks[mask];
  const MirroredBlock& mirrored = batch.blocks[block];
  const std::uint64_t* const words = of.words[block];
  if (mirrored.page == nullptr || mirrored.count == 0 || words == nullptr ||
      of.eligible[block] == 0) {
    return kNoRows;
  }
  if (of.eligible[block] == batch.request->blocks[block].count) return kAllRows;
  if (const MirrorLive* const live = mirrored.live.get();
      live != nullptr && live->words.get() == words &&
      std::uint64_t{live->word_count} * kTileRows >= mirrored.count) {
    return reinterpret_cast<std::uint64_t>(live->on_device());
  }
  if (of.eligible[block] < mirrored.count) return kTravels;
  return all_set(words, mirrored.count) ? kAllRows : kTravels;
}

bool DeviceScan::fits(const DeviceBatch& batch) {
  return lay_out(batch).end <= tuning_.input_bytes;
}

Status DeviceScan::pack() {
  const ScanRequest& request = *batch_->request;
  const std::size_t queries = batch_->queries.size();
  layout_ = lay_out(*batch_);
  if (layout_.end > tuning_.input_bytes) {
    return {StatusCode::resource_exhausted, "more blocks, masks or queries than a lane holds"};
  }
  const auto device = [&](std::size_t at) { return lane_->input + at; };
  arguments_ = {};
  arguments_.blocks = reinterpret_cast<const DeviceBlock*>(device(0));
  arguments_.sketches = reinterpret_cast<const DeviceSketch*>(device(layout_.sketches));
  arguments_.mask_at = reinterpret_cast<const std::uint64_t*>(device(layout_.masks));
  arguments_.queries = reinterpret_cast<const DeviceQuery*>(device(layout_.queries));
  arguments_.codes = reinterpret_cast<const std::int8_t*>(device(layout_.codes));
  arguments_.sketch_queries =
      reinterpret_cast<const DeviceSketchQuery*>(device(layout_.sketch_queries));
  arguments_.states = reinterpret_cast<QueryState*>(device(layout_.states));
  arguments_.totals = reinterpret_cast<ScanTotals*>(device(layout_.totals));
  arguments_.keys = lane_->keys;
  arguments_.survivors = lane_->survivors;
  arguments_.packed = lane_->packed;
  arguments_.block_count = static_cast<std::uint32_t>(batch_->blocks.size());
  arguments_.tiles_per_block = request.shape.capacity / kTileRows;
  arguments_.query_count = static_cast<std::uint32_t>(queries);
  arguments_.stride = batch_->stride;
  arguments_.capacity = capacity(queries);
  arguments_.packed_capacity = tuning_.packed;
  arguments_.is_bits = request.shape.type == ScalarType::bit ? 1 : 0;
  arguments_.is_l2 = request.shape.metric == Metric::l2 ? 1 : 0;
  arguments_.offset = request.shape.metric == Metric::cosine ? 1.0f : 0.0f;
  pack_blocks();
  pack_queries();
  if (batch_->axes != nullptr) pack_sketches();
  if (!batch_->fulls.empty()) pack_fulls();
  std::size_t used = layout_.words;
  pack_masks(used);
  return device_.copy_in(lane_->input, lane_->input_host, used, lane_->stream);
}

void DeviceScan::pack_blocks() {
  auto* const out = reinterpret_cast<DeviceBlock*>(lane_->input_host);
  auto* const sketches = reinterpret_cast<DeviceSketch*>(lane_->input_host + layout_.sketches);
  for (std::size_t b = 0; b < batch_->blocks.size(); ++b) {
    const MirroredBlock& block = batch_->blocks[b];
    out[b] = {block.page ? block.page->codes() : nullptr, block.page ? block.page->rows() : nullptr,
              block.page ? block.count : 0, 0};
    if (batch_->axes == nullptr) continue;
    const bool sketched = block.sketch != nullptr && &block.sketch->plane->axes() == batch_->axes;
    sketches[b] = sketched ? block.sketch->on_device() : DeviceSketch{};
    if (!sketched) continue;
    arguments_.fine_codes = block.sketch->plane->fine_codes();
    arguments_.fine_stride = block.sketch->plane->fine_stride();
  }
}

void DeviceScan::pack_queries() {
  std::byte* const host = lane_->input_host;
  auto* const queries = reinterpret_cast<DeviceQuery*>(host + layout_.queries);
  std::byte* const codes = host + layout_.codes;
  auto* const states = reinterpret_cast<QueryState*>(host + layout_.states);
  for (std::size_t i = 0; i < batch_->queries.size(); ++i) {
    const std::uint32_t q = batch_->queries[i];
    const CoarseLimit& limit = batch_->probes[q].limit;  // of bits: nothing
    const ScanQuery& query = batch_->request->queries[q];
    queries[i] = {limit.scale,       limit.square,     batch_->probes[q].query.residual,
                  limit.coarse_norm, batch_->wants[q], mask_slot_[query.mask]};
    std::memcpy(codes + i * batch_->stride, batch_->codes + std::size_t{q} * batch_->stride,
                batch_->stride);
    states[i] = {key_of_float(limit_of(query)), 0, kNoKey, 0};
  }
  std::memset(host + layout_.totals, 0, sizeof(ScanTotals));
}

// Codes on the device have no bias, so that of the probes is not needed.
void DeviceScan::pack_sketches() {
  auto* const out =
      reinterpret_cast<DeviceSketchQuery*>(lane_->input_host + layout_.sketch_queries);
  for (std::size_t i = 0; i < batch_->queries.size(); ++i) {
    const SketchQuery& query = batch_->sketches[i];
    const SketchProbe& probe = query.probe;
    std::memcpy(out[i].high, probe.high, sizeof(out[i].high));
    std::memcpy(out[i].low, probe.low, sizeof(out[i].low));
    out[i].steps[0] = probe.steps[0];
    out[i].steps[1] = probe.steps[1];
    out[i].first_base = probe.first.base;
    out[i].first_twice_left = probe.first.twice_left;
    out[i].all_base = probe.all.base;
    out[i].all_twice_left = probe.all.twice_left;
    out[i].reach_first = round_up(query.reach_first);
    out[i].reach_all = round_up(query.reach_all);
    out[i].shift = round_up(query.shift);
    out[i].factor = static_cast<float>(query.factor);
    out[i].unused[0] = out[i].unused[1] = 0.0f;
  }
}

void DeviceScan::pack_masks(std::size_t& used) {
  auto* const at = reinterpret_cast<std::uint64_t*>(lane_->input_host + layout_.masks);
  const std::size_t blocks = batch_->blocks.size();
  for (std::size_t p = 0; p < places_.size(); ++p) {
    at[p] = places_[p];
    if (places_[p] != kTravels) continue;
    const std::size_t bytes = word_bytes(batch_->blocks[p % blocks]);
    std::memcpy(lane_->input_host + used,
                batch_->request->masks[masks_[p / blocks]].words[p % blocks], bytes);
    at[p] = reinterpret_cast<std::uint64_t>(lane_->input + used);
    used += bytes;
  }
}

// Tiles that hold enough rows for a first threshold of every query, by the mask that has the fewest
// of them; no more than leave room for those to come, by the mask that has the most.
std::uint32_t DeviceScan::seed_tiles() const {
  std::uint64_t wanted = tuning_.seed_rows;
  std::uint64_t all = 0;
  for (const MirroredBlock& block : batch_->blocks) all += block.count;
  if (batch_->axes != nullptr) wanted = std::max(wanted, all / kSeedEverySketched);
  for (const std::uint32_t q : batch_->queries) {
    wanted = std::max<std::uint64_t>(wanted, std::uint64_t{kSeedPerWanted} * batch_->wants[q]);
  }
  const std::uint64_t most = arguments_.capacity / kSeedShare;
  wanted = std::min(wanted, most);
  std::uint64_t fewest_so_far = 0;
  std::uint64_t most_so_far = 0;
  for (std::uint32_t b = 0; b < arguments_.block_count; ++b) {
    const std::uint32_t count = batch_->blocks[b].page ? batch_->blocks[b].count : 0;
    if (count == 0) continue;
    std::uint64_t fewest = count;
    std::uint64_t largest = 0;
    for (const std::uint32_t mask : masks_) {
      const std::uint64_t rows = std::min(batch_->request->masks[mask].eligible[b], count);
      fewest = std::min(fewest, rows);
      largest = std::max(largest, rows);
    }
    if (fewest_so_far + fewest >= wanted || most_so_far + largest > most) {
      // Of this block as much as is missing, were its eligible rows spread evenly.
      const std::uint64_t by_want =
          fewest == 0 ? count : (wanted - std::min(wanted, fewest_so_far)) * count / fewest;
      const std::uint64_t by_room =
          largest == 0 ? count : (most - std::min(most, most_so_far)) * count / largest;
      const std::uint64_t rows = std::min<std::uint64_t>({by_want, by_room, count});
      return b * arguments_.tiles_per_block +
             static_cast<std::uint32_t>((rows + kTileRows - 1) / kTileRows);
    }
    fewest_so_far += fewest;
    most_so_far += largest;
  }
  return arguments_.block_count * arguments_.tiles_per_block;
}

void DeviceScan::pack_fulls() {
  const RowShape& shape = batch_->request->shape;
  std::byte* const host = lane_->input_host;
  auto* const fulls = reinterpret_cast<DeviceFull*>(host + layout_.fulls);
  for (std::size_t b = 0; b < batch_->blocks.size(); ++b) {
    const MirroredBlock& block = batch_->blocks[b];
    fulls[b] = {};
    if (block.full_count == 0) continue;
    fulls[b].vectors = reinterpret_cast<const std::uint8_t*>(block.full->vectors());
    fulls[b].norms = shape.metric == Metric::l2 ? nullptr : block.full->norms();
    fulls[b].count = block.full_count;
  }
  auto* const queries = reinterpret_cast<DeviceFullQuery*>(host + layout_.full_queries);
  const std::uint32_t width = full_width(shape);
  for (std::size_t i = 0; i < batch_->queries.size(); ++i) {
    const std::uint32_t q = batch_->queries[i];
    const ScoreBound& bound = batch_->fulls[q];
    queries[i] = {bound.factor, bound.absolute, bound.per_norm, bound.inverse};
    std::memcpy(host + layout_.full_floats + i * width * sizeof(float),
                batch_->request->queries[q].f32, width * sizeof(float));
  }
  const auto device = [&](std::size_t at) { return lane_->input + at; };
  arguments_.fulls = reinterpret_cast<const DeviceFull*>(device(layout_.fulls));
  arguments_.full_queries = reinterpret_cast<const DeviceFullQuery*>(device(layout_.full_queries));
  arguments_.full_floats = reinterpret_cast<const float*>(device(layout_.full_floats));
  arguments_.full_type = static_cast<std::uint32_t>(shape.type);
  arguments_.full_stride = shape.stride;
  arguments_.full_chunks = (shape.row_bytes + 15) / 16;
  arguments_.full_width = width;
}

void DeviceScan::add_scan(std::uint32_t first, std::uint32_t last, bool sift) {
  ScanArguments arguments = arguments_;
  arguments.first_tile = first;
  arguments.last_tile = last;
  const std::uint32_t tiles = last - first;
  const std::uint32_t processors = device_.info().processors;
  const std::uint32_t queries = arguments.query_count;
  if (arguments.is_bits != 0) {
    const std::uint32_t groups = (queries + kFewQueries - 1) / kFewQueries;
    const std::uint32_t lanes =
        std::clamp((2 * tiles + 3) / 4, 1u, std::max(8 * processors / groups, 1u));
    return steps_.launch(Kernel::scan_bits, arguments, groups * lanes);
  }
  const Kernel one = sift ? Kernel::sift_one : Kernel::scan_one;
  const Kernel few = sift ? Kernel::sift_few : Kernel::scan_few;
  const bool fits_one = shared_bytes(one, arguments.stride) <= kSharedMax;
  const bool fits_few = shared_bytes(few, arguments.stride) <= kSharedMax;
  if ((queries == 1 && fits_one) || (queries <= kFewQueries && fits_few)) {
    // Four warps to a block, half a tile to a warp; eight blocks fill a processor.
    const std::uint32_t blocks = std::clamp((2 * tiles + 3) / 4, 1u, 8 * processors);
    return steps_.launch(queries == 1 && fits_one ? one : few, arguments, blocks);
  }
  const std::uint32_t groups = (queries + kGroupQueries - 1) / kGroupQueries;
  const bool wide = tuning_.group == GroupKernel::wgmma && arguments.stride <= kWarpgroupStrideMax;
  // So many blocks of either a processor holds at one time, of rows that are not very long.
  const std::uint32_t blocks = (wide ? 2 : 4) * processors;
  const std::uint32_t lanes = std::clamp(blocks / groups, 1u, tiles);
  steps_.launch(wide ? Kernel::scan_warpgroups : Kernel::scan_groups, arguments, groups * lanes);
}

void DeviceScan::add_finish(Kernel kernel, bool restart) {
  ScanArguments arguments = arguments_;
  arguments.restart = restart ? 1 : 0;
  const std::uint32_t warps = kScanThreads / 32;
  steps_.launch(kernel, arguments, (arguments.query_count + warps - 1) / warps);
}

// So many blocks that few survivors have a warp each.
void DeviceScan::add_sharpen() {
  const std::uint32_t queries = arguments_.query_count;
  const std::uint32_t lanes = std::max(4 * device_.info().processors / queries, 1u);
  steps_.launch(Kernel::sharpen, arguments_, queries * lanes);
}

Status DeviceScan::run_step(const Step& step) {
  switch (step.kind) {
    case Step::Kind::fill:
      return device_.fill(step.to, step.byte, step.bytes, lane_->stream);
    case Step::Kind::launch:
      return device_.launch(step.kernel, step.arguments, step.blocks, lane_->stream);
    case Step::Kind::copy_out:
      return device_.copy_out(step.to, step.from, step.bytes, lane_->stream);
  }
  return {};
}

Status DeviceScan::run_steps() {
  const std::uint64_t form = steps_.form();
  if (const Driver::Graph graph = lane_->graph_for(form); graph != nullptr) {
    const Status replayed = device_.replay(graph, steps_, lane_->stream);
    if (replayed.ok() || !device_.alive()) return replayed;
    lane_->give_up_graph(form);
  }
  for (const Step& step : steps_.all()) VECSERVE_TRY(run_step(step));
  return {};
}

// From empty survivors to packed ones on the host's side.
Status DeviceScan::launch_all() {
  const std::size_t key_bytes =
      std::size_t{arguments_.capacity} * arguments_.query_count * sizeof(std::uint32_t);
  const std::uint32_t tiles = arguments_.block_count * arguments_.tiles_per_block;
  const std::uint32_t seeds = std::min(seed_tiles(), tiles);
  steps_.clear();
  steps_.fill(lane_->keys, 0xff, key_bytes);
  if (seeds != 0) add_scan(0, seeds, false);
  add_finish(Kernel::refine, false);
  if (seeds < tiles) {
    add_scan(seeds, tiles, batch_->axes != nullptr);
    add_finish(Kernel::refine, false);
  }
  if (!batch_->fulls.empty()) {
    add_sharpen();
    add_finish(Kernel::refine, false);
  }
  add_finish(Kernel::pack, false);
  const std::size_t states_bytes = arguments_.query_count * sizeof(QueryState) + sizeof(ScanTotals);
  steps_.copy_out(lane_->output_host, arguments_.states, states_bytes);
  const std::uint32_t first = std::min(tuning_.packed_first, tuning_.packed);
  steps_.copy_out(lane_->output_host + lane_->states_bytes, lane_->packed,
                  first * sizeof(PackedSurvivor));
  VECSERVE_TRY(run_steps());
  return device_.record(lane_->done, lane_->stream);
}

// What launch_all left on the host's side; more survivors are fetched where there are more.
Status DeviceScan::read_back() {
  VECSERVE_TRY(device_.wait(lane_->done));
  const auto* const states = reinterpret_cast<const QueryState*>(lane_->output_host);
  std::memcpy(&totals_, states + arguments_.query_count, sizeof(totals_));
  const std::uint32_t total = totals_.packed;
  for (std::size_t i = 0; i < overflowed_.size(); ++i) {
    if (states[i].given_up != 0) {
      device_.condemn("a kernel waited in vain for rows");
      return {StatusCode::unavailable, "GPU: a kernel waited in vain for rows"};
    }
    const bool lost = states[i].count > arguments_.capacity || total > arguments_.packed_capacity;
    overflowed_[i] = lost ? 1 : 0;
    thresholds_[i] = float_of_key(states[i].threshold);
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
    steps_.clear();
    add_finish(Kernel::refine, true);
    steps_.fill(arguments_.totals, 0, sizeof(ScanTotals));
    VECSERVE_TRY(checked(run_steps()));
    VECSERVE_TRY(checked(launch_all()));
  }
}

}  // namespace vecserve::engine::gpu
