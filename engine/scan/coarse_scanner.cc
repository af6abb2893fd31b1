// See coarse_scanner.h. A request is cut into pieces of rows; workers take pieces, run the coarse
// kernels over them for one query, or for up to 64 with the same mask at a time, and gather
// survivors with their bounds. Where blocks have sketches, those sift the rows first, query by
// query, unless they let too many pass. The threshold of each query is shared by the workers and
// falls as they go; it comes from rows that look near in their sketch, or else the first rows of
// each piece are few, so that it falls early. The calling thread and the pool's.
// Always holds: no row is read whose 64-row word has no eligible bit (the kernels skip those); all
// memory is kept from request to request.
#include "engine/scan/coarse_scanner.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/scan/bound_list.h"
#include "engine/scan/coarse_bounds.h"
#include "engine/scan/coarse_kernels.h"
#include "engine/scan/kernels.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/sift_choice.h"
#include "engine/scan/sketch_sieve.h"

namespace vecserve::engine {

namespace {

// Rows of the first kernel call of a query's scan, before there is a threshold; each later call
// takes twice as many, up to kRowsMax. Multiples of 64.
constexpr std::uint32_t kRowsFirst = 64;
constexpr std::uint32_t kRowsMax = 512;

// When sketches let more than this share of the rows pass, they are not worth reading: what passes
// is read from the coarse plane row by row, which for one query costs two to three times what it
// costs in order, and for many queries more than ten times what it costs to test them together.
constexpr double kShareOne = 0.35;
constexpr double kShareMany = 0.06;
// A threshold for more candidates than this comes with the scan itself.
constexpr std::uint32_t kSeedsMax = 1024;
// Rows looked at for each row of the answer: the nearest by sixteen axes are not quite the nearest.
constexpr std::uint32_t kSeedsPerRow = 8;

// Whether sketches are still read for a group of queries.
struct Sifting {
  std::atomic<std::uint64_t> seen{0};
  std::atomic<std::uint64_t> passed{0};
  std::atomic<bool> on{false};
};

struct Worker {
  std::vector<BoundList> lists;  // one per query of the request
  BoundList seeds;
  std::vector<SketchSieve::Near> near;
  std::vector<std::uint64_t> bits;
  SieveBench bench;
  ScanCounts counts;
  std::vector<Survivor> survivors;
  std::vector<CoarseLimit> limits;
  std::vector<std::uint32_t> counts_found;
};

class CoarseScanner final : public Scanner {
 public:
  CoarseScanner(const KernelTable& table, WorkerPool& pool)
      : full_(make_cpu_scanner(table, pool)),
        kernels_(coarse_kernels_for(table.name)),
        sieve_(sketch_kernels_for(table.name)),
        pool_(pool),
        name_(std::string("cpu/coarse/") + kernels_.name) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] bool supports(const RowShape& shape) const override {
    return full_->supports(shape);
  }
  void mirror(const RowBlock&) override {}
  void forget(const RowBlock&) override {}
  [[nodiscard]] Status scan(const ScanRequest& request, ScanResult& result) override;

 private:
  [[nodiscard]] bool serves(const ScanRequest& request) const;
  [[nodiscard]] bool prepare_queries(const ScanRequest& request);
  void cut(const ScanRequest& request);
  void run(const ScanRequest& request, std::uint32_t threads);
  [[nodiscard]] bool stop_now(const ScanRequest& request);
  void visit(const ScanRequest& request, const Stretch& stretch, const Group& group, Worker& worker,
             std::vector<BoundList>& lists);
  void scan_rows(const ScanRequest& request, const Piece& piece, const Group& group, Worker& worker,
                 std::vector<BoundList>& lists);
  void scan_group(const ScanRequest& request, const Piece& part, const Group& group, Worker& worker,
                  std::vector<BoundList>& lists);
  void scan_one(const ScanRequest& request, const Piece& part, std::uint32_t query,
                const std::uint64_t* eligible, float reach, Worker& worker, BoundList& list);
  void sift_group(const ScanRequest& request, const Stretch& stretch, const Group& group,
                  Worker& worker, std::vector<BoundList>& lists);
  std::uint64_t sift(const ScanRequest& request, std::span<const Piece> pieces, std::uint32_t query,
                     Worker& worker, BoundList& list, bool trial);
  void note_sifted(const Group& group, std::uint64_t rows, std::uint64_t passed);
  void seed(const ScanRequest& request, std::span<const Piece> pieces, std::uint32_t query,
            Worker& worker);
  [[nodiscard]] CoarseRows rows_of(const ScanRequest& request, const Piece& part,
                                   const std::uint64_t* eligible) const;
  void take_survivors(const CoarsePlane& plane, const Piece& rows, std::uint32_t query,
                      const Survivor* survivors, std::uint32_t count, BoundList& list);

