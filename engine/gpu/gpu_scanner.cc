// The Scanner over a GPU and a CPU; see gpu.h for who makes it. Rows that are mirrored go to the
// device, all others to the CPU at the same time, and their candidates are merged. Comes after the
// plan, before rescore; contract and thread rule are Scanner's.
// Always holds: a query that the device did not serve, or not to the end, is served by the CPU; the
// lane's stream is empty when the lane is given back, or the device out of use.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "engine/base/aligned_buffer.h"
#include "engine/gpu/device_answer.h"
#include "engine/gpu/device_scan.h"
#include "engine/gpu/gpu.h"
#include "engine/scan/sift_choice.h"

namespace vecserve::engine::gpu {

namespace {

// Rows of an answer for which the device keeps a threshold; more are the CPU's.
constexpr std::uint32_t kWantMax = 1'024;
// Room for survivors, in rows wanted.
constexpr std::uint32_t kRoomPerWanted = 8;

std::uint64_t since(std::chrono::steady_clock::time_point start) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start)
          .count());
}

ScanCosts::RowBytes sketch_row_bytes(const RowShape& shape, const SketchAxes& axes) {
  const std::uint32_t fine = axes.count() - kSketchFirst;
  return {static_cast<double>(kSketchFirst + 3 * sizeof(float)),
          fine == 0 ? 0.0 : static_cast<double>(fine + 4 * sizeof(float)),
          static_cast<double>(CoarsePlane::bytes_per_row(shape))};
}

class GpuScanner final : public Scanner {
 public:
  GpuScanner(std::shared_ptr<Gpu> gpu, std::unique_ptr<Scanner> cpu)
      : gpu_(std::move(gpu)), cpu_(std::move(cpu)), scan_(gpu_->device(), gpu_->tuning()) {}

  [[nodiscard]] std::string_view name() const override { return gpu_->name(); }
  [[nodiscard]] bool supports(const RowShape& shape) const override {
    return cpu_->supports(shape);
  }
  void mirror(const RowBlock& block) override {
    if (Mirror::covers(block)) {
      static_cast<void>(gpu_->mirror().cover(block, block.size()));  // else the CPU scans it
    }
  }
  void forget(const RowBlock& block) override { gpu_->mirror().forget(block.serial()); }
  [[nodiscard]] Status scan(const ScanRequest& request, ScanResult& result) override;

 private:
  [[nodiscard]] bool pin_pages(const ScanRequest& request);
  [[nodiscard]] bool worth_it(const ScanRequest& request) const;
  void prepare_queries(const ScanRequest& request);
  [[nodiscard]] bool prepare_query(const ScanRequest& request, std::size_t query,
                                   std::int8_t* codes);
  [[nodiscard]] bool prepare_want(const ScanRequest& request, std::size_t query);
  [[nodiscard]] std::size_t batch_end(std::size_t begin) const;
  [[nodiscard]] DeviceBatch make_batch(const ScanRequest& request, std::size_t begin,
                                       std::size_t end) const;
  [[nodiscard]] DeviceBatch next_batch(const ScanRequest& request, std::size_t begin);
  [[nodiscard]] const SketchAxes* axes_here() const;
  void choose_sketches(const ScanRequest& request, DeviceBatch& batch);
  void choose_fulls(const ScanRequest& request, DeviceBatch& batch);
  void count_rows(const DeviceBatch& batch, ScanResult& result);
  void run_batches(const ScanRequest& request, ScanResult& result);
  [[nodiscard]] bool run_batch(const ScanRequest& request, const DeviceBatch& batch,
                               DeviceLane& lane, ScanResult& result);
  void scan_tail(const ScanRequest& request);
  void merge_tail(ScanResult& result);
  [[nodiscard]] Status scan_rest(const ScanRequest& request, ScanResult& result);
  [[nodiscard]] Status on_cpu(const ScanRequest& request, ScanResult& result);

  const std::shared_ptr<Gpu> gpu_;
  const std::unique_ptr<Scanner> cpu_;
  DeviceScan scan_;
  DeviceAnswer answer_;

