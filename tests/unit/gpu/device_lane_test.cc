// Lanes are made whole or not at all, and give back what they took.
// Comes before the tests of scans. Test thread only.
// Always holds: the emulated driver knows what was not released.
#include "engine/gpu/device_lane.h"

#include <catch2/catch.hpp>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

TEST_CASE(
    "device lane: whichever call fails, there is no lane, and the next try finds all memory") {
  const DeviceTuning tuning = small_gpu().tuning;
  // Room for one lane and not for two: what a failed one kept would show.
  EmulatedOptions options;
  options.memory_bytes = tuning.input_bytes + tuning.survivors * 20 + tuning.packed * 16 + 4'096;
  std::uint64_t at = UINT64_MAX;
  std::uint64_t calls = 0;
  auto device = std::make_shared<Device>(make_emulated_driver(options), [&](std::uint64_t) {
    return calls++ == at ? DriverCode::out_of_memory : DriverCode::ok;
  });
  for (std::uint64_t fail = 0; fail < 8; ++fail) {
    CAPTURE(fail);
    calls = 0;
    at = fail;
    CHECK(DeviceLane::make(device, tuning).status().code() == StatusCode::resource_exhausted);
    at = UINT64_MAX;
    const auto lane = DeviceLane::make(device, tuning);
    REQUIRE(lane.ok());
    CHECK((*lane)->states_bytes >= sizeof(QueryState) * tuning.survivors / tuning.survivors_min);
  }
}

}  // namespace
