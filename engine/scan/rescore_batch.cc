// See rescore_batch.h.
// The searching thread cuts; it and the pool's threads decide, a share of the queries each. Always
// holds: no more than kShareMax queries are in the works on a thread, whatever the batch.
#include "engine/scan/rescore_batch.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <numeric>

namespace vecserve::engine {
namespace {

// The more queries, the more of them ask for a row while it is near: a block, 4 MiB of rows, stays
// in the last cache while all queries of a share take theirs.
constexpr std::size_t kShareMax = 256;
// First candidates of a share for each row of the collection, from which on that pays: sorting
// candidates by block and coming back to each query for each block costs about a tenth of scoring
// (a profile of bench_exact --data fashion-mnist --k 1000 --batch 250).
constexpr double kReusePays = 0.5;

bool shares_rows(const RescoreRequest& request, std::size_t from, std::size_t count) {
  std::uint64_t rows = 0;
  for (const ScanBlock& block : request.blocks) rows += block.count;
  std::uint64_t first = 0;
  for (std::size_t q = from; q < from + count; ++q) {
    first += std::min<std::uint64_t>(request.wanted[q], request.candidates[q].list.size());
  }
  return count > 1 && static_cast<double>(first) >= kReusePays * static_cast<double>(rows);
}

// Fills `starts`, one more than there are blocks: where in the list each begins.
void sort_by_block(std::span<Candidate> list, std::span<std::uint32_t> starts,
                   std::vector<Candidate>& scratch) {
  for (const Candidate& candidate : list) ++starts[candidate.block + 1];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  scratch.assign(list.begin(), list.end());
  for (const Candidate& candidate : scratch) list[starts[candidate.block]++] = candidate;
  // Each start has moved to the next one's place.
  std::copy_backward(starts.begin(), starts.end() - 1, starts.end());
  starts.front() = 0;
}

}  // namespace

// The first candidates of all queries of a share.
void BatchRescore::by_blocks(const RescoreRequest& request, Worker& worker) {
  const std::size_t blocks = request.blocks.size();
  const std::size_t step = blocks + 1;
  worker.lists.clear();
  worker.starts.assign(worker.scorings.size() * step, 0);
  for (std::size_t i = 0; i < worker.scorings.size(); ++i) {
    worker.lists.push_back(worker.scorings[i].choose_first(worker.sorted));
    sort_by_block(worker.lists[i], std::span(worker.starts).subspan(i * step, step), worker.sorted);
  }
  for (std::size_t b = 0; b < blocks && !request.stop.stop(); ++b) {
    const std::uint32_t* starts = worker.starts.data() + b;
    for (std::size_t i = 0; i < worker.scorings.size(); ++i, starts += step) {
      if (starts[0] == starts[1]) continue;
      worker.scorings[i].score(worker.lists[i].subspan(starts[0], starts[1] - starts[0]));
    }
  }
}

bool BatchRescore::decide(const RescoreRequest& request, const Share& share, Worker& worker,
                          std::span<std::vector<Scored>> best, std::span<Decision> decisions) {
  worker.scorings.clear();
  for (std::size_t q = share.first; q < share.first + share.count; ++q) {
    worker.scorings.emplace_back(request.shape, request.blocks, request.queries[q],
                                 request.wanted[q], request.candidates[q], best[q]);
  }
  const bool shared = shares_rows(request, share.first, share.count);
  if (shared) by_blocks(request, worker);
  for (std::size_t i = 0; i < share.count; ++i) {
    if (request.stop.stop()) return false;
    Scoring& scoring = worker.scorings[i];
    if (!shared) scoring.score(scoring.choose_first(worker.sorted));
    decisions[share.first + i] = scoring.finish();
  }
  return true;
}

std::uint64_t BatchRescore::busy_ns() const {
  std::uint64_t sum = 0;
  for (const Worker& worker : workers_) sum += worker.busy_ns;
  return sum;
}

bool BatchRescore::run(const RescoreRequest& request, WorkerPool& pool,
                       std::span<std::vector<Scored>> best, std::span<Decision> decisions) {
  const std::size_t queries = request.queries.size();
  const std::uint32_t threads = std::clamp(request.threads, 1u, pool.threads());
  workers_.resize(std::max<std::size_t>(workers_.size(), threads));
  for (Worker& worker : workers_) worker.busy_ns = 0;
  const std::size_t share =
      std::clamp<std::size_t>((queries + threads - 1) / threads, 1, kShareMax);
  std::atomic<bool> stopped{false};
  std::atomic<bool> out_of_memory{false};
  pool.parallel_for((queries + share - 1) / share, threads, [&](std::size_t s, std::uint32_t w) {
    if (stopped.load(std::memory_order_relaxed)) return;
    const Share mine{s * share, std::min(share, queries - s * share)};
    PlaneTimer timer(request.timed);
    try {
      const bool done = decide(request, mine, workers_[w], best, decisions);
      timer.lap(workers_[w].busy_ns);
      if (done) return;
    } catch (const std::bad_alloc&) {
      out_of_memory.store(true, std::memory_order_relaxed);
    }
    stopped.store(true, std::memory_order_relaxed);
  });
  if (out_of_memory.load(std::memory_order_relaxed)) throw std::bad_alloc();
  return !stopped.load(std::memory_order_relaxed);
}

}  // namespace vecserve::engine
