// Checks engine/collection_core: what a new one is, when it is usable, and that a published row set
// frees the one before. Single-threaded.
// Comes below the writes and searches that take a CollectionCore.
#include "engine/collection_core.h"

#include <catch2/catch.hpp>
#include <memory>

#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

TEST_CASE("collection core: a new one is empty and usable", "[engine]") {
  Engine engine;
  const auto core = std::make_shared<CollectionCore>(engine.runtime, 7, "name", Engine::plane());
  CHECK(core->id == 7);
  CHECK(core->name == "name");
  CHECK(core->shape == RowShape::make(Metric::l2, ScalarType::f32, 2));
  REQUIRE(core->snapshot() != nullptr);
  CHECK(core->snapshot()->block_count() == 0);
  CHECK(core->counters == CollectionCounters());
  CHECK(core->version == 0);
  CHECK(core->usable().ok());
}

TEST_CASE("collection core: dropped is not_found, closed is unavailable and comes first",
          "[engine]") {
  Engine engine;
  const auto core = std::make_shared<CollectionCore>(engine.runtime, 7, "name", Engine::plane());
  core->dropped = true;
  CHECK(core->usable().code() == StatusCode::not_found);
  CHECK(core->usable().message() == "collection \"name\" was dropped");
  engine.runtime->closed = true;
  CHECK(core->usable().code() == StatusCode::unavailable);
  engine.runtime->closed = false;
}

TEST_CASE("collection core: publishing lets go of the row set before", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::weak_ptr<const RowSet> empty = core->snapshot();
  fill(core, 1, 1);
  CHECK(empty.expired());
  const auto pinned = core->snapshot();
  fill(core, 2, 1);
  CHECK(pinned->live_count() == 1);
  CHECK(core->snapshot()->live_count() == 2);
  CHECK(core->version % 2 == 0);
}

}  // namespace
