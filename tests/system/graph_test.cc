// Approximate search through the public API while rows come, change and go: what was acknowledged
// is found by the very next search, what was erased is not found any more, and when it is quiet
// again live rows find themselves. Random interleavings of several threads, seeded each. Always
// holds: nobody sleeps; threads end by counts.
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>
#include <vector>

#include "engine/database_testing.h"
#include "tests/support/dice.h"
#include "vecserve/vecserve.h"

namespace {

using namespace vecserve;
using vecserve::test::Dice;

constexpr std::uint32_t kDim = 64;
constexpr std::uint64_t kFirst = 6'000;  // so many that walks are worth it

#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr int kRounds = 60;
#else
constexpr int kRounds = 400;
#endif

// What an id has in its n-th version.
std::vector<float> vector_of(std::uint64_t id, std::uint64_t version) {
  Dice dice(id, version);
  std::vector<float> vector(kDim);
  const std::uint64_t cluster = id % 40;
  for (std::uint32_t i = 0; i < kDim; ++i) {
    vector[i] =
        static_cast<float>(dice.below(1000)) * 0.01f + static_cast<float>((cluster * (i + 7)) % 31);
  }
  return vector;
}

SearchOptions near() {
  SearchOptions options;
  options.k = 5;
  options.ef = 40;
  return options;
}

std::vector<Neighbor> ask(const Collection& collection, const std::vector<float>& vector) {
  const auto found = collection.search(Query(vector), near());
  return found.ok() ? *found : std::vector<Neighbor>{};
}

bool write(Collection& collection, std::uint64_t id, const std::vector<float>& vector) {
  RowInput row;
  row.id = id;
  row.vector = vector;
  return collection.upsert(row).ok();
}

// One thread's own ids: it knows at any moment what is alive.
void live_and_die(Collection collection, std::uint64_t seed, std::atomic<std::uint64_t>& wrong) {
  Dice dice(seed);
  std::vector<std::uint64_t> version(40, 0);  // 0: not there
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t which = dice.below(version.size());
    const std::uint64_t id = 1'000'000 * seed + which;
    const std::uint64_t before = version[which];
    if (before != 0 && dice.percent(40)) {
      if (!collection.erase(RowId(id)).ok()) wrong.fetch_add(1);
      for (const Neighbor& neighbor : ask(collection, vector_of(id, before))) {
        wrong.fetch_add(neighbor.id == RowId(id) ? 1U : 0U);
      }
      version[which] = 0;
      continue;
    }
    const std::uint64_t now = static_cast<std::uint64_t>(round) + 1;
    if (!write(collection, id, vector_of(id, now))) wrong.fetch_add(1);
    const auto found = ask(collection, vector_of(id, now));
    if (found.empty() || found[0].id != RowId(id) || found[0].distance > 0.0) wrong.fetch_add(1);
    version[which] = now;
  }
}

void wait_for_graph(const Collection& collection) {
  for (;;) {
    const auto stats = collection.stats();
    REQUIRE(stats.ok());
    if (stats->rows_linked >= kFirst && stats->rows_unlinked < kFirst / 20) break;
    std::this_thread::yield();
  }
}

TEST_CASE("graph: what was acknowledged is found at once, what was erased never") {
  DatabaseOptions options;
  options.in_memory = true;
  options.threads = 3;
  auto database = Database::open("", options);
  REQUIRE(database.ok());
  CollectionOptions shape;
  shape.dim = kDim;
  auto made = database->create_collection("c", shape);
  REQUIRE(made.ok());
  Collection collection = *made;
  std::vector<std::vector<float>> vectors;
  std::vector<RowInput> rows(kFirst);
  for (std::uint64_t id = 0; id < kFirst; ++id) {
    vectors.push_back(vector_of(id, 0));
    rows[id].id = id;
    rows[id].vector = vectors[id];
  }
  REQUIRE(collection.upsert(rows).ok());
  // The first question is answered exactly, and has the graph made.
  CHECK(ask(collection, vectors[7])[0].id == RowId(std::uint64_t{7}));
  wait_for_graph(collection);
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t t = 1; t <= 3; ++t) {
    threads.emplace_back([&, t] { live_and_die(collection, t, wrong); });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
  wait_for_graph(collection);
  // Rows that others have pushed aside are brought nearer when there is nothing else to do.
  for (;;) {
    const Result<bool> at_rest = engine::is_graph_at_rest(*database, "c");
    REQUIRE(at_rest.ok());
    if (*at_rest) break;
    std::this_thread::yield();
  }
  std::uint32_t missed = 0;
  bool walked = false;
  for (std::uint64_t id = 0; id < kFirst; id += 3) {
    SearchResult result;
    const Query query(vectors[id]);
    REQUIRE(collection.search({&query, 1}, near(), result).ok());
    walked = walked || result.backend.starts_with("graph/");
    if (result.neighbors[0].id == RowId(id)) continue;
    ++missed;
    SearchOptions wide = near();
    wide.ef = 400;
    REQUIRE(collection.search({&query, 1}, wide, result).ok());
    CHECK(result.neighbors[0].id == RowId(id));
  }
  CHECK(walked);
  // How wide the beam is decides that too; that nothing is out of reach is shown by check_graph.
  CHECK(missed <= 2);
}

}  // namespace
