// Checks engine/graph_keeper: when a graph is begun, that the watermark moves over all rows, that
// new rows are found before and after they are linked, that dead ones go, and that filters and
// every metric work. Passes are run here, beside those of the database's own thread. Always holds:
// answers are compared with the exact ones of the same collection.
#include "engine/graph_keeper.h"

#include <catch2/catch.hpp>

#include "engine/search.h"
#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 24;

// As few as a walk is worth it for, with a wide beam and with a narrow one.
constexpr std::uint64_t kMany = 8'000;
constexpr std::uint64_t kFew = 5'000;
#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint64_t kLive = 6'000;
constexpr int kRounds = 2;
constexpr float kApart[] = {250.0f};
#else
constexpr std::uint64_t kLive = 12'000;
constexpr int kRounds = 6;
constexpr float kApart[] = {150.0f, 250.0f, 1'000.0f};
#endif

CollectionOptions small(Metric metric = Metric::l2) {
  CollectionOptions options;
  options.dim = kDim;
  options.metric = metric;
  options.fields = {{"n", FieldType::number}};
  return options;
}

std::vector<float> vector_of(std::uint64_t id) {
  Dice dice(id);
  std::vector<float> vector(kDim);
  for (float& value : vector) value = static_cast<float>(dice.below(1000)) * 0.01f;
  const std::uint64_t cluster = id % 17;
  for (std::uint32_t i = 0; i < kDim; ++i) {
    vector[i] += static_cast<float>((cluster * (i + 3)) % 29);
  }
  return vector;
}

void add(const CorePtr& core, std::uint64_t first, std::uint64_t count) {
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = first; id < first + count; ++id) {
    rows.push_back({id, vector_of(id), "{\"n\":" + std::to_string(id % 100) + "}", 0});
  }
  REQUIRE(upsert(core, rows).ok());
}

void settle(const CorePtr& core) {
  for (;;) {
    const Result<bool> more = keep_graph(core, 2, [] { return false; });
    REQUIRE(more.ok());
    if (!*more) return;
  }
}

SearchResult ask(const CorePtr& core, const std::vector<Query>& queries, SearchOptions options) {
  SearchResult result;
  REQUIRE(search_collection(*core, queries, options, result).ok());
  return result;
}

double recall(const CorePtr& core, SearchOptions options, std::string_view backend = "graph/") {
  std::vector<std::vector<float>> vectors;
  for (std::uint64_t q = 0; q < 50; ++q) vectors.push_back(vector_of(1'000'000 + q));
  const std::vector<Query> queries(vectors.begin(), vectors.end());
  const SearchResult found = ask(core, queries, options);
  CHECK(found.backend.substr(0, backend.size()) == backend);
  SearchOptions exactly = options;
  exactly.ef = 0;
  exactly.recall = 1.0;
  const SearchResult exact = ask(core, queries, exactly);
  std::size_t right = 0;
  std::size_t all = 0;
  for (std::size_t q = 0; q < queries.size(); ++q) {
    CHECK(found.certified[q] == (found.backend.starts_with("graph/") ? 0 : 1));
    CHECK(exact.certified[q] == 1);
    CHECK(found.of(q).size() == exact.of(q).size());
    for (const Neighbor& wanted : exact.of(q)) {
      ++all;
      for (const Neighbor& neighbor : found.of(q)) right += neighbor == wanted ? 1U : 0U;
    }
  }
  return static_cast<double>(right) / static_cast<double>(all);
}

SearchOptions with_ef(std::uint32_t ef) {
  SearchOptions options;
  options.ef = ef;
  return options;
}

TEST_CASE("graph keeper: no graph before somebody asks, nor for few rows") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, 500);
  settle(core);
  CHECK(core->graphs.graph() == nullptr);
  CHECK(recall(core, with_ef(50), "cpu/") == 1.0);
  settle(core);
  CHECK(core->graphs.graph() == nullptr);
}

