// The full-plane scan on the CPU. A request is cut into pieces of rows; workers take pieces, run
// the kernels tile by tile (64 rows, up to 32 queries with the same mask), turn sums into lower
// bounds and keep the smallest. Comes after the planner, before rescore. The calling thread and the
// pool's. Always holds: no vector is touched whose 64-row tile has no eligible row; all memory is
// kept from request to request.
#include "engine/scan/cpu_scanner.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <limits>
#include <new>

#include "engine/scan/bounds.h"
#include "engine/scan/kernels.h"
#include "engine/scan/topk.h"

namespace vecserve::engine {
namespace {

constexpr float kNoRow = std::numeric_limits<float>::quiet_NaN();
// Waking a thread costs about as much as scanning this many bytes on one core (10 to 20 us).
constexpr std::size_t kBytesPerThread = std::size_t{256} << 10;
// Bytes of a piece: small enough that workers end together and that a stop is seen within tens of
// microseconds, large enough that taking one costs nothing.
constexpr std::size_t kPieceBytes = std::size_t{256} << 10;
// With fewer eligible rows in a tile, only the groups of four rows that hold one are computed.
constexpr int kSparseRows = 24;

// Rows [first, first + rows) of a block of the request.
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
  std::vector<TopK> lists;  // one per query of the request
  std::uint64_t ns = 0;     // scanning, where the request is timed
  alignas(64) float sums[kTileQueries * kTileRows];
  alignas(64) std::uint32_t counts[kTileQueries * kTileRows];
};

class CpuScanner final : public Scanner {
 public:
  CpuScanner(const KernelTable& table, WorkerPool& pool)
      : table_(table), pool_(pool), name_(std::string("cpu/") + table.name) {}

  [[nodiscard]] std::string_view name() const override { return name_; }
  [[nodiscard]] bool supports(const RowShape& shape) const override {
    return (shape.type == ScalarType::bit) == (shape.metric == Metric::hamming);
  }
  void mirror(const RowBlock&) override {}
  void forget(const RowBlock&) override {}
  [[nodiscard]] Status scan(const ScanRequest& request, ScanResult& result) override;

 private:
  void prepare(const ScanRequest& request);
  void cut_rows(const ScanRequest& request);
  void cut_queries(const ScanRequest& request);
  [[nodiscard]] std::uint32_t threads_for(const ScanRequest& request) const;
  void run(const ScanRequest& request, std::uint32_t threads);
  void scan_piece(const ScanRequest& request, const Piece& piece, const Group& group,
                  Worker& worker, std::vector<TopK>& lists) const;
  void score(const ScanRequest& request, const Piece& tile, std::uint64_t rows, const Group& group,
             Worker& worker) const;
  void sum_rows(const ScanRequest& request, const Piece& tile, std::uint32_t from, std::uint32_t to,
                const Group& group, Worker& worker) const;

  const KernelTable& table_;
  WorkerPool& pool_;
  std::string name_;
  FloatKernel kernel_ = nullptr;

