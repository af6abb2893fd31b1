// See coarse_scanner.h. A request is cut into pieces of rows; workers take stretches of pieces, or
// bundles of queries, run the coarse kernels over them for one query, or for up to 64 with the same
// mask at a time, and gather survivors with their bounds. Where blocks have sketches, those sift
// the rows first: all queries of a bundle are taken over rows that stay in the caches of a core,
// what passes is listed with its bound, the nearest by their bounds are read from the coarse plane
// and lower the threshold, and then the rest that is still within it. The threshold of each query
// is shared by the workers and falls as they go; the first one comes from a sample, and where it
// was a guess that left too few rows, the query is scanned again without one. The calling thread
// and the pool's.
// Always holds: no row is read whose 64-row word has no eligible bit (the kernels skip those); all
// memory is kept from request to request.
#include "engine/scan/coarse_scanner.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <string>
#include <vector>

#include "engine/scan/bound_list.h"
#include "engine/scan/coarse_kernels.h"
#include "engine/scan/coarse_pass.h"
#include "engine/scan/coarse_queries.h"
#include "engine/scan/first_threshold.h"
#include "engine/scan/kernels.h"
#include "engine/scan/passed_rows.h"
#include "engine/scan/scan_cut.h"
#include "engine/scan/sift_choice.h"
#include "engine/scan/sketch_sieve.h"

namespace vecserve::engine {

namespace {

// Rows read for each row of the answer: the nearest by a few axes are not quite the nearest.
constexpr std::uint32_t kNearestPerRow = 4;
// Reading the nearest of the rows that passed before the others pays when there are so many times
// more of them: so in the first stretch of a query, and seldom later.
constexpr std::size_t kNearestPays = 8;
// Rows of which all queries of a bundle are taken: 92 bytes of sketches each, which stay in the
// caches of a core. Few queries go on to as many more: at the end of a part records are waited for.
constexpr std::uint32_t kSiftRows = 1'024;
constexpr std::uint32_t kSiftTogether = 8;
// Rows of a stretch that are looked at ahead of those that are read, shared among the queries of a
// bundle: what passed lies here and there, and comes from memory in time.
constexpr std::uint32_t kAheadRows = 16'384;
// Groups of a bundle, 256 queries: each of the coarse rows that are then read together serves
// several of them.
constexpr std::size_t kBundleGroups = 4;
// Queries whose first thresholds are found together: two panels of the coarse kernels.
constexpr std::uint32_t kSeededTogether = 32;

// Groups of queries that are sifted together.
struct Bundle {
  std::size_t first = 0;
  std::size_t count = 0;
  std::uint32_t queries = 0;
};

struct Worker {
  std::vector<BoundList> lists;  // one per query of the request
  FirstThreshold::Bench bench;
  std::vector<std::uint64_t> bits;
  ScanCounts counts;
  std::vector<float> bounds;
  std::vector<float> scratch;        // of a query on its way into the sketches' space
  std::vector<PassedRows> passed;    // one per query of a bundle
  std::vector<std::uint64_t> until;  // per group of a bundle: rows of the stretch that were sifted
  CoarsePass pass;
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
  void scan_once(const ScanRequest& request, bool may_guess, ScanResult& result);
  void cut(const ScanRequest& request, std::uint32_t threads);
  void choose_sifting(const ScanRequest& request, std::uint32_t threads);
  [[nodiscard]] bool ready_to_sift(const ScanRequest& request, std::uint32_t threads);
  void make_workers(const ScanRequest& request, std::uint32_t threads);
  void walk(const CoarseJob& job, std::uint32_t threads);
  [[nodiscard]] bool stop_now(const ScanRequest& request);
  void visit(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle, Worker& worker,
             std::vector<BoundList>& lists);
  void scan_from(const CoarseJob& job, const Stretch& stretch, std::uint64_t from, std::size_t g,
                 Worker& worker, std::vector<BoundList>& lists);
  void sift(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle, Worker& worker);
  std::uint64_t sift_group(const CoarseJob& job, const Piece& part, std::uint64_t base,
                           const Bundle& bundle, std::size_t g, Worker& worker);
  void read_nearest(const CoarseJob& job, const Stretch& stretch, std::uint32_t query,
                    PassedRows& passed, Worker& worker, BoundList& list);
  void ask_for_rows(const CoarseJob& job, const Stretch& stretch, float most,
                    const PassedRows& passed) const;
  void ask_ahead(const CoarseJob& job, std::uint32_t p, std::uint64_t base, std::uint64_t until,
                 float most, PassedRows& passed) const;
  void read_rest(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle, Worker& worker,
                 std::vector<BoundList>& lists);
  void read_passed(const CoarseJob& job, const Piece& part, std::uint64_t base, std::uint32_t query,
                   float most, PassedRows& passed, Worker& worker, BoundList& list);
  void seed_all(const CoarseJob& job, std::uint32_t threads);
  template <typename F>
  void guarded(F&& f);

