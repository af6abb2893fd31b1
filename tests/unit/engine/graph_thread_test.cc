// Checks engine/graph_thread: that a wish for a graph is fulfilled without anybody's help, and that
// stopping does not wait for it. The thread under test and the test's own. Always holds: waits are
// for the thing itself, by looking at it.
#include "engine/graph_thread.h"

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/dice.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

TEST_CASE("graph thread: brings a graph up to the last row, and goes on when more come") {
  Engine engine;
  CollectionOptions options;
  options.dim = 8;
  const CorePtr core = engine.create("c", options);
  Dice dice(3);
  std::uint64_t next = 0;
  const auto add = [&](std::uint64_t count) {
    std::vector<OwnedRow> rows;
    for (std::uint64_t i = 0; i < count; ++i, ++next) {
      std::vector<float> vector(8);
      for (float& value : vector) value = static_cast<float>(dice.below(1000));
      rows.push_back({next, std::move(vector)});
    }
    REQUIRE(upsert(core, rows).ok());
  };
  add(3'000);
  core->graphs.wanted = true;
  GraphThread thread([&] { return std::vector<std::shared_ptr<CollectionCore>>{core}; }, 2);
  const auto linked = [&] {
    const auto graph = core->graphs.graph();
    return graph == nullptr ? 0 : graph->watermark.load();
  };
  while (linked() != 3'000) std::this_thread::yield();
  add(500);
  while (linked() != 3'500) std::this_thread::yield();
  thread.stop();
  CHECK(core->graphs.graph()->live() == 3'500);
}

TEST_CASE("graph thread: stops at once with nothing to do") {
  GraphThread thread([] { return std::vector<std::shared_ptr<CollectionCore>>{}; }, 1);
  thread.stop();
  thread.stop();
}

}  // namespace
