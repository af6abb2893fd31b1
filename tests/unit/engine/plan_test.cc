// Checks engine/plan: how many threads a scan is worth and how many candidates are asked for.
// Single-threaded.
// Always holds: expected numbers follow from the costs that plan.cc states.
#include "engine/plan.h"

#include <catch2/catch.hpp>
#include <cstdint>

#include "engine/base/limits.h"

namespace {

using namespace vecserve::engine;

std::uint32_t threads(std::uint64_t rows, std::uint64_t bytes, std::uint32_t queries,
                      std::uint32_t most) {
  return plan_search({rows, bytes, queries, most}).threads;
}

TEST_CASE("plan: small scans stay on the caller's thread", "[engine]") {
  CHECK(threads(0, 512, 1, 16) == 1);
  CHECK(threads(1'000, 512, 1, 16) == 1);
  CHECK(threads(1'000'000, 512, 0, 16) <= 16);
  CHECK(threads(0, 0, 0, 0) == 1);
}

TEST_CASE("plan: one thread for each four mebibytes, up to what there is", "[engine]") {
  CHECK(threads(16'383, 512, 1, 16) == 1);
  CHECK(threads(16'384, 512, 1, 16) == 2);
  CHECK(threads(32'768, 512, 1, 16) == 4);
  CHECK(threads(1'000'000, 512, 1, 16) == 16);
  CHECK(threads(1'000'000, 512, 1, 1) == 1);
}

TEST_CASE("plan: queries of a batch count once for every four", "[engine]") {
  CHECK(threads(8'192, 512, 4, 64) == 1);
  CHECK(threads(8'192, 512, 5, 64) == 2);
  CHECK(threads(8'192, 512, 8, 64) == 2);
  CHECK(threads(8'192, 512, 64, 64) == 16);
}

TEST_CASE("plan: candidates lie anywhere, each costs as much as four rows in turn", "[engine]") {
  CHECK(plan_rescore(0, 512, 16).threads == 1);
  CHECK(plan_rescore(4'095, 512, 16).threads == 1);
  CHECK(plan_rescore(4'096, 512, 16).threads == 2);
  CHECK(plan_rescore(1'000'000, 512, 16).threads == 16);
  CHECK(plan_rescore(1'000'000, 512, 1).threads == 1);
}

TEST_CASE("plan: the largest request there can be does not overflow", "[engine]") {
  CHECK(threads(limits::slots_max / 65'536, 65'536 * 4, limits::queries_max, 256) >= 1);
}

TEST_CASE("plan: more candidates are wanted than answers, for every k", "[engine]") {
  CHECK(candidates_wanted(1) == 9);
  CHECK(candidates_wanted(10) == 19);
  CHECK(candidates_wanted(1'000) == 1'133);
  CHECK(candidates_wanted(limits::range_rows_max + 1) > limits::range_rows_max + 1);
  CHECK(candidates_wanted(UINT32_MAX) == UINT32_MAX);
}

GraphPlan graph_plan(std::uint64_t rows, std::uint64_t tail, std::uint64_t eligible,
                     std::uint32_t ef) {
  return plan_graph({rows, tail, eligible, 3'136, ef});
}

TEST_CASE("plan: a graph is walked where that is less work than a scan", "[engine]") {
  CHECK(graph_plan(60'000, 0, 60'000, 20).walk);
  CHECK_FALSE(graph_plan(60'000, 0, 60'000, 20).filtered);
  CHECK(graph_plan(60'000, 0, 60'000, 20).steps_max > 1'000);
  CHECK_FALSE(graph_plan(200, 0, 200, 20).walk);
  CHECK_FALSE(graph_plan(60'000, 0, 60'000, 50'000).walk);
  CHECK_FALSE(graph_plan(60'000, 60'000, 60'000, 20).walk);
  CHECK(graph_plan(1'000'000, 1'000, 990'000, 100).walk);
}

TEST_CASE("plan: a filter is walked through while enough rows match", "[engine]") {
  const GraphPlan half = graph_plan(1'000'000, 0, 500'000, 50);
  CHECK(half.walk);
  CHECK(half.filtered);
  CHECK_FALSE(graph_plan(1'000'000, 0, 200, 50).walk);
  CHECK_FALSE(graph_plan(1'000'000, 0, 0, 50).walk);
}

TEST_CASE("plan: a filtered walk costs what it takes to leave what does not match") {
  // Vectors of 3,136 bytes, a beam of 20: half of 60,000 is walked, a tenth of them scanned.
  CHECK(graph_plan(60'000, 0, 30'000, 20).walk);
  CHECK_FALSE(graph_plan(60'000, 0, 6'000, 20).walk);
  CHECK_FALSE(graph_plan(60'000, 0, 600, 20).walk);
  CHECK_FALSE(graph_plan(60'000, 0, 60, 20).walk);
  // Of ten million a tenth is worth a walk, a thousandth is not.
  CHECK(graph_plan(10'000'000, 0, 1'000'000, 20).walk);
  CHECK_FALSE(graph_plan(10'000'000, 0, 10'000, 20).walk);
  // Dead rows that wait to be linked do not narrow it.
  CHECK_FALSE(graph_plan(7'000, 1'000, 6'000, 20).filtered);
  CHECK(graph_plan(7'000, 0, 6'000, 20).filtered);
  // A wider beam takes longer, the scan does not.
  CHECK_FALSE(graph_plan(60'000, 0, 30'000, 400).walk);
  // The walk is given up when it takes as long as both ways together would.
  const GraphPlan plan = graph_plan(60'000, 0, 30'000, 20);
  CHECK(plan.steps_max >= 12 + 20 * 2);
  CHECK(plan.steps_max < 2'000);
}

}  // namespace
