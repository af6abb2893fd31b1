// See coarse_scanner.h. A request is cut into pieces of rows; workers take pieces, run the coarse
// kernels over them for one query, or for up to 64 with the same mask at a time, and gather
// survivors with their bounds. The threshold of each query is shared by the workers and falls as
// they go; the first rows of each piece are few, so that it falls early. The calling thread and the
// pool's. Always holds: no row is read whose 64-row word has no eligible bit (the kernels skip
// those); all memory is kept from request to request.
#include "engine/scan/coarse_scanner.h"

#include <algorithm>
#include <atomic>
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

namespace vecserve::engine {

namespace {

// A piece is what a worker takes at once and between which a stop is seen: some 100 us of one
// query.
constexpr std::size_t kPieceBytes = std::size_t{512} << 10;
// Rows of the first kernel call of a query's scan, before there is a threshold; each later call
// takes twice as many, up to kRowsMax. Multiples of 64.
constexpr std::uint32_t kRowsFirst = 64;
constexpr std::uint32_t kRowsMax = 512;

struct Piece {
  std::uint32_t block = 0;
  std::uint32_t first = 0;
  std::uint32_t rows = 0;
};

// Neighbouring queries with the same mask.
struct Group {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::uint32_t mask = 0;
};

struct Worker {
  std::vector<BoundList> lists;  // one per query of the request
  std::vector<Survivor> survivors;
  std::vector<CoarseLimit> limits;
  std::vector<std::uint32_t> counts;
};

class CoarseScanner final : public Scanner {
 public:
  CoarseScanner(const KernelTable& table, WorkerPool& pool)
      : full_(make_cpu_scanner(table, pool)),
        kernels_(coarse_kernels_for(table.name)),
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
  void visit(const ScanRequest& request, const Piece& piece, const Group& group, Worker& worker,
             std::vector<BoundList>& lists);
  void scan_rows(const ScanRequest& request, const Piece& piece, const Group& group, Worker& worker,
                 std::vector<BoundList>& lists);
  void take_survivors(const CoarsePlane& plane, const Piece& rows, std::uint32_t query,
                      const Survivor* survivors, std::uint32_t count, BoundList& list);

  std::unique_ptr<Scanner> full_;
  const CoarseKernels& kernels_;
  WorkerPool& pool_;
  std::string name_;

