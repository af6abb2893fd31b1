// Checks engine/open_gpu: a machine without a device gets a reason and no error, and what is given
// takes the place of what is there. Single-threaded.
// Always holds: the state is never empty.
#include "engine/open_gpu.h"

#include <catch2/catch.hpp>

#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

TEST_CASE("open gpu: without a device there is a reason, with one its name", "[engine]") {
  const OpenedGpu here = open_gpu(DatabaseOptions(), nullptr);
  CHECK((here.device != nullptr) == here.why_not.empty());
  CHECK_FALSE(here.state().empty());
  const OpenedGpu given = open_gpu(DatabaseOptions(), test::simt::open_emulated_gpu());
  REQUIRE(given.device != nullptr);
  CHECK(given.state() == "emulated GPU (emulated)");
  CHECK(OpenedGpu().state() == "none: not asked for");
}

}  // namespace