  std::unique_ptr<Scanner> full_;
  const CoarseKernels& kernels_;
  SketchSieve sieve_;
  WorkerPool& pool_;
  std::string name_;

  // Scratch of the running request.
  std::vector<Piece> pieces_;
  std::vector<Stretch> stretches_;
  std::vector<Group> groups_;
  std::vector<CoarseProbe> probes_;
  bool sieving_ = false;
  std::unique_ptr<Sifting[]> sifting_;  // per group
  std::size_t sifting_size_ = 0;
  std::unique_ptr<SharedThreshold[]> thresholds_;
  std::size_t thresholds_size_ = 0;
  AlignedBuffer codes_;   // of each query, one stride after the other
  AlignedBuffer packed_;  // of each group, in panels
  std::size_t stride_ = 0;
  std::vector<std::size_t> packed_at_;  // per group
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> out_of_memory_{false};
};

bool CoarseScanner::serves(const ScanRequest& request) const {
  return !request.blocks.empty() &&
         std::all_of(request.blocks.begin(), request.blocks.end(),
                     [](const ScanBlock& block) { return block.block->coarse() != nullptr; });
}

void CoarseScanner::cut(const ScanRequest& request) {
  cut_pieces(request, sieving_ ? sieve_.axes() : nullptr, stride_, pieces_);
  cut_groups(request, kCoarseQueries, groups_);
  if (sifting_size_ < groups_.size()) {
    sifting_ = std::make_unique<Sifting[]>(groups_.size());
    sifting_size_ = groups_.size();
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const ScanMask& mask = request.masks[groups_[g].mask];
    bool on = sieving_ && worth_sifting(request, mask, groups_[g].first, groups_[g].count,
                                        groups_[g].count == 1 ? kShareOne : kShareMany);
    for (std::uint32_t q = 0; q < groups_[g].count && on; ++q) {
      on = sieve_.serves(groups_[g].first + q);
    }
    sifting_[g].on.store(on, std::memory_order_relaxed);
    sifting_[g].seen.store(0, std::memory_order_relaxed);
    sifting_[g].passed.store(0, std::memory_order_relaxed);
  }
}

// Codes, probes, thresholds and packed panels; false when a query is not served.
bool CoarseScanner::prepare_queries(const ScanRequest& request) {
  const std::size_t count = request.queries.size();
  stride_ = request.blocks.front().block->coarse()->stride();
  if (codes_.size() < count * stride_) {
    codes_ = AlignedBuffer(count * stride_);
  }
  if (thresholds_size_ < count) {
    thresholds_ = std::make_unique<SharedThreshold[]>(count);
    thresholds_size_ = count;
  }
  probes_.resize(count);
  auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data());
  for (std::size_t q = 0; q < count; ++q) {
    std::int8_t* const mine = codes + q * stride_;
    std::fill(mine + request.shape.dim, mine + stride_, std::int8_t{0});
    const CoarseQuery query =
        make_coarse_query(request.shape.metric, request.queries[q].f32, request.shape.dim, mine);
    if (!query.served) {
      return false;
    }
    probes_[q] = make_probe(request.shape.metric, query);
    // Never below the limit, which is a double.
    const auto limit = static_cast<float>(request.queries[q].limit);
    const bool below = static_cast<double>(limit) < request.queries[q].limit;
    thresholds_[q].reset(below ? std::nextafter(limit, std::numeric_limits<float>::infinity())
                               : limit);
  }
  return true;
}