TEST_CASE("graph keeper: other metrics than l2 are walked too, and nearly all is found") {
  for (const Metric metric : {Metric::dot, Metric::cosine}) {
    Engine engine;
    const CorePtr core = engine.create("c", small(metric));
    add(core, 0, kMany);
    core->graphs.wanted = true;
    settle(core);
    const auto graph = core->graphs.graph();
    REQUIRE(graph != nullptr);
    CHECK(graph->watermark.load() == kMany);
    CHECK(check_graph(*graph).orphans == 0);
    CHECK(recall(core, with_ef(80)) > 0.95);
  }
}

TEST_CASE("graph keeper: rows are found before they are linked, and dead ones never") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, kFew);
  core->graphs.wanted = true;
  settle(core);
  const std::lock_guard no_pass(core->graphs.keeping_mutex);
  add(core, 30'000, 300);
  std::vector<RowId> gone;
  for (std::uint64_t id = 0; id < 400; ++id) gone.emplace_back(id * 3);
  REQUIRE(erase(core, gone).ok());
  for (std::uint64_t id = 30'000; id < 30'300; id += 7) {
    const std::vector<float> vector = vector_of(id);
    const SearchResult result = ask(core, {Query(vector)}, with_ef(20));
    CHECK(result.backend.starts_with("graph/"));
    CHECK(result.neighbors[0].id == RowId(id));
  }
  for (std::uint64_t id = 0; id < 1'200; id += 3) {
    const std::vector<float> vector = vector_of(id);
    const SearchResult result = ask(core, {Query(vector)}, with_ef(20));
    for (const Neighbor& neighbor : result.neighbors) {
      CHECK((neighbor.id.number() >= 1'200 || neighbor.id.number() % 3 != 0));
    }
  }
}

TEST_CASE("graph keeper: rows come and go, and every live one finds itself") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, kLive);
  core->graphs.wanted = true;
  settle(core);
  std::uint64_t next = kLive;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<RowId> gone;
    for (std::uint64_t id = next - kLive; id < next - kLive * 3 / 4; ++id) gone.emplace_back(id);
    REQUIRE(erase(core, gone).ok());
    add(core, next, kLive / 4);
    next += kLive / 4;
    settle(core);
  }
  const auto graph = core->graphs.graph();
  const GraphCheck check = check_graph(*graph);
  CHECK(check.orphans == 0);
  CHECK(check.bad_links == 0);
  CHECK(graph->nodes() < kLive * 5 / 3);
  CHECK(graph->live() < kLive + 500);
  std::uint32_t missed = 0;
  for (std::uint64_t id = next - kLive; id < next; id += 3) {
    const std::vector<float> vector = vector_of(id);
    missed += ask(core, {Query(vector)}, with_ef(60)).neighbors[0].id == RowId(id) ? 0U : 1U;
  }
  CHECK(missed == 0);
  CHECK(recall(core, with_ef(60)) > 0.95);
}

// Spread over a slice of space at `at`: two slices far apart are two crowds.
std::vector<float> slice_vector(std::uint64_t id, float at) {
  Dice dice(id);
  std::vector<float> vector(kDim, 0.0f);
  vector[0] = at;
  for (std::uint32_t i = 12; i < kDim; ++i) vector[i] = static_cast<float>(dice.below(128));
  return vector;
}

void add_slice(const CorePtr& core, std::uint64_t first, std::uint64_t count, float at) {
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = first; id < first + count; ++id) {
    rows.push_back({id, slice_vector(id, at), "", 0});
  }
  REQUIRE(upsert(core, rows).ok());
}

