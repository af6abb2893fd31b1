// The check of the kernel of sm_90a: passes when it is right, and says what is wrong with it, by
// answers worked out on the host. Comes before the tests of opening a GPU. Test thread only. Always
// holds: unless the device itself is lost, it is used on after the check.
#include "engine/gpu/group_check.h"

#include <atomic>
#include <catch2/catch.hpp>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;
using Fault = EmulatedOptions::Fault;

struct Checked {
  explicit Checked(Fault code, Device::Inject inject = {},
                   const DeviceTuning& tuning_in = small_gpu().tuning)
      : fault(code), tuning(tuning_in) {
    EmulatedOptions options;
    options.warpgroups = true;
    options.fault = &fault;
    device = std::make_shared<Device>(make_emulated_driver(options), std::move(inject));
    lane = DeviceLane::make(device, tuning).value();
  }
  Result<std::string> check() { return check_warpgroups(*device, *lane, tuning); }

  std::atomic<Fault> fault;
  const DeviceTuning tuning;
  std::shared_ptr<Device> device;
  std::unique_ptr<DeviceLane> lane;
};

TEST_CASE("group check: says nothing of a kernel that is right, as often as it is asked") {
  Checked right(Fault::none);
  CHECK(right.check().value() == "");
  CHECK(right.check().value() == "");
  CHECK(right.device->failure() == "");
}

TEST_CASE("group check: a wrong product and rows that never come are found out") {
  Checked wrong(Fault::wrong_product);
  CHECK(wrong.check().value() == "its answers are wrong");
  CHECK(wrong.device->alive());
  wrong.fault = Fault::late_copy;
  CHECK(wrong.check().value() == "it waits in vain");
  CHECK(wrong.device->alive());
  wrong.fault = Fault::none;
  CHECK(wrong.check().value() == "");
}

TEST_CASE("group check: of a lane without room nothing is said but that") {
  DeviceTuning tuning = small_gpu().tuning;
  tuning.packed = 4'096;
  CHECK(Checked(Fault::none, {}, tuning).check().value() == "no room to check it");
  tuning = small_gpu().tuning;
  tuning.survivors = 1u << 13;
  CHECK(Checked(Fault::none, {}, tuning).check().value() == "no room to check it");
  tuning = small_gpu().tuning;
  tuning.input_bytes = 4'096;
  CHECK(Checked(Fault::none, {}, tuning).check().value() == "no room to check it");
  tuning = small_gpu().tuning;
  tuning.survivors_min = tuning.survivors / 64;  // states of 64 queries
  CHECK(Checked(Fault::none, {}, tuning).check().value() == "no room to check it");
}

// [no_tsan]: the emulator has one thread, and TSan takes minutes for its many launches.
TEST_CASE("group check: whichever call fails, it is said, and the next check passes", "[no_tsan]") {
  int failures = 0;
  bool reached = true;
  for (std::uint64_t at = 0; reached; ++at) {
    CAPTURE(at);
    REQUIRE(at < 100);
    bool armed = false;
    std::uint64_t made = 0;
    reached = false;
    Checked checked(Fault::none, [&](std::uint64_t) {
      const bool now = armed && made++ == at;
      reached = reached || now;
      return now ? DriverCode::failed : DriverCode::ok;
    });
    armed = true;
    const Result<std::string> said = checked.check();
    armed = false;
    if (!reached) {
      CHECK(said.value() == "");
      continue;
    }
    ++failures;
    // A wait too: the stream is drained, and the device is as good as before.
    REQUIRE(checked.device->alive());
    CHECK(said.value().find("injected") != std::string::npos);
    CHECK(checked.check().value() == "");
  }
  CHECK(failures == 3 * 2 * 8);  // strides, kernels and calls
}

TEST_CASE("group check: a kernel that does what is forbidden loses the device, which is an error") {
  Checked illegal(Fault::illegal);
  CHECK(illegal.check().status().code() == StatusCode::unavailable);
  CHECK_FALSE(illegal.device->alive());
}

}  // namespace
