// Checks engine/search against the oracle: k-nearest and ranges, filters and k per query, limits,
// deadlines and cancellation, re-runs on ties, and what a search counts. Single-threaded.
// Always holds: every answer of a search here is certified.
#include "engine/search.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/brute_force.h"
#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

using Ids = std::vector<RowId>;

Ids ids_of(const SearchResult& result, std::size_t query) {
  Ids ids;
  for (const Neighbor& neighbor : result.of(query)) ids.push_back(neighbor.id);
  return ids;
}

SearchResult search(const CorePtr& core, const std::vector<Query>& queries,
                    const SearchOptions& options = {}) {
  SearchResult result;
  const Status status = search_collection(*core, queries, options, result);
  INFO(status.to_string());
  REQUIRE(status.ok());
  REQUIRE(result.query_count() == queries.size());
  for (const std::uint8_t certified : result.certified) CHECK(certified == 1);
  return result;
}

SearchResult range(const CorePtr& core, const std::vector<Query>& queries,
                   const RangeSearchOptions& options) {
  SearchResult result;
  REQUIRE(range_search_collection(*core, queries, options, result).ok());
  return result;
}

// Rows 0 to 9 at (id, 0); even ones have n = 0, odd ones n = 1.
CorePtr ruler(Engine& engine) {
  const CorePtr core = engine.create("ruler");
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < 10; ++id) {
    rows.emplace_back(id, std::vector<float>{static_cast<float>(id), 0},
                      id % 2 == 0 ? R"({"n": 0})" : R"({"n": 1})");
  }
  REQUIRE(upsert(core, rows).ok());
  return core;
}

TEST_CASE("search: the nearest rows with their distances, ties by id", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {4.5f, 0};
  SearchOptions options;
  options.k = 4;
  const SearchResult result = search(core, {Query(x)}, options);
  CHECK(ids_of(result, 0) == Ids{4, 5, 3, 6});
  CHECK(result.neighbors[0].distance == 0.25);
  CHECK(result.neighbors[2].distance == 2.25);
  CHECK(result.neighbors[0].payload.empty());
  CHECK(result.neighbors[0].vector.dim() == 0);
  CHECK(result.rows_visible == 10);
  CHECK(result.backend == engine.runtime->lanes.backend());
  CHECK(core->tallies.searches == 1);
}

TEST_CASE("search: an explained one tells the time in each plane, others do not", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {4.5f, 0};
  SearchOptions options;
  options.k = 4;
  SearchResult result = search(core, {Query(x)}, options);
  CHECK(result.times.full_ns + result.times.coarse_ns + result.times.sketch_ns == 0);
  CHECK(result.reads.full >= 4);
  options.explain = true;
  for (int again = 0; again < 2; ++again) {
    REQUIRE(search_collection(*core, std::vector<Query>{Query(x)}, options, result).ok());
    CHECK(result.times.full_ns > 0);
    CHECK(result.times.sketch_ns == 0);
    CHECK(result.times.graph_ns == 0);
    // One thread: planes are read within the stages.
    CHECK(result.times.full_ns + result.times.coarse_ns <=
          result.stages.scan_ns + result.stages.rescore_ns);
  }
  options.explain = false;
  const std::uint64_t full_before = core->tallies.read_full;
  CHECK(full_before >= 3 * 4);  // of all three searches
  REQUIRE(search_collection(*core, std::vector<Query>{Query(x)}, options, result).ok());
  CHECK(result.times.full_ns == 0);
  CHECK(core->tallies.read_full == full_before + result.reads.full);
  RangeSearchOptions within;
  within.radius = 5.0;
  CHECK(range(core, {Query(x)}, within).times.full_ns == 0);
  within.explain = true;
  CHECK(range(core, {Query(x)}, within).times.full_ns > 0);
}