TEST_CASE("graph keeper: walks find the way to a crowd of rows that came later, once linked") {
  for (const float apart : kApart) {
    CAPTURE(apart);
    Engine engine;
    const CorePtr core = engine.create("c", small());
    add_slice(core, 0, kFew, apart);
    core->graphs.wanted = true;
    settle(core);
    add_slice(core, 50'000, 150, 0.0f);
    do {
      REQUIRE(keep_graph(core, 2, [] { return false; }).ok());
    } while (core->graphs.tail() != 0);
    const std::lock_guard no_pass(core->graphs.keeping_mutex);
    std::uint32_t right = 0;
    constexpr std::uint32_t kQueries = 40;
    for (std::uint64_t q = 0; q < kQueries; ++q) {
      const std::vector<float> vector = slice_vector(90'000 + q, static_cast<float>(q));
      const SearchResult found = ask(core, {Query(vector)}, with_ef(24));
      CHECK(found.backend.starts_with("graph/"));
      const SearchResult exact = ask(core, {Query(vector)}, {});
      for (const Neighbor& neighbor : found.neighbors) {
        right += neighbor.distance <= exact.neighbors.back().distance ? 1U : 0U;
      }
    }
    CHECK(right >= kQueries * 10 * 0.97);
  }
}

TEST_CASE("graph keeper: rows that left the graph are still found by a search that began before") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, kFew);
  core->graphs.wanted = true;
  settle(core);
  // All nodes are taken out behind the back of the rows, as if these had been erased meanwhile.
  const auto graph = core->graphs.graph();
  Repair& repair = *core->graphs.keeping.repair;
  const std::lock_guard no_pass(core->graphs.keeping_mutex);
  repair.begin([](std::uint64_t slot) { return slot < 5; }, true);
  while (repair.busy()) repair.step(1'000);
  REQUIRE(graph->live() == 5);
  CHECK(recall(core, with_ef(20), "cpu/") == 1.0);
}

TEST_CASE("graph keeper: a collection that was emptied and filled again is walked like a new one") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, kFew);
  core->graphs.wanted = true;
  settle(core);
  std::vector<RowId> gone;
  for (std::uint64_t id = 0; id < kFew; ++id) gone.emplace_back(id);
  REQUIRE(erase(core, gone).ok());
  settle(core);
  const auto graph = core->graphs.graph();
  CHECK(graph->live() == 0);
  add(core, 20'000, kFew);
  settle(core);
  const GraphCheck check = check_graph(*graph);
  CHECK(check.live == kFew);
  CHECK(check.orphans == 0);
  std::uint32_t entries = 0;
  for (std::uint32_t i = 0; i < kEntries; ++i) entries += graph->entry(i) != kNoNode ? 1U : 0U;
  CHECK(entries > kHeads);
  CHECK(recall(core, with_ef(30)) > 0.85);
}

void check_target(const CorePtr& core) {
  REQUIRE(core->graphs.effort() != nullptr);
  SearchOptions options;
  options.recall = 0.9;
  CHECK(recall(core, options) > 0.85);
  const std::vector<float> one = vector_of(5);
  const SearchResult result = ask(core, {Query(one)}, options);
  CHECK(result.recall >= 0.89);
  CHECK(result.recall < 1.0);
  CHECK(result.reads.graph > 0);
}

void check_ranges(const CorePtr& core) {
  REQUIRE(core->graphs.graph() != nullptr);
  for (const std::uint64_t id : {3U, 4'001U, 90'000U}) {
    const std::vector<float> vector = vector_of(id);
    const Query query(vector);
    const SearchResult all = ask(core, {query}, [] {
      SearchOptions options;
      options.k = kFew;
      return options;
    }());
    RangeSearchOptions options;
    options.radius = all.neighbors[60].distance;
    options.limit = kFew;
    SearchResult result;
    REQUIRE(range_search_collection(*core, {&query, 1}, options, result).ok());
    CHECK(result.backend.starts_with("cpu/"));
    CHECK(result.certified[0] == 1);
    CHECK(result.recall == 1.0);
    REQUIRE(result.neighbors.size() >= 61);
    for (std::size_t i = 0; i < result.neighbors.size(); ++i) {
      CHECK(result.neighbors[i] == all.neighbors[i]);
    }
    CHECK(all.neighbors[result.neighbors.size()].distance > options.radius);
  }
}

void check_filters(const CorePtr& core) {
  for (const char* filter : {".n < 50", ".n < 10", ".n == 3", ".n > 1000"}) {
    CAPTURE(filter);
    SearchOptions options = with_ef(80);
    options.filter = filter;
    if (std::string_view(filter) == ".n > 1000") {
      const std::vector<float> one = vector_of(5);
      CHECK(ask(core, {Query(one)}, options).neighbors.empty());
    } else {
      CHECK(recall(core, options, "") > 0.95);
    }
  }
}

