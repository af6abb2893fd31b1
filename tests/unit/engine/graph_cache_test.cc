// Checks engine/graph_cache together with the keeper: that a graph is saved when it has changed,
// comes back at a restart with exactly the rows that are there, and is made anew when the copy is
// not what it should be. Over a store whose caches a test can damage; passes are run here, beside
// those of the database's own thread. Always holds: answers are compared with exact ones.
#include "engine/graph_cache.h"

#include <catch2/catch.hpp>
#include <map>
#include <thread>

#include "engine/graph_keeper.h"
#include "engine/search.h"
#include "engine/store/open_store.h"
#include "engine/store/record.h"
#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 24;
#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint64_t kRows = 2'400;  // a graph is made for them, but a scan is faster
constexpr bool kWalks = false;
constexpr int kRounds = 1;
#else
constexpr std::uint64_t kRows = 5'000;  // as few as a walk is worth it for
constexpr bool kWalks = true;
constexpr int kRounds = 4;
#endif

CollectionOptions small() {
  CollectionOptions options;
  options.dim = kDim;
  return options;
}

std::vector<float> vector_of(std::uint64_t id, std::uint64_t version = 0) {
  Dice dice(id, version);
  std::vector<float> vector(kDim);
  for (std::uint32_t i = 0; i < kDim; ++i) {
    vector[i] =
        static_cast<float>(dice.below(1000)) * 0.01f + static_cast<float>((id % 17 * (i + 3)) % 29);
  }
  return vector;
}

void add(const CorePtr& core, std::uint64_t first, std::uint64_t count, std::uint64_t version = 0) {
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = first; id < first + count; ++id) {
    rows.push_back({id, vector_of(id, version)});
  }
  REQUIRE(upsert(core, rows).ok());
}

void remove(const CorePtr& core, std::uint64_t first, std::uint64_t count) {
  std::vector<RowId> gone;
  for (std::uint64_t id = first; id < first + count; ++id) gone.emplace_back(id);
  REQUIRE(erase(core, gone).ok());
}

void settle(const CorePtr& core) {
  for (;;) {
    const Result<bool> more = keep_graph(core, 2, [] { return false; });
    REQUIRE(more.ok());
    if (!*more) return;
  }
}

// Every live row is a node, all can be reached, and each finds itself by a walk.
void check_serves(const CorePtr& core, const std::map<std::uint64_t, std::uint64_t>& versions) {
  const auto graph = core->graphs.graph();
  REQUIRE(graph != nullptr);
  const GraphCheck check = check_graph(*graph);
  CHECK(check.orphans == 0);
  CHECK(check.bad_links == 0);
  CHECK(graph->watermark.load() == core->slots.load());
  SearchOptions options;
  options.ef = 20;
  std::uint32_t missed = 0;
  std::uint32_t walked = 0;
  std::uint32_t asked = 0;
  for (const auto& [id, version] : versions) {
    if (id % 7 != 0) continue;
    const std::vector<float> vector = vector_of(id, version);
    const Query query(vector);
    SearchResult result;
    REQUIRE(search_collection(*core, {&query, 1}, options, result).ok());
    REQUIRE(result.neighbors.size() == 10);
    walked += result.backend.starts_with("graph/") ? 1U : 0U;
    for (const Neighbor& neighbor : result.neighbors) {
      REQUIRE(versions.contains(neighbor.id.number()));
    }
    missed += result.neighbors[0].id == RowId(id) && result.neighbors[0].distance <= 0.0 ? 0U : 1U;
    ++asked;
  }
  if (kWalks) CHECK(walked * 2 > asked);
  CHECK(missed <= asked / 100);  // a narrow beam may miss one in thousands
}

// A collection whose graph was made and saved, and what is in it.
struct Saved {
  Saved() {
    const CorePtr core = engine.create("c", small());
    write(core, 0, kRows);
    core->graphs.wanted = true;
    settle(core);
  }
  void write(const CorePtr& core, std::uint64_t first, std::uint64_t count,
             std::uint64_t version = 0) {
    add(core, first, count, version);
    for (std::uint64_t id = first; id < first + count; ++id) versions[id] = version;
  }
  void drop(const CorePtr& core, std::uint64_t first, std::uint64_t count) {
    remove(core, first, count);
    for (std::uint64_t id = first; id < first + count; ++id) versions.erase(id);
  }
  int finished() {
    const std::lock_guard lock(engine.contents->caches->mutex);
    return engine.contents->caches->finished;
  }
  // What a kill leaves: nothing is saved at the end.
  CorePtr crash() {
    set_refuse(0);
    REQUIRE(engine.reopen().ok());
    set_refuse(-1);
    return engine.find("c");
  }
  CorePtr restart() {
    REQUIRE(engine.reopen().ok());
    return engine.find("c");
  }
  void set_refuse(int after) {
    const std::lock_guard lock(engine.contents->caches->mutex);
    engine.contents->caches->refuse_after = after;
  }
  std::string& bytes() { return engine.contents->caches->bytes[0]; }