void CoarseScanner::run(const ScanRequest& request, std::uint32_t threads) {
  // Packed panels, for groups of more than one query.
  packed_at_.clear();
  std::size_t packed_bytes = 0;
  for (const Group& group : groups_) {
    packed_at_.push_back(packed_bytes);
    packed_bytes += group.count > 1 ? (std::size_t{group.count} + 15) / 16 * 16 * stride_ : 0;
  }
  if (packed_.size() < packed_bytes) {
    packed_ = AlignedBuffer(packed_bytes);
  }
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (groups_[g].count > 1) {
      pack_queries(reinterpret_cast<const std::int8_t*>(codes_.data()) + groups_[g].first * stride_,
                   stride_, groups_[g].count,
                   reinterpret_cast<std::int8_t*>(packed_.data()) + packed_at_[g]);
    }
  }
  while (workers_.size() < threads) {
    workers_.push_back(std::make_unique<Worker>());
  }
  for (std::uint32_t w = 0; w < threads; ++w) workers_[w]->counts = {};
  cut_stretches(pieces_, request.queries.size(), threads, stretches_);
  const bool by_queries = groups_.size() >= std::size_t{2} * threads;
  const std::size_t list_sets = by_queries ? 1 : threads;
  for (std::size_t w = 0; w < list_sets; ++w) {
    std::vector<BoundList>& lists = workers_[w]->lists;
    lists.resize(std::max(lists.size(), request.queries.size()));
    for (std::size_t q = 0; q < request.queries.size(); ++q) {
      lists[q].reset(needed(request.queries[q]));
    }
  }
  if (by_queries) {
    pool_.parallel_for(groups_.size(), threads, [&](std::size_t g, std::uint32_t w) {
      for (const Stretch& stretch : stretches_) {
        visit(request, stretch, groups_[g], *workers_[w], workers_[0]->lists);
      }
    });
    return;
  }
  pool_.parallel_for(stretches_.size(), threads, [&](std::size_t s, std::uint32_t w) {
    for (const Group& group : groups_) {
      visit(request, stretches_[s], group, *workers_[w], workers_[w]->lists);
    }
  });
  for (std::size_t w = 1; w < list_sets; ++w) {
    for (std::size_t q = 0; q < request.queries.size(); ++q) {
      workers_[0]->lists[q].merge(workers_[w]->lists[q]);
    }
  }
}

void CoarseScanner::visit(const ScanRequest& request, const Stretch& stretch, const Group& group,
                          Worker& worker, std::vector<BoundList>& lists) {
  Sifting& sifting = sifting_[static_cast<std::size_t>(&group - groups_.data())];
  try {
    if (stretch.sketched && sifting.on.load(std::memory_order_relaxed) && group.count > 1 &&
        sifting.seen.load(std::memory_order_relaxed) == 0) {
      // One query tells for less than all of them would pay to find out.
      const std::span<const Piece> pieces =
          std::span(pieces_).subspan(stretch.first, stretch.count);
      const std::uint64_t passed =
          sift(request, pieces, group.first, worker, lists[group.first], true);
      note_sifted(group, stretch.rows, passed);
    }
    if (stretch.sketched && sifting.on.load(std::memory_order_relaxed)) {
      sift_group(request, stretch, group, worker, lists);
      return;
    }
    for (std::uint32_t p = stretch.first; p < stretch.first + stretch.count; ++p) {
      if (!stop_now(request)) scan_rows(request, pieces_[p], group, worker, lists);
    }
  } catch (const std::bad_alloc&) {
    out_of_memory_.store(true, std::memory_order_relaxed);
    stopped_.store(true, std::memory_order_relaxed);
  }
}

bool CoarseScanner::stop_now(const ScanRequest& request) {
  if (stopped_.load(std::memory_order_relaxed)) return true;
  if (request.stop == nullptr || !request.stop->stop()) return false;
  stopped_.store(true, std::memory_order_relaxed);
  return true;
}

void CoarseScanner::scan_rows(const ScanRequest& request, const Piece& piece, const Group& group,
                              Worker& worker, std::vector<BoundList>& lists) {
  if (request.masks[group.mask].words[piece.block] == nullptr) {
    return;
  }
  // A scan that has a threshold already need not start small.
  std::uint32_t step = std::isinf(thresholds_[group.first].get()) ? kRowsFirst : kRowsMax;
  for (std::uint32_t done = 0; done < piece.rows;) {
    const Piece part{piece.block, piece.first + done, std::min(step, piece.rows - done), false};
    scan_group(request, part, group, worker, lists);
    done += part.rows;
    step = std::min(step * 2, kRowsMax);
  }
}

CoarseRows CoarseScanner::rows_of(const ScanRequest& request, const Piece& part,
                                  const std::uint64_t* eligible) const {
  const CoarsePlane& plane = *request.blocks[part.block].block->coarse();
  return {plane.codes() + std::size_t{part.first} * stride_,
          stride_,
          plane.scales() + part.first,
          plane.squares() + part.first,
          plane.residuals() + part.first,
          plane.norms() + part.first,
          eligible,
          part.rows,
          request.shape.dim};
}