  // Scratch of the running request.
  std::vector<std::uint64_t> serials_;
  std::vector<MirrorView> views_;
  std::vector<MirroredBlock> mirrored_;
  std::uint64_t mirrored_rows_ = 0;
  bool has_tail_ = false;  // rows that are not mirrored
  std::uint32_t stride_ = 0;
  AlignedBuffer codes_;
  std::vector<CoarseProbe> probes_;
  std::vector<std::uint32_t> wants_;
  std::vector<SketchQuery> sketch_queries_;
  std::vector<float> sketch_scratch_;
  std::vector<ScoreBound> full_bounds_;
  std::vector<std::uint32_t> served_;  // queries that go to the device
  std::vector<std::uint32_t> rest_;    // queries that the CPU answers alone
  std::vector<ScanQuery> rest_queries_;
  std::vector<ScanMask> tail_masks_;
  std::vector<std::vector<std::uint64_t>> tail_words_;
  ScanResult cpu_result_;
  Status tail_status_;
};

Status GpuScanner::on_cpu(const ScanRequest& request, ScanResult& result) {
  const auto start = std::chrono::steady_clock::now();
  VECSERVE_TRY(cpu_->scan(request, result));
  result.backend = cpu_->name();
  if (Mirror::serves(request.shape) && !result.stopped) {
    std::uint64_t rows = 0;
    for (const ScanBlock& block : request.blocks) rows += block.count;
    gpu_->costs().note_cpu(rows * Mirror::row_bytes(request.shape), request.queries.size(),
                           request.threads, since(start));
  }
  return {};
}

// The pages of the request's blocks; false when there is nothing for the device.
bool GpuScanner::pin_pages(const ScanRequest& request) {
  if (!Mirror::serves(request.shape) || request.queries.empty()) return false;
  stride_ = Mirror::stride(request.shape);
  serials_.clear();
  for (const ScanBlock& block : request.blocks) serials_.push_back(block.block->serial());
  gpu_->mirror().find_all(serials_, views_);
  mirrored_.assign(request.blocks.size(), MirroredBlock());
  mirrored_rows_ = 0;
  has_tail_ = false;
  for (std::size_t b = 0; b < request.blocks.size(); ++b) {
    const ScanBlock& block = request.blocks[b];
    MirrorView& view = views_[b];
    if (view.page != nullptr && Mirror::covers(*block.block)) {
      const std::uint32_t count = std::min(view.page->covered(), block.count);
      const bool sketched = view.sketch != nullptr && view.sketch->plane.get() == block.sketch &&
                            block.sketch->count() >= count;
      if (!sketched) view.sketch = nullptr;
      const std::uint32_t full_count = view.full == nullptr ? 0 : view.full->covered();
      mirrored_[b] = {std::move(view.page),   std::move(view.live),
                      std::move(view.sketch), count,
                      std::move(view.full),   full_count};
    }
    mirrored_rows_ += mirrored_[b].count;
    has_tail_ = has_tail_ || mirrored_[b].count < block.count;
  }
  views_.clear();
  return mirrored_rows_ != 0;
}

bool GpuScanner::worth_it(const ScanRequest& request) const {
  return gpu_->tuning().always ||
         gpu_->costs().device_is_faster(mirrored_rows_ * Mirror::row_bytes(request.shape),
                                        request.queries.size(), request.threads);
}

// What the device is to keep a threshold for; false when that is the CPU's business.
bool GpuScanner::prepare_want(const ScanRequest& request, std::size_t query) {
  const ScanQuery& asked = request.queries[query];
  std::uint64_t eligible = 0;
  for (const std::uint32_t rows : request.masks[asked.mask].eligible) eligible += rows;
  const std::uint32_t want = needed(asked);
  wants_[query] = want <= kWantMax && want < eligible ? want : 0;
  // Without a threshold all rows within the limit come back, and must fit.
  return wants_[query] != 0 || eligible <= gpu_->tuning().survivors_min || !std::isinf(asked.limit);
}