  std::unique_ptr<Scanner> full_;
  const CoarseKernels& kernels_;
  SketchSieve sieve_;
  WorkerPool& pool_;
  std::string name_;

  // Scratch of the running request.
  CoarseQueries queries_;
  std::vector<Piece> pieces_;
  FirstThreshold first_;
  std::vector<FirstThreshold::Few> few_;
  bool may_guess_ = true;
  std::vector<std::uint8_t> guessed_;  // per query
  std::vector<Stretch> stretches_;
  std::vector<Group> groups_;
  std::vector<Bundle> bundles_;
  bool sieving_ = false;
  std::unique_ptr<Sifting[]> sifting_;  // per group
  std::size_t sifting_size_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<ScanQuery> again_;  // whose thresholds were guessed too low
  std::vector<std::size_t> again_of_;
  ScanResult again_result_;
  std::atomic<bool> stopped_{false};
  std::atomic<bool> out_of_memory_{false};
};

bool serves(const ScanRequest& request) {
  return !request.blocks.empty() &&
         std::all_of(request.blocks.begin(), request.blocks.end(),
                     [](const ScanBlock& block) { return block.block->coarse() != nullptr; });
}

void CoarseScanner::cut(const ScanRequest& request, std::uint32_t threads) {
  cut_groups(request, kCoarseQueries, groups_);
  choose_sifting(request, threads);
  cut_pieces(request, sieving_ ? sieve_.axes() : nullptr, queries_.stride(), pieces_);
  cut_stretches(pieces_, threads, stretches_);
  if (sieving_) first_.prepare(request, pieces_);
  bundles_.clear();
  for (std::size_t g = 0; g < groups_.size(); g += kBundleGroups) {
    const std::size_t count = std::min(kBundleGroups, groups_.size() - g);
    const Group& last = groups_[g + count - 1];
    bundles_.push_back({g, count, last.first + last.count - groups_[g].first});
  }
}

// Queries are brought into the sketches' space only when some group is to be sifted.
void CoarseScanner::choose_sifting(const ScanRequest& request, std::uint32_t threads) {
  if (sifting_size_ < groups_.size()) {
    sifting_ = std::make_unique<Sifting[]>(groups_.size());
    sifting_size_ = groups_.size();
  }
  bool any = false;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const ScanMask& mask = request.masks[groups_[g].mask];
    sifting_[g].reset(
        worth_sifting(request, mask, groups_[g].first, groups_[g].count, kSiftShareMax));
    any = any || sifting_[g].on();
  }
  sieving_ = any && ready_to_sift(request, threads);
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    bool on = sieving_ && sifting_[g].on();
    for (std::uint32_t q = 0; q < groups_[g].count && on; ++q) {
      on = sieve_.serves(groups_[g].first + q);
    }
    sifting_[g].reset(on);
  }
}

// Brings the queries into the sketches' space, where there are sketches.
bool CoarseScanner::ready_to_sift(const ScanRequest& request, std::uint32_t threads) {
  if (!sieve_.begin(request)) return false;
  pool_.parallel_for(request.queries.size(), threads, [&](std::size_t q, std::uint32_t w) {
    Worker& worker = *workers_[w];
    PlaneTimer timer(request.timed);
    guarded([&] { sieve_.make_ready(request, static_cast<std::uint32_t>(q), worker.scratch); });
    timer.lap(worker.counts.sketch_ns);
  });
  bool any = false;
  for (std::uint32_t q = 0; q < request.queries.size(); ++q) any = any || sieve_.serves(q);
  return any;
}