  // Scratch of the running request.
  std::vector<Piece> pieces_;
  std::vector<Group> groups_;
  std::vector<ScoreBound> bounds_;
  std::vector<const float*> floats_;
  std::vector<const std::uint64_t*> bits_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::size_t eligible_bytes_ = 0;  // of vectors to score, over all queries
  std::atomic<bool> stopped_{false};
  std::atomic<bool> out_of_memory_{false};
};

void CpuScanner::cut_rows(const ScanRequest& request) {
  pieces_.clear();
  const auto piece_rows = static_cast<std::uint32_t>(
      std::max<std::size_t>(1, kPieceBytes / request.shape.stride / kTileRows) * kTileRows);
  for (std::uint32_t b = 0; b < request.blocks.size(); ++b) {
    const bool wanted = std::any_of(
        request.masks.begin(), request.masks.end(),
        [b](const ScanMask& mask) { return mask.words[b] != nullptr && mask.eligible[b] != 0; });
    if (!wanted) continue;
    const std::uint32_t count = request.blocks[b].count;
    for (std::uint32_t first = 0; first < count; first += piece_rows) {
      pieces_.push_back({b, first, std::min(piece_rows, count - first)});
    }
  }
}

void CpuScanner::cut_queries(const ScanRequest& request) {
  groups_.clear();
  for (std::uint32_t q = 0; q < request.queries.size(); ++q) {
    const std::uint32_t mask = request.queries[q].mask;
    if (groups_.empty() || groups_.back().mask != mask || groups_.back().count == kTileQueries) {
      groups_.push_back({q, 0, mask});
    }
    ++groups_.back().count;
  }
}

void CpuScanner::prepare(const ScanRequest& request) {
  cut_rows(request);
  cut_queries(request);
  floats_.clear();
  bits_.clear();
  bounds_.clear();
  eligible_bytes_ = 0;
  for (const ScanQuery& query : request.queries) {
    floats_.push_back(query.f32);
    bits_.push_back(query.bits);
    bounds_.push_back(make_bound(request.shape, table_, query.norm));
  }
  for (const Group& group : groups_) {
    std::size_t rows = 0;
    const ScanMask& mask = request.masks[group.mask];
    for (std::size_t b = 0; b < request.blocks.size(); ++b) {
      if (mask.words[b] != nullptr) rows += mask.eligible[b];
    }
    eligible_bytes_ += rows * request.shape.row_bytes * group.count;
  }
  kernel_ = request.shape.type == ScalarType::bit
                ? nullptr
                : float_kernel(table_, request.shape.metric, request.shape.type);
  stopped_.store(false, std::memory_order_relaxed);
  out_of_memory_.store(false, std::memory_order_relaxed);
}

std::uint32_t CpuScanner::threads_for(const ScanRequest& request) const {
  const std::size_t worth = std::max<std::size_t>(1, eligible_bytes_ / kBytesPerThread);
  const std::size_t allowed = std::max(1u, std::min(request.threads, pool_.threads()));
  return static_cast<std::uint32_t>(std::min(worth, allowed));
}

void CpuScanner::run(const ScanRequest& request, std::uint32_t threads) {
  // With many groups each worker takes whole groups over all rows and nothing is to be merged; with
  // few, workers share the rows and each has its own lists.
  const bool by_queries = groups_.size() >= std::size_t{2} * threads;
  const std::size_t list_sets = by_queries ? 1 : threads;
  while (workers_.size() < threads) workers_.push_back(std::make_unique<Worker>());
  for (const auto& worker : workers_) worker->ns = 0;
  for (std::size_t w = 0; w < list_sets; ++w) {
    std::vector<TopK>& lists = workers_[w]->lists;
    if (lists.size() < request.queries.size()) lists.resize(request.queries.size());
    for (std::size_t q = 0; q < request.queries.size(); ++q) {
      lists[q].reset(request.queries[q].want, request.queries[q].limit);
    }
  }
  const auto visit = [&](const Piece& piece, const Group& group, Worker& worker,
                         std::vector<TopK>& lists) {
    if (stopped_.load(std::memory_order_relaxed)) return;
    if (request.stop != nullptr && request.stop->stop()) {
      stopped_.store(true, std::memory_order_relaxed);
      return;
    }
    PlaneTimer timer(request.timed);
    try {
      scan_piece(request, piece, group, worker, lists);
      timer.lap(worker.ns);
    } catch (const std::bad_alloc&) {
      out_of_memory_.store(true, std::memory_order_relaxed);
      stopped_.store(true, std::memory_order_relaxed);
    }
  };
  if (by_queries) {
    pool_.parallel_for(groups_.size(), threads, [&](std::size_t g, std::uint32_t w) {
      for (const Piece& piece : pieces_) visit(piece, groups_[g], *workers_[w], workers_[0]->lists);
    });
  } else {
    pool_.parallel_for(pieces_.size(), threads, [&](std::size_t p, std::uint32_t w) {
      for (const Group& group : groups_) {
        visit(pieces_[p], group, *workers_[w], workers_[w]->lists);
      }
    });
    for (std::size_t w = 1; w < list_sets && !stopped_; ++w) {
      for (std::size_t q = 0; q < request.queries.size(); ++q) {
        workers_[0]->lists[q].merge(workers_[w]->lists[q]);
      }
    }
  }
}

void CpuScanner::scan_piece(const ScanRequest& request, const Piece& piece, const Group& group,
                            Worker& worker, std::vector<TopK>& lists) const {
  const std::uint64_t* words = request.masks[group.mask].words[piece.block];
  if (words == nullptr) return;
  for (std::uint32_t done = 0; done < piece.rows; done += kTileRows) {
    const Piece tile{piece.block, piece.first + done, std::min(kTileRows, piece.rows - done)};
    std::uint64_t rows = words[tile.first / kTileRows];
    if (tile.rows < kTileRows) rows &= (std::uint64_t{1} << tile.rows) - 1;
    if (rows == 0) continue;
    score(request, tile, rows, group, worker);
    for (std::uint32_t q = 0; q < group.count; ++q) {
      lists[group.first + q].add_tile(&worker.sums[q * kTileRows], tile.block, tile.first);
    }
  }
}

// Leaves the lower bound of every row of the tile in worker.sums, kNoRow where `rows` has no bit.
void CpuScanner::score(const ScanRequest& request, const Piece& tile, std::uint64_t rows,
                       const Group& group, Worker& worker) const {
  if (std::popcount(rows) >= kSparseRows) {
    sum_rows(request, tile, 0, tile.rows, group, worker);
  } else {
    for (std::uint32_t from = 0; from < tile.rows; from += 4) {
      if ((rows >> from & 15) == 0) continue;
      std::uint32_t to = from + 4;
      while (to < tile.rows && (rows >> to & 15) != 0) to += 4;
      sum_rows(request, tile, from, std::min(to, tile.rows), group, worker);
      from = to;
    }
  }
  if (rows == ~std::uint64_t{0}) return;
  for (std::uint32_t q = 0; q < group.count; ++q) {
    float* lower = &worker.sums[q * kTileRows];
    for (std::uint32_t r = 0; r < kTileRows; ++r) {
      lower[r] = (rows >> r & 1) != 0 ? lower[r] : kNoRow;
    }
  }
}

// Sums rows [from, to) of the tile for every query of the group and bounds them.
void CpuScanner::sum_rows(const ScanRequest& request, const Piece& tile, std::uint32_t from,
                          std::uint32_t to, const Group& group, Worker& worker) const {
  const RowBlock& block = *request.blocks[tile.block].block;
  const std::byte* vectors = block.vector(tile.first + from);
  if (kernel_ == nullptr) {
    const std::uint32_t words = (request.shape.row_bytes + 7) / 8;
    table_.hamming({&bits_[group.first], vectors, worker.counts + from, request.shape.stride,
                    group.count, to - from, words});
    for (std::uint32_t q = 0; q < group.count; ++q) {
      for (std::uint32_t r = from; r < to; ++r) {
        // Exact: no more than dim_max < 2^24 bits.
        worker.sums[q * kTileRows + r] = static_cast<float>(worker.counts[q * kTileRows + r]);
      }
    }
    return;
  }
  kernel_({&floats_[group.first], vectors, worker.sums + from, request.shape.stride, group.count,
           to - from, request.shape.dim});
  const float* const norms = block.norms() == nullptr ? nullptr : block.norms() + tile.first + from;
  for (std::uint32_t q = 0; q < group.count; ++q) {
    lower_bounds(bounds_[group.first + q], norms, to - from, &worker.sums[q * kTileRows + from]);
  }
}

Status CpuScanner::scan(const ScanRequest& request, ScanResult& result) {
  if (!supports(request.shape)) {
    return {StatusCode::unimplemented, "this scanner does not know the metric for the type"};
  }
  prepare(request);
  run(request, threads_for(request));
  if (out_of_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
  result.queries.resize(request.queries.size());
  result.stopped = stopped_.load(std::memory_order_relaxed);
  result.counts = {};
  for (const auto& worker : workers_) result.counts.full_ns += worker->ns;
  for (const ScanQuery& query : request.queries) {
    const ScanMask& mask = request.masks[query.mask];
    for (std::size_t b = 0; b < request.blocks.size(); ++b) {
      result.counts.full += mask.words[b] == nullptr ? 0 : mask.eligible[b];
    }
  }
  if (result.stopped) return {};
  for (std::size_t q = 0; q < request.queries.size(); ++q) {
    workers_[0]->lists[q].finish(result.queries[q]);
  }
  return {};
}

}  // namespace

std::unique_ptr<Scanner> make_cpu_scanner(const KernelTable& table, WorkerPool& pool) {
  return std::make_unique<CpuScanner>(table, pool);
}

}  // namespace vecserve::engine
