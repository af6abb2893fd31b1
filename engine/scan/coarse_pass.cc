// See coarse_pass.h.
// Runs on a worker's thread. Always holds: the first rows of a query without a threshold come in
// small steps, so that it falls early.
#include "engine/scan/coarse_pass.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "engine/scan/kernels.h"

namespace vecserve::engine {

namespace {

// Eligible rows of the first kernel call of a query's scan, before there is a threshold; each later
// call takes twice as many, up to kRowsMax. Multiples of 64.
constexpr std::uint32_t kRowsFirst = 64;
constexpr std::uint32_t kRowsMax = 512;
// Of a row that is asked for; what follows is fetched while these are multiplied.
constexpr std::size_t kAskedBytes = 1024;
// Into the second level cache: the first has no room for all that is asked for ahead.
constexpr int kSecondLevel = 2;

CoarseRows rows_of(const CoarseJob& job, const Piece& part, const std::uint64_t* eligible) {
  const CoarsePlane& plane = *job.request.blocks[part.block].block->coarse();
  const std::size_t stride = job.queries.stride();
  return {plane.codes() + std::size_t{part.first} * stride,
          stride,
          plane.scales() + part.first,
          plane.squares() + part.first,
          plane.residuals() + part.first,
          plane.norms() + part.first,
          eligible,
          part.rows,
          job.request.shape.dim};
}

void take(const CoarseJob& job, const Piece& rows, std::uint32_t query, const Survivor* survivors,
          std::uint32_t count, bool middle, BoundList& list) {
  const CoarsePlane& plane = *job.request.blocks[rows.block].block->coarse();
  DistanceBoundsOfSome bounds;
  for (std::uint32_t from = 0; from < count; from += DistanceBoundsOfSome::kCount) {
    const std::span some(survivors + from,
                         std::min<std::size_t>(DistanceBoundsOfSome::kCount, count - from));
    bounds_of_some(job.kernels, job.queries.probe(query), plane, rows.first, some, bounds);
    for (std::size_t i = 0; i < some.size(); ++i) {
      const float lower = bounds.lower[i];
      const float upper = bounds.upper[i];
      list.add(
          {lower, middle ? (lower + upper) / 2.0f : upper, rows.block, rows.first + some[i].row});
    }
  }
  if (count > 0) {
    list.tighten(job.queries.threshold(query));
  }
}

}  // namespace

void CoarsePass::rows_in_order(const CoarseJob& job, const Piece& piece, const Group& queries,
                               const std::int8_t* panels, bool middle,
                               std::vector<BoundList>& lists) {
  // For one query, rows that are eligible count; of several, all rows have their places.
  const std::uint32_t sparse =
      queries.count == 1 ? rows_per_eligible(job.request, queries.mask, piece.block) : 1;
  // A scan that has a threshold already need not start small.
  const bool open = std::isinf(job.queries.threshold(queries.first).get());
  std::uint32_t step = sparse * (open ? kRowsFirst : kRowsMax);
  for (std::uint32_t done = 0; done < piece.rows;) {
    const Piece part{piece.block, piece.first + done, std::min(step, piece.rows - done), false};
    group(job, part, queries, panels, middle, lists);
    done += part.rows;
    step = std::min(step * 2, sparse * kRowsMax);
  }
}

void CoarsePass::group(const CoarseJob& job, const Piece& part, const Group& queries,
                       const std::int8_t* panels, bool middle, std::vector<BoundList>& lists) {
  const std::uint64_t* const words =
      job.request.masks[queries.mask].words[part.block] + part.first / kTileRows;
  if (queries.count == 1) {
    one(job, part, queries.first, words, job.queries.limit(queries.first), middle,
        lists[queries.first]);
    return;
  }
  limits_.resize(kCoarseQueries);
  found_.resize(kCoarseQueries);
  survivors_.resize(std::max(survivors_.size(), std::size_t{queries.count} * kRowsMax));
  for (std::uint32_t q = 0; q < queries.count; ++q) {
    limits_[q] = job.queries.limit(queries.first + q);
  }
  const CoarseBatch batch{panels,
                          limits_.data(),
                          queries.count,
                          survivors_.data(),
                          kRowsMax,
                          found_.data(),
                          job.queries.codes(queries.first)};
  const bool l2 = job.request.shape.metric == Metric::l2;
  (l2 ? job.kernels.batch_l2 : job.kernels.batch_dot)(rows_of(job, part, words), batch);
  for (std::uint32_t q = 0; q < queries.count; ++q) {
    take(job, part, queries.first + q, &survivors_[std::size_t{q} * kRowsMax], found_[q], middle,
         lists[queries.first + q]);
  }
}

void CoarsePass::one(const CoarseJob& job, const Piece& piece, std::uint32_t query,
                     const std::uint64_t* eligible, const CoarseLimit& limit, bool middle,
                     BoundList& list) {
  survivors_.resize(std::max<std::size_t>(survivors_.size(), piece.rows));
  const bool l2 = job.request.shape.metric == Metric::l2;
  const std::uint32_t found = (l2 ? job.kernels.one_l2 : job.kernels.one_dot)(
      rows_of(job, piece, eligible), job.queries.codes(query), limit, survivors_.data());
  take(job, piece, query, survivors_.data(), found, middle, list);
}

void CoarsePass::chosen_rows(const CoarseJob& job, const Piece& piece, std::uint32_t query,
                             const std::uint64_t* chosen, BoundList& list) {
  one(job, piece, query, chosen, job.queries.limit(query), false, list);
}

void CoarsePass::ask_for(const CoarseJob& job, const Piece& piece, std::uint32_t row) {
  const CoarsePlane& plane = *job.request.blocks[piece.block].block->coarse();
  const std::size_t stride = job.queries.stride();
  const std::uint8_t* const codes = plane.codes() + std::size_t{piece.first + row} * stride;
  for (std::size_t i = 0; i < std::min(stride, kAskedBytes); i += 64) {
    __builtin_prefetch(codes + i, 0, kSecondLevel);
  }
}

void CoarsePass::seed_rows(const CoarseJob& job, const Piece& piece, std::uint32_t query,
                           const std::uint64_t* chosen, bool middle, BoundList& list) {
  CoarseLimit all = job.queries.probe(query).limit;
  all.reach = reach_of(job.queries.probe(query), std::numeric_limits<float>::infinity());
  one(job, piece, query, chosen, all, middle, list);
}

}  // namespace vecserve::engine