  Engine engine;
  std::map<std::uint64_t, std::uint64_t> versions;
};

TEST_CASE("graph cache: a restart serves from the copy, and links nothing") {
  Saved saved;
  CHECK(saved.finished() >= 1);
  CHECK(saved.engine.find("c")->graphs.saved.load() == kRows);
  const auto before = saved.engine.find("c")->graphs.effort();
  REQUIRE(before != nullptr);
  const CorePtr core = saved.crash();
  settle(core);
  CHECK(core->graphs.restored.load() == kRows);
  CHECK(core->graphs.saved.load() == kRows);
  CHECK(core->graphs.graph()->nodes() == kRows);
  const auto effort = core->graphs.effort();
  REQUIRE(effort != nullptr);
  REQUIRE(effort->points().size() == before->points().size());
  for (std::size_t i = 0; i < effort->points().size(); ++i) {
    CHECK(effort->points()[i].ef == before->points()[i].ef);
    CHECK(effort->points()[i].recall == before->points()[i].recall);
  }
  check_serves(core, saved.versions);
}

TEST_CASE("graph cache: rows that came, changed and went after the copy are as they are") {
  Saved saved;
  CorePtr core = saved.engine.find("c");
  const int copies = saved.finished();
  saved.set_refuse(0);
  saved.write(core, 10'000, 300);
  saved.write(core, 500, 200, 1);
  saved.drop(core, 1'000, 600);
  settle(core);
  core = saved.crash();
  CHECK(saved.finished() == copies);
  settle(core);
  CHECK(core->graphs.restored.load() == kRows);
  CHECK(core->graphs.graph()->live() < kRows + 500 - 700);
  check_serves(core, saved.versions);
}

TEST_CASE("graph cache: rows may change while a copy is written and while it is read") {
  Saved saved;
  CorePtr core = saved.engine.find("c");
  const auto slice = [&core] { REQUIRE(keep_graph(core, 1, [] { return false; }).ok()); };
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    for (std::uint64_t i = 0; i < 12; ++i) {
      saved.write(core, 20'000 * round + i * 100, 100);
      saved.write(core, i * 60, 60, round);
      saved.drop(core, 20'000 * round + i * 100, 30);
      slice();
    }
    core = saved.crash();
    for (std::uint64_t i = 0; i < 3; ++i) {
      saved.write(core, 3'000 + i * 50, 50, round);
      saved.drop(core, 20'000 * round + 600 + i * 100 + 50, 20);
      slice();
    }
    settle(core);
    CHECK(core->graphs.restored.load() > 0);
    check_serves(core, saved.versions);
  }
}

TEST_CASE("graph cache: closing saves what a quarter would not have been worth") {
  Saved saved;
  CorePtr core = saved.engine.find("c");
  const int copies = saved.finished();
  saved.write(core, 10'000, 200);
  settle(core);
  CHECK(saved.finished() == copies);
  core = saved.restart();
  CHECK(saved.finished() == copies + 1);
  settle(core);
  CHECK(core->graphs.restored.load() == kRows + 200);
  check_serves(core, saved.versions);
  // Nothing has changed: nothing is written.
  core = saved.restart();
  CHECK(saved.finished() == copies + 1);
  // There is no time: the copy of before stays.
  settle(core);
  saved.write(core, 20'000, 300);
  settle(core);
  int looks = 0;
  save_graph(*core, [&looks] { return ++looks > 2; });
  CHECK(saved.finished() == copies + 1);
  {
    const std::lock_guard lock(core->graphs.keeping_mutex);
    CHECK(core->graphs.keeping.saving == nullptr);
  }
  core = saved.crash();
  settle(core);
  CHECK(core->graphs.restored.load() == kRows + 200);
  check_serves(core, saved.versions);
}

TEST_CASE("graph cache: a full disk costs the copy, and the next one works") {
  Saved saved;
  const CorePtr core = saved.engine.find("c");
  const int copies = saved.finished();
  saved.set_refuse(3);
  saved.write(core, 10'000, kRows / 2);
  settle(core);
  CHECK(saved.finished() == copies);
  check_serves(core, saved.versions);
  saved.set_refuse(-1);
  saved.write(core, 20'000, kRows);
  settle(core);
  CHECK(saved.finished() > copies);
  CHECK(core->graphs.saved.load() >= kRows * 2);
}

// The copy is of no use: the graph is made again, from the rows, and saved again.
void check_made_anew(Saved& saved, const CorePtr& core) {
  settle(core);
  CHECK(core->graphs.restored.load() == 0);
  CHECK(core->graphs.graph()->nodes() == saved.versions.size());
  check_serves(core, saved.versions);
  CHECK(core->graphs.saved.load() * 5 / 4 >= saved.versions.size());
}

TEST_CASE("graph cache: a damaged copy is made anew, unasked") {
  Saved saved;
  Dice dice(51);
  for (int round = 0; round < kRounds; ++round) {
    CAPTURE(round);
    saved.set_refuse(0);
    std::string& bytes = saved.bytes();
    if (round == 0) bytes.resize(bytes.size() / 2);
    if (round == 1) bytes[bytes.size() - 5] = static_cast<char>(bytes[bytes.size() - 5] ^ 1);
    if (round == 2) bytes[dice.below(2'000)] ^= 4;
    if (round == 3) bytes.clear();
    check_made_anew(saved, saved.crash());
  }
}

TEST_CASE("graph cache: a copy of other rows is made anew") {
  // Of a collection of another database: the same slots, other vectors.
  Saved saved;
  Engine other;
  const CorePtr core = other.create("c", small());
  add(core, 0, kRows, 5);
  core->graphs.wanted = true;
  settle(core);
  saved.set_refuse(0);
  saved.bytes() = other.contents->caches->bytes[0];
  check_made_anew(saved, saved.crash());
}

TEST_CASE("graph cache: a copy that knows of lost writes is made anew") {
  // As after a power loss that took the last writes of a weaker durability.
  Saved saved;
  CorePtr core = saved.engine.find("c");
  const FakeContents then = *saved.engine.contents;
  const auto versions = saved.versions;
  saved.write(core, 500, kRows / 2, 3);
  settle(core);
  *saved.engine.contents = then;
  saved.versions = versions;
  check_made_anew(saved, saved.crash());
}

TEST_CASE("graph cache: a copy that lacks rows, or of which few are left, is made anew") {
  Saved saved;
  CorePtr core = saved.engine.find("c");
  // Rows come back under slots that the copy says it covers.
  saved.set_refuse(0);
  FakeContents& contents = *saved.engine.contents;
  const std::string copy = saved.bytes();
  saved.drop(core, 0, 50);
  settle(core);
  saved.set_refuse(-1);
  saved.write(core, 10'000, kRows / 2);
  settle(core);
  // This copy has no nodes of the first rows; the one before had.
  const std::string later = saved.bytes();
  REQUIRE((later != copy));
  const std::vector<float> vector = vector_of(3);
  std::string record;
  const StoreRow row{IdView(std::uint64_t{3}), 0, "", std::as_bytes(std::span(vector))};
  encode_record(row, record);
  saved.set_refuse(0);
  static_cast<void>(saved.engine.database->close());
  contents.rows[0][3] = record;
  contents.collections[0].counters.live_rows += 1;
  saved.versions[3] = 0;
  check_made_anew(saved, [&] {
    CorePtr again = saved.crash();
    return again;
  }());
  // Nearly all rows go, and the copy is not brought up to date.
  core = saved.engine.find("c");
  saved.set_refuse(0);
  saved.drop(core, 50, kRows * 4 / 5);
  saved.drop(core, 10'000, kRows / 4);
  core = saved.crash();
  settle(core);
  CHECK(core->graphs.restored.load() == 0);
}

TEST_CASE("graph cache: a database in memory, and a collection without a graph, have no copy") {
  const auto store = make_memory_store();
  CHECK(store->read_cache(0).status().code() == StatusCode::not_found);
  Engine engine;
  CorePtr core = engine.create("c", small());
  add(core, 0, 500);
  core->graphs.wanted = true;
  settle(core);
  REQUIRE(engine.reopen().ok());
  core = engine.find("c");
  settle(core);
  CHECK_FALSE(core->graphs.wanted.load());
  CHECK(engine.contents->caches->finished == 0);
}

}  // namespace
