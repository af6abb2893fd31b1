// Decides for all queries of a batch as rescore does for one, on several threads where that pays.
// Where the queries ask for so many rows that most rows are asked for by several of them, their
// first candidates are scored block of rows by block of rows: a row comes from memory once for the
// queries of a share, and from the cache to all but the first of them. Comes after the scanner,
// before the collection fills in ids and payloads.
// The searching thread, and those of the pool; one batch at a time each object.
// Always holds: the answers of rescore, to the bit; memory is kept from batch to batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/worker_pool.h"
#include "engine/scan/rescore.h"
#include "engine/scan/scanner.h"
#include "engine/scan/scoring.h"

namespace vecserve::engine {

struct RescoreRequest {
  const RowShape& shape;
  std::span<const ScanBlock> blocks;
  std::span<const ScanQuery> queries;
  std::span<const std::uint32_t> wanted;  // k of each
  std::span<QueryCandidates> candidates;  // of each, for its blocks
  const StopCheck& stop;
  std::uint32_t threads = 1;
  bool timed = false;  // look at the clock, for busy_ns()
};

class BatchRescore {
 public:
  // Fills best[q] and decisions[q] as rescore does. False: stopped before all were. May throw
  // std::bad_alloc.
  [[nodiscard]] bool run(const RescoreRequest& request, WorkerPool& pool,
                         std::span<std::vector<Scored>> best, std::span<Decision> decisions);

  // Of the last run, all threads together, if it was timed.
  [[nodiscard]] std::uint64_t busy_ns() const;

 private:
  // Queries that one worker decides together.
  struct Share {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  struct Worker {
    std::vector<Scoring> scorings;            // of a share's queries
    std::vector<std::span<Candidate>> lists;  // what comes first of each, by block
    std::vector<Candidate> sorted;            // scratch, of one query
    std::uint64_t busy_ns = 0;
    std::vector<std::uint32_t> starts;  // blocks + 1 of each query: where in its list one begins
  };

  static void by_blocks(const RescoreRequest& request, Worker& worker);
  [[nodiscard]] static bool decide(const RescoreRequest& request, const Share& share,
                                   Worker& worker, std::span<std::vector<Scored>> best,
                                   std::span<Decision> decisions);

  std::vector<Worker> workers_;
};

}  // namespace vecserve::engine
