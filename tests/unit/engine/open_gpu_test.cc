// Checks engine/open_gpu: a machine without a device gets a reason and no error, and what is given
// takes the place of what is there. Single-threaded.
// Always holds: the state is never empty.
#include "engine/open_gpu.h"

#include <stdlib.h>

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
  CHECK(given.state() ==
        "emulated GPU (emulated, mma), mirror: 0 rows in 0 blocks, 0 with their vectors, "
        "0 of 16 MiB");
  given.device->device().condemn("a test");
  CHECK(given.state() == "emulated GPU (emulated, mma), out of use: a test");
  CHECK(OpenedGpu().state() == "none: not asked for");
}

TEST_CASE("open gpu: a device is opened with what the database was", "[engine]") {
  DatabaseOptions options;
  CHECK(gpu_options_of(options, "").budget_bytes == 0);
  CHECK(gpu_options_of(options, "").tuning.recheck_every == 0);
  CHECK(gpu_options_of(options, "").tuning.group == gpu::GroupKernel::choose);
  options.gpu_bytes = 12'345;
  options.gpu_recheck_every = 7;
  CHECK(gpu_options_of(options, "wgmma").budget_bytes == 12'345);
  CHECK(gpu_options_of(options, "wgmma").tuning.recheck_every == 7);
  CHECK(gpu_options_of(options, "wgmma").tuning.group == gpu::GroupKernel::wgmma);
}

TEST_CASE("open gpu: VECSERVE_GPU=off leaves it alone, and any other value changes nothing",
          "[engine]") {
  const bool is_there = open_gpu(DatabaseOptions(), nullptr).device != nullptr;
  ::setenv("VECSERVE_GPU", "off", 1);
  const OpenedGpu off = open_gpu(DatabaseOptions(), nullptr);
  ::setenv("VECSERVE_GPU", "on", 1);
  const OpenedGpu on = open_gpu(DatabaseOptions(), nullptr);
  ::unsetenv("VECSERVE_GPU");
  CHECK(off.device == nullptr);
  CHECK(off.state() == "none: VECSERVE_GPU=off");
  CHECK((on.device != nullptr) == is_there);
}

}  // namespace