template <typename F>
void CoarseScanner::guarded(F&& f) {
  try {
    f();
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

void CoarseScanner::make_workers(const ScanRequest& request, std::uint32_t threads) {
  while (workers_.size() < threads) workers_.push_back(std::make_unique<Worker>());
  for (std::uint32_t w = 0; w < threads; ++w) {
    Worker& worker = *workers_[w];
    worker.counts = {};
    worker.lists.resize(std::max(worker.lists.size(), request.queries.size()));
    worker.passed.resize(kBundleGroups * kCoarseQueries);
    worker.until.resize(kBundleGroups);
  }
}

void CoarseScanner::walk(const CoarseJob& job, std::uint32_t threads) {
  const std::size_t queries = job.request.queries.size();
  const bool by_queries = bundles_.size() >= std::size_t{2} * threads;
  const std::size_t list_sets = by_queries ? 1 : threads;
  for (std::size_t w = 0; w < list_sets; ++w) {
    for (std::size_t q = 0; q < queries; ++q) {
      workers_[w]->lists[q].reset(needed(job.request.queries[q]), guessed_[q] != 0);
    }
  }
  if (by_queries) {
    pool_.parallel_for(bundles_.size(), threads, [&](std::size_t b, std::uint32_t w) {
      for (const Stretch& stretch : stretches_) {
        guarded([&] { visit(job, stretch, bundles_[b], *workers_[w], workers_[0]->lists); });
      }
    });
    return;
  }
  pool_.parallel_for(stretches_.size(), threads, [&](std::size_t s, std::uint32_t w) {
    for (const Bundle& bundle : bundles_) {
      guarded([&] { visit(job, stretches_[s], bundle, *workers_[w], workers_[w]->lists); });
    }
  });
  for (std::size_t w = 1; w < list_sets; ++w) {
    for (std::size_t q = 0; q < queries; ++q) {
      workers_[0]->lists[q].merge(workers_[w]->lists[q]);
    }
  }
}

void CoarseScanner::visit(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle,
                          Worker& worker, std::vector<BoundList>& lists) {
  std::fill(worker.until.begin(), worker.until.end(), std::uint64_t{0});
  PlaneTimer timer(job.request.timed);
  if (stretch.sketched) {
    sift(job, stretch, bundle, worker);
    timer.lap(worker.counts.sketch_ns);
    for (std::size_t g = bundle.first; g < bundle.first + bundle.count; ++g) {
      for (std::uint32_t q = 0; q < groups_[g].count && worker.until[g - bundle.first] != 0; ++q) {
        const std::uint32_t query = groups_[g].first + q;
        read_nearest(job, stretch, query, worker.passed[query - groups_[bundle.first].first],
                     worker, lists[query]);
      }
    }
    read_rest(job, stretch, bundle, worker, lists);
  }
  for (std::size_t g = bundle.first; g < bundle.first + bundle.count; ++g) {
    scan_from(job, stretch, worker.until[g - bundle.first], g, worker, lists);
  }
  timer.lap(worker.counts.coarse_ns);
}

// One group over the rows of a stretch from `from` on, in order and without sketches.
void CoarseScanner::scan_from(const CoarseJob& job, const Stretch& stretch, std::uint64_t from,
                              std::size_t g, Worker& worker, std::vector<BoundList>& lists) {
  const Group& group = groups_[g];
  std::uint64_t base = 0;
  for (std::uint32_t p = stretch.first; p < stretch.first + stretch.count; ++p) {
    const Piece& piece = pieces_[p];
    const std::uint64_t end = base + piece.rows;
    if (end > from && job.request.masks[group.mask].words[piece.block] != nullptr) {
      if (stop_now(job.request)) return;
      const auto skipped = static_cast<std::uint32_t>(from > base ? from - base : 0);
      const Piece rest{piece.block, piece.first + skipped, piece.rows - skipped, false};
      worker.pass.rows_in_order(job, rest, group, queries_.panels(g), false, lists);
      worker.counts.coarse += eligible_in(job.request, group.mask, rest) * group.count;
    }
    base = end;
  }
}

// Lists for every query of the bundle what its sketches let pass. A group of which too much passes
// stops early; `until` says where.
void CoarseScanner::sift(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle,
                         Worker& worker) {
  for (PassedRows& passed : worker.passed) passed.clear();
  const std::uint32_t most = kSiftRows * std::max(1u, kSiftTogether / bundle.queries);
  std::uint32_t step = kSiftRows;
  std::uint64_t base = 0;
  for (std::uint32_t p = stretch.first; p < stretch.first + stretch.count; ++p) {
    const Piece& piece = pieces_[p];
    for (std::uint32_t done = 0; done < piece.rows;) {
      if (stop_now(job.request)) return;
      const Piece part{piece.block, piece.first + done, std::min(step, piece.rows - done), true};
      for (std::size_t g = bundle.first; g < bundle.first + bundle.count; ++g) {
        std::uint64_t& until = worker.until[g - bundle.first];
        if (until != base + done || !sifting_[g].on()) continue;
        if (job.request.masks[groups_[g].mask].words[part.block] != nullptr) {
          const std::uint64_t passed = sift_group(job, part, base + done, bundle, g, worker);
          sifting_[g].note(std::uint64_t{part.rows} * groups_[g].count, passed, groups_[g].count);
        }
        until += part.rows;
      }
      done += part.rows;
      step = std::min(2 * step, most);
    }
    base += piece.rows;
  }
}

// Rows are counted from `base` on. Returns how many passed.
std::uint64_t CoarseScanner::sift_group(const CoarseJob& job, const Piece& part, std::uint64_t base,
                                        const Bundle& bundle, std::size_t g, Worker& worker) {
  std::uint64_t all = 0;
  for (std::uint32_t q = groups_[g].first; q < groups_[g].first + groups_[g].count; ++q) {
    PassedRows& passed = worker.passed[q - groups_[bundle.first].first];
    const SketchCount count =
        sieve_.sift(job.request, part, q, queries_.threshold(q).get(), passed.room(part.rows));
    passed.take(count.all, static_cast<std::uint32_t>(base));
    worker.counts.sketch += part.rows;
    worker.counts.sketch_fine += count.first;
    all += count.all;
  }
  return all;
}

// Of the rows that passed, a few for each row of the answer whose bounds are least: with what the
// coarse plane says of them the threshold is nearly what it will be in the end.
void CoarseScanner::read_nearest(const CoarseJob& job, const Stretch& stretch, std::uint32_t query,
                                 PassedRows& passed, Worker& worker, BoundList& list) {
  const std::size_t want = std::size_t{kNearestPerRow} * needed(job.request.queries[query]);
  if (passed.size() <= kNearestPays * want) return;
  const float most = passed.bound_at(want, worker.bounds);
  ask_for_rows(job, stretch, most, passed);
  std::uint64_t base = 0;
  for (std::uint32_t p = stretch.first; p < stretch.first + stretch.count; ++p) {
    read_passed(job, pieces_[p], base, query, most, passed, worker, list);
    base += pieces_[p].rows;
  }
  passed.drop_within(most);
}

// The rows with bounds of at most `most` lie here and there: all are asked for before the first is
// needed.
void CoarseScanner::ask_for_rows(const CoarseJob& job, const Stretch& stretch, float most,
                                 const PassedRows& passed) const {
  std::uint64_t base = 0;
  std::uint32_t p = stretch.first;
  for (const SketchSurvivor& row : passed) {
    if (row.bound > most) continue;
    while (row.row >= base + pieces_[p].rows) base += pieces_[p++].rows;
    CoarsePass::ask_for(job, pieces_[p], static_cast<std::uint32_t>(row.row - base));
  }
}

// The same for rows of the stretch before `until` only; row `base` is the first of piece p.
void CoarseScanner::ask_ahead(const CoarseJob& job, std::uint32_t p, std::uint64_t base,
                              std::uint64_t until, float most, PassedRows& passed) const {
  passed.look_ahead(until, most, [&](std::uint64_t row) {
    while (row >= base + pieces_[p].rows) base += pieces_[p++].rows;
    CoarsePass::ask_for(job, pieces_[p], static_cast<std::uint32_t>(row - base));
  });
}

// The rest of what passed, as far as it is still within the thresholds: for all queries of the
// bundle over coarse rows that stay in the second level cache.
void CoarseScanner::read_rest(const CoarseJob& job, const Stretch& stretch, const Bundle& bundle,
                              Worker& worker, std::vector<BoundList>& lists) {
  const std::uint32_t step = piece_rows(queries_.stride());
  const std::uint32_t first = groups_[bundle.first].first;
  const std::uint32_t ahead = kAheadRows / bundle.queries;
  std::uint64_t base = 0;
  for (std::uint32_t p = stretch.first; p < stretch.first + stretch.count; ++p) {
    const Piece& piece = pieces_[p];
    for (std::uint32_t done = 0; done < piece.rows; done += step) {
      if (stop_now(job.request)) return;
      const Piece part{piece.block, piece.first + done, std::min(step, piece.rows - done), true};
      for (std::uint32_t q = first; q < first + bundle.queries; ++q) {
        PassedRows& passed = worker.passed[q - first];
        if (passed.done()) continue;
        const float most = sieve_.reach(q, queries_.threshold(q).get());
        if (ahead != 0) ask_ahead(job, p, base, base + done + ahead, most, passed);
        read_passed(job, part, base + done, q, most, passed, worker, lists[q]);
      }
    }
    base += piece.rows;
  }
}

// Reads those rows of a part whose bounds are at most `most`, and goes past all of them. The part's
// first row is number `base`.
void CoarseScanner::read_passed(const CoarseJob& job, const Piece& part, std::uint64_t base,
                                std::uint32_t query, float most, PassedRows& passed, Worker& worker,
                                BoundList& list) {
  const std::uint32_t chosen = passed.choose(base, part.rows, most, worker.bits);
  if (chosen == 0) return;
  worker.counts.coarse += chosen;
  worker.pass.chosen_rows(job, part, query, worker.bits.data(), list);
}

// First thresholds for the queries that are sifted.
void CoarseScanner::seed_all(const CoarseJob& job, std::uint32_t threads) {
  few_.clear();
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    if (!sifting_[g].on()) continue;
    const Group& all = groups_[g];
    const bool together = may_guess_ && first_.can_read(job, all);
    const std::uint32_t step = together ? kSeededTogether : 1;
    for (std::uint32_t at = 0; at < all.count; at += step) {
      few_.push_back({{all.first + at, std::min(step, all.count - at), all.mask},
                      together ? queries_.panels(g, at) : nullptr,
                      &sifting_[g]});
    }
  }
  pool_.parallel_for(few_.size(), threads, [&](std::size_t f, std::uint32_t w) {
    if (stop_now(job.request)) return;
    guarded([&] {
      Worker& worker = *workers_[w];
      first_.find_some(job, sieve_, few_[f], may_guess_, worker.pass, worker.bench, guessed_,
                       worker.counts);
    });
  });
}

Status CoarseScanner::scan(const ScanRequest& request, ScanResult& result) {
  if (!serves(request) || !queries_.prepare(request)) {
    return full_->scan(request, result);
  }
  result.counts = {};
  scan_once(request, true, result);
  again_.clear();
  again_of_.clear();
  for (std::size_t q = 0; q < request.queries.size() && !result.stopped; ++q) {
    if (guessed_[q] == 0 || result.queries[q].list.size() >= needed(request.queries[q])) continue;
    again_.push_back(request.queries[q]);
    again_of_.push_back(q);
  }
  if (again_.empty()) return {};
  ScanRequest rest = request;
  rest.queries = again_;
  again_result_.counts = {};
  if (!queries_.prepare(rest)) return full_->scan(request, result);
  scan_once(rest, false, again_result_);
  result.stopped = again_result_.stopped;
  result.counts.add(again_result_.counts);
  for (std::size_t i = 0; i < again_.size() && !result.stopped; ++i) {
    std::swap(result.queries[again_of_[i]], again_result_.queries[i]);
  }
  return {};
}

// With queries_ prepared. Where a threshold was guessed, a list may be too short.
void CoarseScanner::scan_once(const ScanRequest& request, bool may_guess, ScanResult& result) {
  stopped_.store(false, std::memory_order_relaxed);
  out_of_memory_.store(false, std::memory_order_relaxed);
  may_guess_ = may_guess;
  guessed_.assign(request.queries.size(), 0);
  const std::uint32_t threads = std::max(1u, std::min(request.threads, pool_.threads()));
  make_workers(request, threads);
  cut(request, threads);
  queries_.pack(groups_);
  const CoarseJob job{request, queries_, kernels_};
  if (sieving_) seed_all(job, threads);
  walk(job, threads);
  if (out_of_memory_.load(std::memory_order_relaxed)) throw std::bad_alloc();
  result.queries.resize(request.queries.size());
  for (std::uint32_t w = 0; w < threads; ++w) result.counts.add(workers_[w]->counts);
  result.stopped = stopped_.load(std::memory_order_relaxed);
  for (std::size_t q = 0; q < request.queries.size() && !result.stopped; ++q) {
    workers_[0]->lists[q].finish(queries_.threshold(static_cast<std::uint32_t>(q)),
                                 request.queries[q].limit, result.queries[q]);
  }
}

}  // namespace

std::unique_ptr<Scanner> make_coarse_scanner(const KernelTable& table, WorkerPool& pool) {
  return std::make_unique<CoarseScanner>(table, pool);
}

}  // namespace vecserve::engine
