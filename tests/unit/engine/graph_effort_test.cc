// Checks engine/graph_effort: that effort is measured once a graph is there, with rows first and
// with queries when there are enough, and not again while it holds. Passes are run here alone, by
// the test's thread. Always holds: measuring counts no searches.
#include "engine/graph_effort.h"

#include <catch2/catch.hpp>

#include "engine/graph_keeper.h"
#include "engine/search.h"
#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 16;
#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint64_t kRows = 6'000;
#else
constexpr std::uint64_t kRows = 12'000;
#endif

std::vector<float> vector_of(std::uint64_t id) {
  Dice dice(id);
  std::vector<float> vector(kDim);
  for (float& value : vector) value = static_cast<float>(dice.below(1000)) * 0.01f;
  return vector;
}

CorePtr make_collection(Engine& engine) {
  CollectionOptions options;
  options.dim = kDim;
  return engine.create("c", options);
}

std::vector<OwnedRow> first_rows() {
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < kRows; ++id) rows.push_back({id, vector_of(id)});
  return rows;
}

// Until its keeper has nothing left to do.
void keep_until_done(const CorePtr& core) {
  for (;;) {
    const Result<bool> more = keep_graph(core, 1, [] { return false; });
    REQUIRE(more.ok());
    if (!*more) return;
  }
}

TEST_CASE("graph effort: measured with rows, then with queries, then left alone") {
  Engine engine(Engine::quiet(), 1, nullptr, true);
  const CorePtr core = make_collection(engine);
  REQUIRE(upsert(core, first_rows()).ok());
  core->graphs.wanted = true;
  keep_until_done(core);
  const auto by_rows = core->graphs.effort();
  REQUIRE(by_rows != nullptr);
  CHECK(core->tallies.searches.load() == 0);
  double before = 0.0;
  for (const EffortPoint& point : by_rows->points()) {
    CHECK(point.recall >= before);
    before = point.recall;
  }
  CHECK(before > 0.95);

  SearchOptions near;
  near.recall = 0.9;
  for (std::uint64_t q = 0; q < 300; ++q) {
    const std::vector<float> vector = vector_of(100'000 + q);
    const Query query(vector);
    SearchResult result;
    REQUIRE(search_collection(*core, {&query, 1}, near, result).ok());
  }
  CHECK(core->graphs.queries.seen() == 300);
  // A step of the measurement, and no row that comes waits for the next ones.
  for (std::uint64_t id = kRows; id < kRows + 3; ++id) {
    REQUIRE(upsert(core, {{id, vector_of(id)}}).ok());
    CHECK(core->graphs.tail() == 1);
    REQUIRE(keep_graph(core, 1, [] { return false; }).ok());
    CHECK(core->graphs.tail() == 0);
    REQUIRE(keep_graph(core, 1, [] { return false; }).ok());
    CHECK(core->graphs.effort() == by_rows);
  }
  keep_until_done(core);
  CHECK(core->graphs.effort() != by_rows);
  const std::lock_guard lock(core->graphs.keeping_mutex);
  CHECK(core->graphs.keeping.from_queries);
  CHECK(core->tallies.searches.load() == 300);
  const auto by_queries = core->graphs.effort();
  const Result<bool> again = keep_effort(*core, *core->graphs.graph(), [] { return false; });
  REQUIRE(again.ok());
  CHECK_FALSE(*again);
  CHECK(core->graphs.effort() == by_queries);
}

TEST_CASE("graph effort: measured again when as many queries were seen as are kept") {
  Engine engine(Engine::quiet(), 1, nullptr, true);
  const CorePtr core = make_collection(engine);
  REQUIRE(upsert(core, first_rows()).ok());
  core->graphs.wanted = true;
  RecentQueries& queries = core->graphs.queries;
  const auto see = [&queries](std::uint64_t until) {
    while (queries.seen() < until) queries.keep(vector_of(100'000 + queries.seen()));
  };
  see(300);
  keep_until_done(core);
  const auto by_few = core->graphs.effort();
  see(RecentQueries::kKept - 1);
  keep_until_done(core);
  CHECK(core->graphs.effort() == by_few);
  see(RecentQueries::kKept);
  keep_until_done(core);
  const auto by_all = core->graphs.effort();
  CHECK(by_all != by_few);
  see(2 * RecentQueries::kKept);
  keep_until_done(core);
  CHECK(core->graphs.effort() == by_all);
}

TEST_CASE("graph effort: a few queries that are easy do not speak for those that follow") {
  Engine engine(Engine::quiet(), 1, nullptr, true);
  const CorePtr core = make_collection(engine);
  std::vector<OwnedRow> rows = first_rows();
  // Far from all others: whoever asks here finds just these.
  const auto apart = [](std::uint64_t i) {
    return std::vector<float>(kDim, 100.0f + 0.01f * static_cast<float>(i));
  };
  for (std::uint64_t i = 0; i < 10; ++i) rows.push_back({kRows + i, apart(i)});
  REQUIRE(upsert(core, rows).ok());
  core->graphs.wanted = true;
  for (std::uint64_t q = 0; q < 8; ++q) core->graphs.queries.keep(apart(q));
  for (std::uint64_t q = 0; q < 292; ++q) core->graphs.queries.keep(vector_of(100'000 + q));
  keep_until_done(core);
  const auto effort = core->graphs.effort();
  REQUIRE(effort != nullptr);
  REQUIRE(effort->points().size() > 1);
  CHECK(effort->points().front().recall < 0.99);
  CHECK(effort->points().back().recall > effort->points().front().recall);
}

}  // namespace