  // Scratch of the running request.
  std::vector<Piece> pieces_;
  std::vector<Group> groups_;
  std::vector<CoarseProbe> probes_;
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
  pieces_.clear();
  const auto rows = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, kPieceBytes / stride_ / kTileRows) * kTileRows);
  for (std::uint32_t b = 0; b < request.blocks.size(); ++b) {
    const bool wanted = std::any_of(
        request.masks.begin(), request.masks.end(),
        [b](const ScanMask& mask) { return mask.words[b] != nullptr && mask.eligible[b] != 0; });
    const std::uint32_t count = wanted ? request.blocks[b].count : 0;
    for (std::uint32_t first = 0; first < count; first += rows) {
      pieces_.push_back({b, first, std::min(rows, count - first)});
    }
  }
  groups_.clear();
  for (std::uint32_t q = 0; q < request.queries.size(); ++q) {
    const std::uint32_t mask = request.queries[q].mask;
    if (groups_.empty() || groups_.back().mask != mask || groups_.back().count == kCoarseQueries) {
      groups_.push_back({q, 0, mask});
    }
    ++groups_.back().count;
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
  const bool by_queries = groups_.size() >= std::size_t{2} * threads;
  const std::size_t list_sets = by_queries ? 1 : threads;
  while (workers_.size() < threads) {
    workers_.push_back(std::make_unique<Worker>());
  }
  for (std::size_t w = 0; w < list_sets; ++w) {
    std::vector<BoundList>& lists = workers_[w]->lists;
    lists.resize(std::max(lists.size(), request.queries.size()));
    for (std::size_t q = 0; q < request.queries.size(); ++q) {
      lists[q].reset(request.queries[q].want);
    }
  }
  if (by_queries) {
    pool_.parallel_for(groups_.size(), threads, [&](std::size_t g, std::uint32_t w) {
      for (const Piece& piece : pieces_) {
        visit(request, piece, groups_[g], *workers_[w], workers_[0]->lists);
      }
    });
    return;
  }
  pool_.parallel_for(pieces_.size(), threads, [&](std::size_t p, std::uint32_t w) {
    for (const Group& group : groups_) {
      visit(request, pieces_[p], group, *workers_[w], workers_[w]->lists);
    }
  });
  for (std::size_t w = 1; w < list_sets; ++w) {
    for (std::size_t q = 0; q < request.queries.size(); ++q) {
      workers_[0]->lists[q].merge(workers_[w]->lists[q]);
    }
  }
}

void CoarseScanner::visit(const ScanRequest& request, const Piece& piece, const Group& group,
                          Worker& worker, std::vector<BoundList>& lists) {
  if (stopped_.load(std::memory_order_relaxed)) {
    return;
  }
  if (request.stop != nullptr && request.stop->stop()) {
    stopped_.store(true, std::memory_order_relaxed);
    return;
  }
  try {
    scan_rows(request, piece, group, worker, lists);
  } catch (const std::bad_alloc&) {
    out_of_memory_.store(true, std::memory_order_relaxed);
    stopped_.store(true, std::memory_order_relaxed);
  }
}

void CoarseScanner::scan_rows(const ScanRequest& request, const Piece& piece, const Group& group,
                              Worker& worker, std::vector<BoundList>& lists) {
  const std::uint64_t* const words = request.masks[group.mask].words[piece.block];
  if (words == nullptr) {
    return;
  }
  const CoarsePlane& plane = *request.blocks[piece.block].block->coarse();
  worker.limits.resize(kCoarseQueries);
  worker.counts.resize(kCoarseQueries);
  worker.survivors.resize(std::size_t{group.count} * kRowsMax);
  const bool l2 = request.shape.metric == Metric::l2;
  // A scan that has a threshold already need not start small.
  std::uint32_t step = std::isinf(thresholds_[group.first].get()) ? kRowsFirst : kRowsMax;
  for (std::uint32_t done = 0; done < piece.rows;) {
    const Piece part{piece.block, piece.first + done, std::min(step, piece.rows - done)};
    const CoarseRows rows{plane.codes() + std::size_t{part.first} * stride_,
                          stride_,
                          plane.scales() + part.first,
                          plane.squares() + part.first,
                          plane.residuals() + part.first,
                          plane.norms() + part.first,
                          words + part.first / kTileRows,
                          part.rows,
                          request.shape.dim};
    for (std::uint32_t q = 0; q < group.count; ++q) {
      const std::uint32_t query = group.first + q;
      worker.limits[q] = probes_[query].limit;
      worker.limits[q].reach = reach_of(probes_[query], thresholds_[query].get());
    }
    if (group.count == 1) {
      const auto* codes =
          reinterpret_cast<const std::int8_t*>(codes_.data()) + group.first * stride_;
      worker.counts[0] = (l2 ? kernels_.one_l2 : kernels_.one_dot)(rows, codes, worker.limits[0],
                                                                   worker.survivors.data());
    } else {
      const auto at = packed_at_[static_cast<std::size_t>(&group - groups_.data())];
      const CoarseBatch batch{reinterpret_cast<const std::int8_t*>(packed_.data()) + at,
                              worker.limits.data(),
                              group.count,
                              worker.survivors.data(),
                              kRowsMax,
                              worker.counts.data()};
      (l2 ? kernels_.batch_l2 : kernels_.batch_dot)(rows, batch);
    }
    for (std::uint32_t q = 0; q < group.count; ++q) {
      take_survivors(plane, part, group.first + q, &worker.survivors[std::size_t{q} * kRowsMax],
                     worker.counts[q], lists[group.first + q]);
    }
    done += part.rows;
    step = std::min(step * 2, kRowsMax);
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
  cut(request);
  const std::size_t allowed = std::max(1u, std::min(request.threads, pool_.threads()));
  const std::size_t useful = std::max<std::size_t>(1, pieces_.size() * groups_.size());
  run(request, static_cast<std::uint32_t>(std::min(allowed, useful)));
  if (out_of_memory_.load(std::memory_order_relaxed)) {
    throw std::bad_alloc();
  }
  result.queries.resize(request.queries.size());
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