// The query as the kernels read it; false when its numbers are out of their range.
bool GpuScanner::prepare_query(const ScanRequest& request, std::size_t query, std::int8_t* codes) {
  const RowShape& shape = request.shape;
  if (shape.type == ScalarType::bit) {
    std::memset(codes, 0, stride_);
    std::memcpy(codes, request.queries[query].bits, shape.row_bytes);
    return true;
  }
  std::fill(codes + shape.dim, codes + stride_, std::int8_t{0});
  const CoarseQuery made =
      make_coarse_query(shape.metric, request.queries[query].f32, shape.dim, codes);
  if (made.served) probes_[query] = make_probe(shape.metric, made);
  return made.served;
}

void GpuScanner::prepare_queries(const ScanRequest& request) {
  const std::size_t count = request.queries.size();
  if (codes_.size() < count * stride_) codes_ = AlignedBuffer(count * stride_);
  probes_.resize(count);
  wants_.assign(count, 0);
  served_.clear();
  rest_.clear();
  auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data());
  for (std::size_t q = 0; q < count; ++q) {
    std::int8_t* const mine = codes + q * stride_;
    const bool served = prepare_query(request, q, mine);
    const bool on_device = served && prepare_want(request, q);
    (on_device ? served_ : rest_).push_back(static_cast<std::uint32_t>(q));
  }
}

// Queries [begin, end) of served_ that go together: each with room for what it will find.
std::size_t GpuScanner::batch_end(std::size_t begin) const {
  std::uint32_t want = 0;
  std::size_t end = begin;
  while (end < served_.size() && end - begin < scan_.queries_max()) {
    want = std::max(want, wants_[served_[end]]);
    if (end > begin && scan_.capacity(end - begin + 1) < kRoomPerWanted * want) break;
    ++end;
  }
  return end;
}

DeviceBatch GpuScanner::make_batch(const ScanRequest& request, std::size_t begin,
                                   std::size_t end) const {
  DeviceBatch batch;
  batch.request = &request;
  batch.blocks = mirrored_;
  batch.queries = std::span(served_).subspan(begin, end - begin);
  batch.probes = probes_;
  batch.wants = wants_;
  batch.codes = reinterpret_cast<const std::int8_t*>(codes_.data());
  batch.stride = stride_;
  return batch;
}

// Fewer queries where their masks are more than a lane's input holds.
DeviceBatch GpuScanner::next_batch(const ScanRequest& request, std::size_t begin) {
  std::size_t end = batch_end(begin);
  DeviceBatch batch = make_batch(request, begin, end);
  while (end - begin > 1 && !scan_.fits(batch)) {
    end = begin + (end - begin) / 2;
    batch = make_batch(request, begin, end);
  }
  choose_sketches(request, batch);
  choose_fulls(request, batch);
  return batch;
}

// Survivors' vectors are read where some are there and a lane has room for the queries' floats.
void GpuScanner::choose_fulls(const ScanRequest& request, DeviceBatch& batch) {
  const bool some = std::any_of(mirrored_.begin(), mirrored_.end(),
                                [](const MirroredBlock& block) { return block.full_count != 0; });
  if (!some || !gpu_->tuning().full) return;
  full_bounds_.resize(request.queries.size());
  for (const std::uint32_t q : batch.queries) {
    full_bounds_[q] = make_full_bound(request.shape, request.queries[q].norm);
  }
  batch.fulls = full_bounds_;
  if (!scan_.fits(batch)) batch.fulls = {};
}

// Those of the first block that has any.
const SketchAxes* GpuScanner::axes_here() const {
  for (const MirroredBlock& block : mirrored_) {
    if (block.sketch != nullptr) return &block.sketch->plane->axes();
  }
  return nullptr;
}