// All queries of a group over rows in order.
void CoarseScanner::scan_group(const ScanRequest& request, const Piece& part, const Group& group,
                               Worker& worker, std::vector<BoundList>& lists) {
  const std::uint64_t* const words =
      request.masks[group.mask].words[part.block] + part.first / kTileRows;
  if (group.count == 1) {
    const float reach = reach_of(probes_[group.first], thresholds_[group.first].get());
    scan_one(request, part, group.first, words, reach, worker, lists[group.first]);
    worker.counts.coarse += part.rows;
    return;
  }
  worker.limits.resize(kCoarseQueries);
  worker.counts_found.resize(kCoarseQueries);
  worker.survivors.resize(std::max(worker.survivors.size(), std::size_t{group.count} * kRowsMax));
  for (std::uint32_t q = 0; q < group.count; ++q) {
    const std::uint32_t query = group.first + q;
    worker.limits[q] = probes_[query].limit;
    worker.limits[q].reach = reach_of(probes_[query], thresholds_[query].get());
  }
  const auto at = packed_at_[static_cast<std::size_t>(&group - groups_.data())];
  const CoarseBatch batch{
      reinterpret_cast<const std::int8_t*>(packed_.data()) + at,
      worker.limits.data(),
      group.count,
      worker.survivors.data(),
      kRowsMax,
      worker.counts_found.data(),
      reinterpret_cast<const std::int8_t*>(codes_.data()) + group.first * stride_};
  const bool l2 = request.shape.metric == Metric::l2;
  (l2 ? kernels_.batch_l2 : kernels_.batch_dot)(rows_of(request, part, words), batch);
  worker.counts.coarse += std::uint64_t{part.rows} * group.count;
  for (std::uint32_t q = 0; q < group.count; ++q) {
    take_survivors(*request.blocks[part.block].block->coarse(), part, group.first + q,
                   &worker.survivors[std::size_t{q} * kRowsMax], worker.counts_found[q],
                   lists[group.first + q]);
  }
}

// One query over the eligible rows among some in order.
void CoarseScanner::scan_one(const ScanRequest& request, const Piece& part, std::uint32_t query,
                             const std::uint64_t* eligible, float reach, Worker& worker,
                             BoundList& list) {
  worker.survivors.resize(std::max<std::size_t>(worker.survivors.size(), part.rows));
  CoarseLimit limit = probes_[query].limit;
  limit.reach = reach;
  const auto* codes = reinterpret_cast<const std::int8_t*>(codes_.data()) + query * stride_;
  const bool l2 = request.shape.metric == Metric::l2;
  const std::uint32_t found = (l2 ? kernels_.one_l2 : kernels_.one_dot)(
      rows_of(request, part, eligible), codes, limit, worker.survivors.data());
  take_survivors(*request.blocks[part.block].block->coarse(), part, query, worker.survivors.data(),
                 found, list);
}

// Sketches first, query by query; what passes goes through the coarse plane.
void CoarseScanner::sift_group(const ScanRequest& request, const Stretch& stretch,
                               const Group& group, Worker& worker, std::vector<BoundList>& lists) {
  const std::span<const Piece> pieces = std::span(pieces_).subspan(stretch.first, stretch.count);
  std::uint64_t passed = 0;
  for (std::uint32_t query = group.first; query < group.first + group.count; ++query) {
    if (stop_now(request)) return;
    passed += sift(request, pieces, query, worker, lists[query], false);
  }
  note_sifted(group, std::uint64_t{stretch.rows} * group.count, passed);
}

// `passed` of so many rows did; when too many do, the group goes on without sketches.
void CoarseScanner::note_sifted(const Group& group, std::uint64_t rows, std::uint64_t passed) {
  Sifting& sifting = sifting_[static_cast<std::size_t>(&group - groups_.data())];
  const std::uint64_t all = passed + sifting.passed.fetch_add(passed, std::memory_order_relaxed);
  const std::uint64_t seen = rows + sifting.seen.fetch_add(rows, std::memory_order_relaxed);
  const double share = group.count == 1 ? kShareOne : kShareMany;
  if (static_cast<double>(all) > share * static_cast<double>(seen)) {
    sifting.on.store(false, std::memory_order_relaxed);
  }
}

