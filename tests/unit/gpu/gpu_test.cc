// Opening a GPU: works, or says why not, whichever call fails; a budget that is not there is
// halved; lanes are lent and come back. Comes before the scanner's tests. Test thread only. Always
// holds: what was opened half is closed again.
#include "engine/gpu/gpu.h"

#include <catch2/catch.hpp>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

TEST_CASE("gpu: whichever call fails when it is opened, the answer is a typed error or a GPU") {
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost, DriverCode::out_of_memory}) {
    bool reached = true;
    for (std::uint64_t at = 0; reached; ++at) {
      CAPTURE(at);
      reached = false;
      GpuOptions options = small_gpu();
      options.inject = [&](std::uint64_t call) {
        reached = reached || call == at;
        return call == at ? code : DriverCode::ok;
      };
      const auto gpu = Gpu::open(make_emulated_driver(), options);
      if (!gpu.ok()) {
        CHECK((gpu.status().code() == StatusCode::unavailable ||
               gpu.status().code() == StatusCode::resource_exhausted));
        CHECK_FALSE(gpu.status().message().empty());
      } else {
        CHECK((*gpu)->device().alive());
      }
      REQUIRE(at < 200);
    }
  }
}

TEST_CASE("gpu: a budget that the device does not have is halved until it fits") {
  GpuOptions options = small_gpu();
  options.budget_bytes = std::size_t{1} << 30;  // of 256 MiB
  const auto gpu = Gpu::open(make_emulated_driver(), options);
  REQUIRE(gpu.ok());
  CHECK((*gpu)->mirror().report().budget_bytes == std::size_t{128} << 20);
  CHECK((*gpu)->name() == "gpu/emulated");
  CHECK((*gpu)->health() == "emulated GPU (emulated)");
  (*gpu)->device().condemn("a test");
  CHECK((*gpu)->health() == "emulated GPU (emulated), out of use: a test");
}

TEST_CASE("gpu: lanes are lent one by one") {
  GpuOptions options = small_gpu();
  options.lanes = 2;
  const auto gpu = open_emulated_gpu(options);
  DeviceLane* first = nullptr;
  {
    const Gpu::Lease one = gpu->take_lane();
    const Gpu::Lease two = gpu->take_lane();
    first = &*one;
    CHECK(&*one != &*two);
  }
  const Gpu::Lease again = gpu->take_lane();
  CHECK(&*again == first);
}

}  // namespace