TEST_CASE("search: k larger than the collection gives all of it", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {0, 0};
  SearchOptions options;
  for (const std::uint32_t k : {10u, 11u, 65'536u}) {
    options.k = k;
    CHECK(ids_of(search(core, {Query(x)}, options), 0) == Ids{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  }
}

TEST_CASE("search: an empty collection and an empty batch", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::vector<float> x = {0, 0};
  const SearchResult none = search(core, {Query(x), Query(x)});
  CHECK(none.neighbors.empty());
  CHECK(none.offsets == std::vector<std::size_t>{0, 0, 0});
  const SearchResult empty = search(ruler(engine), {});
  CHECK(empty.query_count() == 0);
  CHECK(empty.offsets == std::vector<std::size_t>{0});
  CHECK(range(core, {}, {}).query_count() == 0);
}

TEST_CASE("search: each query of a batch has its own k and filter, or the batch's", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {2, 0};
  std::vector<Query> queries(5, Query(x));
  queries[1].k = 1;
  queries[2].filter = ".n == 1";
  queries[3].filter = "";
  queries[3].k = 5;
  queries[4].filter = ".n == 7";
  SearchOptions options;
  options.k = 2;
  options.filter = ".n == 0";
  const SearchResult result = search(core, queries, options);
  CHECK(ids_of(result, 0) == Ids{2, 0});
  CHECK(ids_of(result, 1) == Ids{2});
  CHECK(ids_of(result, 2) == Ids{1, 3});
  CHECK(ids_of(result, 3) == Ids{2, 1, 3, 0, 4});
  CHECK(ids_of(result, 4).empty());
}

TEST_CASE("search: a lane that served many filters of a small collection serves a large one",
          "[engine]") {
  Engine engine;
  const CorePtr small = ruler(engine);
  const std::vector<float> x = {1, 0};
  std::vector<Query> queries(3, Query(x));
  queries[1].filter = ".n == 0";
  queries[2].filter = ".n == 1";
  CHECK(search(small, queries).of(2).size() == 5);
  CollectionOptions wide;
  wide.dim = 16'384;  // 64 rows to a block: several of them
  const CorePtr large = engine.create("large", wide);
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < 200; ++id) {
    rows.emplace_back(id, std::vector<float>(wide.dim, static_cast<float>(id)));
  }
  REQUIRE(upsert(large, rows).ok());
  const std::vector<float> y(wide.dim, 150.0f);
  SearchOptions options;
  options.k = 3;
  CHECK(ids_of(search(large, {Query(y)}, options), 0) == Ids{150, 149, 151});
}

TEST_CASE("search: one result object serves many searches", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {0, 0};
  SearchResult result;
  SearchOptions options;
  options.with_payload = true;
  options.with_vector = true;
  const std::vector<Query> both = {Query(x), Query(x)};
  REQUIRE(search_collection(*core, both, options, result).ok());
  CHECK(result.neighbors[1].payload == R"({"n": 1})");
  CHECK(result.neighbors[1].vector.to_floats() == std::vector<float>{1, 0});
  options = {};
  options.k = 1;
  REQUIRE(search_collection(*core, std::span(both).first(1), options, result).ok());
  CHECK(result.neighbors.size() == 1);
  CHECK(result.certified.size() == 1);
  CHECK(result.truncated.size() == 1);
  CHECK(result.neighbors[0].payload.empty());
  CHECK(result.neighbors[0].vector.dim() == 0);
}

TEST_CASE("search: rows that are dead or expired are never found", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  REQUIRE(upsert(core, {{3, {3, 0}, std::nullopt, 10}, {4, {100, 0}}}).ok());
  REQUIRE(erase(core, {5}).ok());
  const std::vector<float> x = {4, 0};
  SearchOptions options;
  options.k = 2;
  CHECK(ids_of(search(core, {Query(x)}, options), 0) == Ids{3, 2});
  engine.clock.advance(std::chrono::milliseconds(10));
  CHECK(ids_of(search(core, {Query(x)}, options), 0) == Ids{2, 6});
}

TEST_CASE("search: a range has every row within, up to its limit, and says when there were more",
          "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const std::vector<float> x = {5, 0};
  RangeSearchOptions options;
  options.radius = 4.0;  // squared: two steps to each side
  std::vector<Query> queries = {Query(x), Query(x)};
  queries[0].k = 1;  // ignored
  queries[1].filter = ".n == 1";
  const SearchResult all = range(core, queries, options);
  CHECK(ids_of(all, 0) == Ids{5, 4, 6, 3, 7});
  CHECK(ids_of(all, 1) == Ids{5, 3, 7});
  CHECK(all.truncated == std::vector<std::uint8_t>{0, 0});
  options.limit = 3;
  const SearchResult some = range(core, queries, options);
  CHECK(ids_of(some, 0) == Ids{5, 4, 6});
  CHECK(ids_of(some, 1) == Ids{5, 3, 7});
  CHECK(some.truncated == std::vector<std::uint8_t>{1, 0});
  options.limit = 5;
  CHECK(range(core, queries, options).truncated[0] == 0);
  options.radius = 0.0;
  CHECK(ids_of(range(core, queries, options), 0) == Ids{5});
  options.radius = -1.0;
  CHECK(ids_of(range(core, queries, options), 0).empty());
  options.radius = std::numeric_limits<double>::infinity();
  options.limit = 10'000'000;
  CHECK(ids_of(range(core, queries, options), 0).size() == 10);
}

TEST_CASE("search: a deadline that has passed and a cancelled token end it", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  const CorePtr empty = engine.create("empty");
  const std::vector<float> x = {0, 0};
  const std::vector<Query> queries = {Query(x)};
  SearchResult result;
  SearchOptions options;
  options.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  for (const CorePtr& any : {core, empty}) {
    CHECK(search_collection(*any, queries, options, result).code() ==
          StatusCode::deadline_exceeded);
  }
  auto token = std::make_shared<CancelToken>();
  options.cancel = token;
  token->cancel();
  // The caller's own wish is named first.
  CHECK(search_collection(*core, queries, options, result).code() == StatusCode::cancelled);
  RangeSearchOptions ranged;
  ranged.cancel = token;
  CHECK(range_search_collection(*core, queries, ranged, result).code() == StatusCode::cancelled);
  ranged.cancel = nullptr;
  ranged.deadline = options.deadline;
  CHECK(range_search_collection(*core, queries, ranged, result).code() ==
        StatusCode::deadline_exceeded);
  options.cancel = std::make_shared<CancelToken>();
  options.deadline = std::chrono::steady_clock::now() + std::chrono::hours(1);
  CHECK(search_collection(*core, queries, options, result).ok());
  CHECK(core->tallies.searches == 1);
}

TEST_CASE("search: bad input is refused under its name", "[engine]") {
  Engine engine;
  const CorePtr core = ruler(engine);
  SearchResult result;
  const auto field = [&](const std::vector<Query>& queries, const SearchOptions& options = {}) {
    const Status status = search_collection(*core, queries, options, result);
    CHECK(status.code() == StatusCode::invalid_argument);
    return status.field();
  };
  const std::vector<float> x = {0, 0};
  const std::vector<float> three = {0, 0, 0};
  const std::vector<float> infinite = {0, std::numeric_limits<float>::infinity()};
  CHECK(field({Query(x), Query(three)}) == "vector");
  CHECK(field({Query(infinite)}) == "vector");
  CHECK(field({Query()}) == "vector");
  Query query(x);
  query.k = 65'537;
  CHECK(field({query}) == "k");
  query.k = 0;
  query.filter = ".n ==";
  CHECK(field({query}) == "filter");
  SearchOptions options;
  options.k = 0;
  CHECK(field({Query(x)}, options) == "k");
  options.k = 1;
  options.filter = "(";
  CHECK(field({Query(x)}, options) == "filter");
  CHECK(field(std::vector<Query>(65'537, Query(x))) == "queries");
}

TEST_CASE("search: rows that all tie are decided by id, at the price of a re-run", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  std::vector<OwnedRow> rows;
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    rows.emplace_back(20'000 - i, std::vector<float>{1, 1});
  }
  REQUIRE(upsert(core, rows).ok());
  const std::vector<float> x = {0, 0};
  SearchOptions options;
  options.k = 3;
  const SearchResult result = search(core, {Query(x), Query(x)}, options);
  CHECK(ids_of(result, 0) == Ids{1, 2, 3});
  CHECK(ids_of(result, 1) == Ids{1, 2, 3});
  CHECK(result.reruns == 2);
  CHECK(core->tallies.search_reruns == 2);
}

TEST_CASE("search: agrees with the oracle for every metric over random rows", "[engine]") {
  const std::uint64_t seed = 77;
  CAPTURE(seed);
  Dice dice(seed);
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine, Metric::l1}) {
    CAPTURE(to_string(metric));
    Engine engine;
    CollectionOptions options;
    options.dim = 7;
    options.metric = metric;
    const CorePtr core = engine.create("rows", options);
    const auto draw = [&] {
      std::vector<float> x(7);
      for (float& value : x) value = static_cast<float>(dice.below(33)) - 16.0f;
      x[0] += 40.0f;  // never zero
      return x;
    };
    std::vector<OwnedRow> rows;
    std::vector<OracleRow> truth;
    for (std::uint64_t id = 0; id < 700; ++id) {
      rows.emplace_back(id, draw());
      truth.push_back({id, rows.back().vector});
    }
    REQUIRE(upsert(core, rows).ok());
    std::vector<std::vector<float>> vectors;
    for (int q = 0; q < 40; ++q) vectors.push_back(draw());
    const std::vector<Query> queries(vectors.begin(), vectors.end());
    const SearchResult result = search(core, queries);
    for (std::size_t q = 0; q < queries.size(); ++q) {
      const auto expected = oracle_nearest(metric, truth, vectors[q], 10);
      REQUIRE(result.of(q).size() == 10);
      for (std::size_t i = 0; i < 10; ++i) {
        const Neighbor& found = result.of(q)[i];
        if (metric != Metric::cosine) REQUIRE(found == expected[i]);
        REQUIRE(found.distance == Approx(expected[i].distance).margin(1e-12));
      }
    }
  }
}

}  // namespace