// Queries are brought into the sketches' space only when those may pay.
void GpuScanner::choose_sketches(const ScanRequest& request, DeviceBatch& batch) {
  const SketchAxes* const axes = axes_here();
  if (axes == nullptr || batch.queries.size() > kFewQueries) return;
  if (!gpu_->tuning().always) {
    for (const std::uint32_t q : batch.queries) {
      const ScanMask& mask = request.masks[request.queries[q].mask];
      if (!worth_sifting(request, mask, q, 1, kSiftShareMax)) return;
    }
    if (!gpu_->costs().sketches_pay(axes, sketch_row_bytes(request.shape, *axes))) return;
  }
  sketch_queries_.resize(kFewQueries);
  sketch_scratch_.resize(axes->scratch_floats());
  for (std::size_t i = 0; i < batch.queries.size(); ++i) {
    const ScanQuery& query = request.queries[batch.queries[i]];
    make_sketch_query(*axes, query.f32, query.norm, sketch_scratch_.data(), sketch_queries_[i]);
    if (!sketch_queries_[i].served) return;
  }
  batch.axes = axes;
  batch.sketches = std::span(sketch_queries_).first(batch.queries.size());
}

// What was looked at, in rows times queries; what sketches let pass is known of some rows only.
void GpuScanner::count_rows(const DeviceBatch& batch, ScanResult& result) {
  const ScanRequest& request = *batch.request;
  const std::uint64_t all = mirrored_rows_ * batch.queries.size();
  const ScanTotals& totals = scan_.totals();
  result.counts.full += totals.sharpened;
  if (batch.axes == nullptr || totals.sifted == 0) {
    (request.shape.type == ScalarType::bit ? result.counts.full : result.counts.coarse) += all;
    return;
  }
  gpu_->costs().note_sifted(batch.axes, totals.sifted, totals.passed_first, totals.passed_all);
  const double each = static_cast<double>(all) / static_cast<double>(totals.sifted);
  result.counts.sketch += all;
  result.counts.sketch_fine += static_cast<std::uint64_t>(each * totals.passed_first);
  result.counts.coarse += static_cast<std::uint64_t>(each * totals.passed_all);
}

// Rows that the device does not have, while it works on those that it has.
void GpuScanner::scan_tail(const ScanRequest& request) {
  tail_masks_.resize(std::max(tail_masks_.size(), request.masks.size()));
  std::size_t used = 0;
  for (std::size_t m = 0; m < request.masks.size(); ++m) {
    const ScanMask& mask = request.masks[m];
    ScanMask& tail = tail_masks_[m];
    tail.words.assign(request.blocks.size(), nullptr);
    tail.eligible.assign(request.blocks.size(), 0);
    for (std::size_t b = 0; b < request.blocks.size(); ++b) {
      const std::uint32_t skip = mirrored_[b].count;
      const std::uint32_t count = request.blocks[b].count;
      if (mask.words[b] == nullptr || skip >= count) continue;
      if (skip == 0) {
        tail.words[b] = mask.words[b];
        tail.eligible[b] = mask.eligible[b];
        continue;
      }
      if (used == tail_words_.size()) tail_words_.emplace_back();
      std::vector<std::uint64_t>& words = tail_words_[used++];
      words.assign(mask.words[b], mask.words[b] + (std::size_t{count} + 63) / 64);
      std::fill(words.begin(), words.begin() + skip / 64, std::uint64_t{0});
      if (skip % 64 != 0) words[skip / 64] &= ~std::uint64_t{0} << (skip % 64);
      for (const std::uint64_t word : words) {
        tail.eligible[b] += static_cast<std::uint32_t>(__builtin_popcountll(word));
      }
      tail.words[b] = tail.eligible[b] == 0 ? nullptr : words.data();
    }
  }
  ScanRequest tail = request;
  tail.masks = std::span(tail_masks_).first(request.masks.size());
  tail_status_ = cpu_->scan(tail, cpu_result_);
}

// Of the queries that the device served.
void GpuScanner::merge_tail(ScanResult& result) {
  for (const std::uint32_t q : served_) {
    QueryCandidates& all = result.queries[q];
    const QueryCandidates& tail = cpu_result_.queries[q];
    all.list.insert(all.list.end(), tail.list.begin(), tail.list.end());
    all.floor = std::min(all.floor, tail.floor);
  }
  result.counts.add(cpu_result_.counts);
  result.stopped = result.stopped || cpu_result_.stopped;
}