// Returns how many rows went on to the coarse plane, or would if this were not a `trial`.
std::uint64_t CoarseScanner::sift(const ScanRequest& request, std::span<const Piece> pieces,
                                  std::uint32_t query, Worker& worker, BoundList& list,
                                  bool trial) {
  sieve_.measure(request, pieces, query, worker.bench);
  seed(request, pieces, query, worker);
  const ScanMask& mask = request.masks[request.queries[query].mask];
  std::uint64_t passed = 0;
  std::size_t at = 0;
  for (const Piece& piece : pieces) {
    worker.counts.sketch += piece.rows;
    if (mask.words[piece.block] != nullptr) {
      worker.bits.resize(std::max<std::size_t>(worker.bits.size(), piece.rows / 64 + 1));
      worker.counts.sketch_fine += sieve_.sift(request, piece, at, query, thresholds_[query].get(),
                                               worker.bench, worker.bits.data());
      std::uint64_t left = 0;
      for (std::uint32_t word = 0; word * 64 < piece.rows; ++word) {
        left += static_cast<std::uint64_t>(std::popcount(worker.bits[word]));
      }
      if (left != 0 && !trial) {
        scan_one(request, piece, query, worker.bits.data(),
                 reach_of(probes_[query], thresholds_[query].get()), worker, list);
      }
      passed += left;
    }
    at += SketchSieve::room(piece);
  }
  worker.counts.coarse += passed;
  return passed;
}

// Lowers the threshold by means of the rows that look nearest. They are met again by the scan
// itself, so nothing but the threshold is kept of them.
void CoarseScanner::seed(const ScanRequest& request, std::span<const Piece> pieces,
                         std::uint32_t query, Worker& worker) {
  const std::uint32_t need = needed(request.queries[query]);
  if (need > kSeedsMax) return;
  const float before = thresholds_[query].get();
  const std::uint32_t per_row = std::isinf(before) ? kSeedsPerRow : 1;
  sieve_.nearest(request, pieces, query, before, per_row * need, worker.bench, worker.near);
  if (worker.near.size() < need) return;
  std::sort(worker.near.begin(), worker.near.end(),
            [](const auto& a, const auto& b) { return a.piece < b.piece; });
  worker.seeds.reset(need);
  for (std::size_t i = 0; i < worker.near.size();) {
    const std::uint32_t number = worker.near[i].piece;
    const Piece& piece = pieces[number];
    worker.bits.assign(std::max<std::size_t>(worker.bits.size(), piece.rows / 64 + 1), 0);
    for (; i < worker.near.size() && worker.near[i].piece == number; ++i) {
      const std::uint32_t row = worker.near[i].row;
      worker.bits[row / 64] |= std::uint64_t{1} << (row % 64);
      ++worker.counts.coarse;
    }
    scan_one(request, piece, query, worker.bits.data(), std::numeric_limits<float>::infinity(),
             worker, worker.seeds);
  }
}

void CoarseScanner::take_survivors(const CoarsePlane& plane, const Piece& rows, std::uint32_t query,
                                   const Survivor* survivors, std::uint32_t count,
                                   BoundList& list) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t position = rows.first + survivors[i].row;
    const DistanceBounds bounds = bounds_of(probes_[query], plane, position, survivors[i].score);
    list.add({bounds.lower, bounds.upper, rows.block, position});
  }
  if (count > 0) {
    list.tighten(thresholds_[query]);
  }
}

Status CoarseScanner::scan(const ScanRequest& request, ScanResult& result) {
  if (!serves(request) || !prepare_queries(request)) {
    return full_->scan(request, result);
  }
  stopped_.store(false, std::memory_order_relaxed);
  out_of_memory_.store(false, std::memory_order_relaxed);
  sieving_ = sieve_.prepare(request);
  cut(request);
  const std::size_t allowed = std::max(1u, std::min(request.threads, pool_.threads()));
  const std::size_t useful = std::max<std::size_t>(1, pieces_.size() * groups_.size());
  const auto threads = static_cast<std::uint32_t>(std::min(allowed, useful));
  run(request, threads);
  if (out_of_memory_.load(std::memory_order_relaxed)) {
    throw std::bad_alloc();
  }
  result.queries.resize(request.queries.size());
  result.counts = {};
  for (std::uint32_t w = 0; w < threads; ++w) {
    result.counts.sketch += workers_[w]->counts.sketch;
    result.counts.sketch_fine += workers_[w]->counts.sketch_fine;
    result.counts.coarse += workers_[w]->counts.coarse;
  }
  result.stopped = stopped_.load(std::memory_order_relaxed);
  for (std::size_t q = 0; q < request.queries.size() && !result.stopped; ++q) {
    workers_[0]->lists[q].finish(thresholds_[q], request.queries[q].limit, result.queries[q]);
  }
  return {};
}

}  // namespace

std::unique_ptr<Scanner> make_coarse_scanner(const KernelTable& table, WorkerPool& pool) {
  return std::make_unique<CoarseScanner>(table, pool);
}

}  // namespace vecserve::engine