TEST_CASE("graph keeper: a target is met and told, ranges are exact, filters give what matches") {
  Engine engine;
  const CorePtr core = engine.create("c", small());
  add(core, 0, kMany);
  core->graphs.wanted = true;
  settle(core);
  check_target(core);
  check_ranges(core);
  check_filters(core);
}

// Rows wide enough that a walk through half of them costs less than the scan.
constexpr std::uint32_t kWide = 512;
#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint64_t kWideRows = 8'000;
constexpr std::uint64_t kWideQueries = 20;
#else
constexpr std::uint64_t kWideRows = 10'000;
constexpr std::uint64_t kWideQueries = 60;
#endif

// A few numbers that differ, seen in all coordinates.
std::vector<float> wide_vector_of(std::uint64_t id) {
  Dice dice(id * 31 + 7);
  std::vector<float> vector(kWide);
  for (std::uint32_t factor = 1; factor <= 6; ++factor) {
    const auto strength = static_cast<float>(dice.below(10'000)) * 0.001f;
    for (std::uint32_t i = 0; i < kWide; ++i) {
      vector[i] += strength * static_cast<float>((factor * (i + 1) * 7'919) % 64) / 64.0f;
    }
  }
  return vector;
}

// Of rows that pass a filter which keeps `share` of a thousand, against the exact answers.
double filtered_recall(const CorePtr& core, std::uint64_t share, std::uint64_t& walked) {
  SearchOptions options;
  options.k = 5;
  options.ef = 12;
  options.filter = ".n < " + std::to_string(share);
  std::uint64_t right = 0;
  std::uint64_t all = 0;
  for (std::uint64_t q = 0; q < kWideQueries; ++q) {
    const std::vector<float> vector = wide_vector_of(1'000'000 + q);
    const SearchResult found = ask(core, {Query(vector)}, options);
    SearchOptions exactly = options;
    exactly.ef = 0;
    const SearchResult exact = ask(core, {Query(vector)}, exactly);
    walked += found.backend.starts_with("graph/") ? 1U : 0U;
    CHECK(exact.neighbors.size() == std::min<std::uint64_t>(5, share * kWideRows / 1'000));
    REQUIRE(found.neighbors.size() == exact.neighbors.size());
    for (const Neighbor& neighbor : found.neighbors) {
      CHECK(neighbor.id.number() % 1'000 < share);
      right += neighbor.distance <= exact.neighbors.back().distance ? 1U : 0U;
      ++all;
    }
  }
  return static_cast<double>(right) / static_cast<double>(all);
}

TEST_CASE("graph keeper: filters of each width give k rows where k match, nearly all right") {
  Engine engine;
  CollectionOptions options = small();
  options.dim = kWide;
  const CorePtr core = engine.create("c", options);
  for (std::uint64_t first = 0; first < kWideRows; first += 1'000) {
    std::vector<OwnedRow> rows;
    for (std::uint64_t id = first; id < first + 1'000; ++id) {
      rows.push_back({id, wide_vector_of(id), "{\"n\":" + std::to_string(id % 1'000) + "}", 0});
    }
    REQUIRE(upsert(core, rows).ok());
  }
  core->graphs.wanted = true;
  settle(core);
  for (const std::uint64_t share : {500U, 100U, 10U, 1U}) {
    CAPTURE(share);
    std::uint64_t walked = 0;
    CHECK(filtered_recall(core, share, walked) >= 0.95);
    // A walk past nine rows of ten costs more than to read the tenth.
    CHECK(walked == (share == 500 ? kWideQueries : 0U));
  }
}

TEST_CASE("graph keeper: metrics without a graph are answered exactly") {
  Engine engine;
  CollectionOptions options;
  options.dim = 64;
  options.type = ScalarType::bit;
  options.metric = Metric::hamming;
  const CorePtr core = engine.create("bits", options);
  core->graphs.wanted = true;
  settle(core);
  CHECK(core->graphs.graph() == nullptr);
}

}  // namespace