bool GpuScanner::run_batch(const ScanRequest& request, const DeviceBatch& batch, DeviceLane& lane,
                           ScanResult& result) {
  // Whatever ends this early, an exception too: nothing is left in the stream.
  struct Quiet {
    Device& device;
    DeviceLane& lane;
    bool started = true;
    ~Quiet() {
      if (started && device.alive()) static_cast<void>(device.drain(lane.stream));
    }
  };
  const bool first = batch.queries.data() == served_.data();
  const auto start = std::chrono::steady_clock::now();
  bool good = scan_.start(batch, lane).ok();
  Quiet quiet{gpu_->device(), lane, good};
  if (first && has_tail_) scan_tail(request);
  good = good && scan_.finish().ok();
  quiet.started = !good;
  if (!good) return false;
  if (!answer_.take(batch, scan_.survivors(), gpu_->tuning().recheck_every)) {
    gpu_->device().condemn("its survivors make no sense");
    return false;
  }
  if (!first || !has_tail_) {
    gpu_->costs().note_device(mirrored_rows_ * Mirror::row_bytes(request.shape),
                              batch.queries.size(), since(start));
  }
  for (std::size_t i = 0; i < batch.queries.size(); ++i) {
    if (scan_.overflowed(i)) {
      rest_.push_back(batch.queries[i]);
    } else {
      answer_.finish(batch, i, scan_.threshold(i), result.queries[batch.queries[i]]);
    }
  }
  count_rows(batch, result);
  return true;
}

void GpuScanner::run_batches(const ScanRequest& request, ScanResult& result) {
  const Gpu::Lease lane = gpu_->take_lane();
  std::size_t done = 0;
  while (done < served_.size()) {
    if (request.stop != nullptr && request.stop->stop()) {
      result.stopped = true;
      return;
    }
    const DeviceBatch batch = next_batch(request, done);
    if (!run_batch(request, batch, *lane, result)) break;
    done += batch.queries.size();
  }
  for (std::size_t s = done; s < served_.size(); ++s) rest_.push_back(served_[s]);
}

// The queries that the device has not answered, over all rows.
Status GpuScanner::scan_rest(const ScanRequest& request, ScanResult& result) {
  if (rest_.empty()) return {};
  rest_queries_.clear();
  for (const std::uint32_t q : rest_) rest_queries_.push_back(request.queries[q]);
  ScanRequest rest = request;
  rest.queries = rest_queries_;
  VECSERVE_TRY(cpu_->scan(rest, cpu_result_));
  for (std::size_t i = 0; i < rest_.size(); ++i) {
    std::swap(result.queries[rest_[i]], cpu_result_.queries[i]);
  }
  result.counts.add(cpu_result_.counts);
  result.stopped = result.stopped || cpu_result_.stopped;
  return {};
}

Status GpuScanner::scan(const ScanRequest& request, ScanResult& result) {
  result.backend = {};
  if (!gpu_->device().alive() || !pin_pages(request) || !worth_it(request)) {
    mirrored_.clear();
    return on_cpu(request, result);
  }
  result.queries.resize(request.queries.size());
  result.counts = {};
  result.stopped = false;
  tail_status_ = Status();
  prepare_queries(request);
  if (!served_.empty()) run_batches(request, result);
  mirrored_.clear();  // pages that were forgotten may go
  VECSERVE_TRY(tail_status_);
  if (result.stopped) return {};
  std::sort(rest_.begin(), rest_.end());
  std::erase_if(served_, [this](std::uint32_t q) {
    return std::binary_search(rest_.begin(), rest_.end(), q);
  });
  if (has_tail_ && !served_.empty()) merge_tail(result);
  if (served_.empty()) result.backend = cpu_->name();
  return scan_rest(request, result);
}

}  // namespace

std::unique_ptr<Scanner> make_gpu_scanner(std::shared_ptr<Gpu> gpu, std::unique_ptr<Scanner> cpu) {
  return std::make_unique<GpuScanner>(std::move(gpu), std::move(cpu));
}

}  // namespace vecserve::engine::gpu
