// Checks engine/sketch_keeper: when sketches are made, that they cover what is there, follow new
// rows and rewritten blocks, are learned again when a collection has grown, and change no answer.
// Passes are run by maintenance, so that they do not meet the background's. Always holds: answers
// are compared with a collection that has no planes.
#include "engine/sketch_keeper.h"

#include <catch2/catch.hpp>

#include "engine/search.h"
#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 4096;  // blocks of 256 rows
constexpr std::uint32_t kHour = 3'600'000;

DatabaseOptions options(Planes planes) {
  DatabaseOptions quiet = Engine::quiet();
  quiet.planes = planes;
  quiet.expire_every_ms = kHour;  // else the background's own pass comes every second
  return quiet;
}

CollectionOptions wide(Metric metric = Metric::l2) {
  CollectionOptions collection;
  collection.dim = kDim;
  collection.metric = metric;
  return collection;
}

// Rows that differ along a few coordinates.
void fill_wide(const CorePtr& core, std::uint64_t first, std::uint64_t count, float offset = 0.0f) {
  Dice dice(first + 1);
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = first; id < first + count; ++id) {
    std::vector<float> vector(kDim, 0.5f + offset);
    for (std::uint32_t i = 0; i < 6; ++i) {
      vector[i * 31] = static_cast<float>(dice.below(2000)) * 0.01f + offset;
    }
    rows.push_back({id, vector, "", 0});
    if (rows.size() == 100 || id + 1 == first + count) {
      REQUIRE(upsert(core, rows).ok());
      rows.clear();
    }
  }
}

std::uint64_t sketched(const CorePtr& core) {
  const auto rows = core->snapshot();
  std::uint64_t count = 0;
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    if (rows->view(b).sketch != nullptr) count += rows->view(b).sketch->count();
  }
  return count;
}

SearchResult found(const CorePtr& core, std::uint32_t k) {
  std::vector<float> vector(kDim, 0.5f);
  vector[31] = 7.0f;
  vector[62] = 3.0f;
  SearchOptions search;
  search.k = k;
  SearchResult result;
  const std::vector<Query> queries{Query(vector)};
  REQUIRE(search_collection(*core, queries, search, result).ok());
  return result;
}

TEST_CASE("sketch keeper: sketches what is there, and answers stay the same", "[sketch]") {
  for (const Metric metric : {Metric::l2, Metric::cosine, Metric::dot}) {
    CAPTURE(to_string(metric));
    Engine with(options(Planes::sketch));
    Engine without(options(Planes::full));
    const CorePtr core = with.create("wide", wide(metric));
    const CorePtr plain = without.create("wide", wide(metric));
    fill_wide(core, 0, 700);
    fill_wide(plain, 0, 700);
    CHECK(sketched(core) == 0);
    REQUIRE(with.database->maintain(false).ok());
    CHECK(sketched(core) == 700);
    CHECK(core->tallies.rows_surveyed == 700);
    for (const std::uint32_t k : {1u, 10u, 300u, 700u}) {
      const SearchResult result = found(core, k);
      CHECK(result.neighbors == found(plain, k).neighbors);
      CHECK(result.certified[0] == 1);
      // So many answers cannot be told apart by sketches: they are not even read.
      CHECK(result.reads.sketch == (k <= 10 ? 700 : 0));
    }
    CHECK(found(core, 1).reads.coarse < 350);
    CHECK(found(plain, 1).reads.sketch == 0);
  }
}

TEST_CASE("sketch keeper: too few rows, and other planes, have none", "[sketch]") {
  Engine forced(options(Planes::sketch));
  const CorePtr few = forced.create("few", wide());
  fill_wide(few, 0, 255);
  REQUIRE(forced.database->maintain(false).ok());
  CHECK(sketched(few) == 0);
  for (const Planes planes : {Planes::full, Planes::coarse}) {
    Engine engine(options(planes));
    const CorePtr core = engine.create("wide", wide());
    fill_wide(core, 0, 300);
    REQUIRE(engine.database->maintain(false).ok());
    CHECK(sketched(core) == 0);
  }
}

TEST_CASE("sketch keeper: by itself only where there is enough to read and most is turned away",
          "[sketch]") {
  Engine engine(options(Planes::automatic));
  const CorePtr core = engine.create("wide", wide());
  fill_wide(core, 0, 600);  // 2.4 MiB of codes
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(sketched(core) == 0);
  fill_wide(core, 600, 600);
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(sketched(core) == 1200);
}

TEST_CASE("sketch keeper: follows rows that come later, a few hundred behind at most", "[sketch]") {
  Engine engine(options(Planes::sketch));
  const CorePtr core = engine.create("wide", wide());
  fill_wide(core, 0, 300);
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(sketched(core) == 300);
  const auto axes = core->sketching.axes;
  fill_wide(core, 300, 20);
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(sketched(core) == 300);
  CHECK(found(core, 320).neighbors.size() == 320);
  fill_wide(core, 320, 480);
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(sketched(core) == 800);
  CHECK(core->sketching.axes == axes);
}

TEST_CASE("sketch keeper: learns again when there are four times the rows", "[sketch]") {
  Engine engine(options(Planes::sketch));
  const CorePtr core = engine.create("wide", wide());
  fill_wide(core, 0, 260);
  REQUIRE(engine.database->maintain(false).ok());
  const auto axes = core->sketching.axes;
  REQUIRE(axes != nullptr);
  fill_wide(core, 260, 790);
  REQUIRE(engine.database->maintain(false).ok());
  CHECK(core->sketching.axes != axes);
  CHECK(sketched(core) == 1050);
  const auto rows = core->snapshot();
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    CHECK(&rows->view(b).sketch->axes() == core->sketching.axes.get());
  }
}

TEST_CASE("sketch keeper: asked to stop it leaves everything as it was", "[sketch]") {
  Engine engine(options(Planes::sketch));
  const CorePtr core = engine.create("wide", wide());
  fill_wide(core, 0, 300);
  REQUIRE(engine.database->close().ok());  // no background pass any more
  REQUIRE(keep_sketches(core, [] { return true; }).code() == StatusCode::unavailable);
  CHECK(sketched(core) == 0);
}

}  // namespace
