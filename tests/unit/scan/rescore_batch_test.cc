// Checks engine/scan/rescore_batch against rescore, query by query: one thread and several, many
// blocks, empty ones, mixed k, bounds that say much or nothing, and stopping. The pool's
// threads. Always holds: rows come from a seed that is printed with a failure.
#include "engine/scan/rescore_batch.h"

#include <catch2/catch.hpp>
#include <limits>
#include <memory>
#include <random>

#include "tests/support/dice.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr std::uint32_t kDim = 16;
constexpr double kInf = std::numeric_limits<double>::infinity();

// Blocks of f32 rows with small whole coordinates, so that distances tie.
struct Case {
  Case(std::uint64_t seed, const std::vector<std::uint32_t>& rows_of_blocks, std::size_t count)
      : dice(seed), shape(RowShape::make(Metric::l2, ScalarType::f32, kDim)) {
    std::uint64_t id = 0;
    for (const std::uint32_t rows : rows_of_blocks) {
      own.push_back(std::make_unique<RowBlock>(shape));
      for (std::uint32_t i = 0; i < rows; ++i, ++id) {
        const std::vector<float> row = drawn();
        static_cast<void>(own.back()->append(id, IdView(RowId(id * 7919 % 100'003)),
                                             reinterpret_cast<const std::byte*>(row.data()), 0));
      }
      blocks.push_back({own.back().get(), rows});
    }
    vectors.resize(count);
    for (auto& vector : vectors) {
      vector = drawn();
      ScanQuery query;
      query.f32 = vector.data();
      query.limit = kInf;
      queries.push_back(query);
    }
  }

  std::vector<float> drawn() {
    std::vector<float> vector(kDim);
    for (float& x : vector) x = static_cast<float>(dice.below(4));
    return vector;
  }

  // About so many percent of all rows for each query, with bounds up to `slack` below the distance.
  void propose(std::uint64_t percent, double slack) {
    candidates.assign(queries.size(), {});
    for (std::size_t q = 0; q < queries.size(); ++q) {
      candidates[q].floor = kInf;
      for (std::uint32_t b = 0; b < blocks.size(); ++b) {
        for (std::uint32_t row = 0; row < blocks[b].count; ++row) {
          if (!dice.percent(percent)) continue;
          double distance = 0.0;
          const auto* const x = reinterpret_cast<const float*>(blocks[b].block->vector(row));
          for (std::uint32_t i = 0; i < kDim; ++i) {
            distance += double{vectors[q][i] - x[i]} * double{vectors[q][i] - x[i]};
          }
          candidates[q].list.push_back(
              {distance - slack * static_cast<double>(dice.below(100)) / 100.0, b, row});
        }
      }
    }
  }

  // Every query by itself, then all together: the same rows in the same order.
  void compare(WorkerPool& pool, std::uint32_t threads) {
    std::vector<QueryCandidates> copy = candidates;
    std::vector<std::vector<Scored>> best(queries.size());
    std::vector<Decision> decisions(queries.size());
    BatchRescore together;
    for (int again = 0; again < 2; ++again) {  // with memory that is used already
      copy = candidates;
      REQUIRE(together.run({shape, blocks, queries, wanted, copy, never, threads, again == 1}, pool,
                           best, decisions));
      CHECK((together.busy_ns() > 0) == (again == 1 && !queries.empty()));
    }
    for (std::size_t q = 0; q < queries.size(); ++q) {
      CAPTURE(q, wanted[q], threads);
      QueryCandidates mine = candidates[q];
      std::vector<Scored> expected;
      std::vector<Candidate> spare;
      const Decision decision =
          rescore(shape, blocks, queries[q], wanted[q], mine, spare, expected);
      CHECK(decisions[q].certified == decision.certified);
      CHECK(decisions[q].limit == decision.limit);
      REQUIRE(best[q].size() == expected.size());
      for (std::size_t i = 0; i < expected.size(); ++i) {
        REQUIRE(best[q][i].distance == expected[i].distance);
        REQUIRE(best[q][i].block == expected[i].block);
        REQUIRE(best[q][i].position == expected[i].position);
      }
    }
  }

  test::Dice dice;
  RowShape shape;
  std::vector<std::unique_ptr<RowBlock>> own;
  std::vector<ScanBlock> blocks;
  std::vector<std::vector<float>> vectors;
  std::vector<ScanQuery> queries;
  std::vector<std::uint32_t> wanted;
  std::vector<QueryCandidates> candidates;
  StopCheck never;
};

TEST_CASE("rescore batch: what each query gets by itself, many of them over the same rows",
          "[scan]") {
  const std::uint64_t seed = 5;
  CAPTURE(seed);
  WorkerPool pool(3);
  Case rows(seed, {700, 1, 0, 900}, 40);
  for (const double slack : {0.0, 3.0, 1'000.0}) {
    rows.propose(60, slack);
    rows.wanted.assign(40, 300);
    rows.compare(pool, 1);
    rows.compare(pool, 3);
  }
}

TEST_CASE("rescore batch: k that differ, k of 0, more than there are, and a single query",
          "[scan]") {
  const std::uint64_t seed = 6;
  CAPTURE(seed);
  WorkerPool pool(2);
  Case rows(seed, {300, 300}, 12);
  rows.propose(50, 5.0);
  rows.wanted = {1, 10, 0, 100, 250, 600, 5'000, 2, 3, 299, 300, 128};
  rows.queries[4].limit = 12.0;  // a range
  rows.candidates[5].list.clear();
  rows.candidates[6].floor = 20.0;  // of which not all was seen
  rows.compare(pool, 1);
  rows.compare(pool, 2);
  // So few that hardly any row is asked for twice.
  rows.wanted.assign(12, 2);
  rows.propose(50, 5.0);
  rows.compare(pool, 1);
  rows.compare(pool, 2);
  Case one(seed, {500}, 1);
  one.propose(90, 5.0);
  one.wanted = {200};
  one.compare(pool, 2);
  Case none(seed, {500}, 0);
  none.compare(pool, 2);
}

TEST_CASE("rescore batch: a batch that is cancelled says so", "[scan]") {
  const std::uint64_t seed = 7;
  CAPTURE(seed);
  WorkerPool pool(2);
  Case rows(seed, {400}, 8);
  rows.propose(80, 5.0);
  rows.wanted.assign(8, 200);
  CancelToken token;
  token.cancel();
  const StopCheck stop(kNoDeadline, &token);
  std::vector<std::vector<Scored>> best(8);
  std::vector<Decision> decisions(8);
  BatchRescore together;
  for (const std::uint32_t threads : {1U, 2U}) {
    CHECK_FALSE(together.run(
        {rows.shape, rows.blocks, rows.queries, rows.wanted, rows.candidates, stop, threads}, pool,
        best, decisions));
  }
}

}  // namespace
