// Opening a GPU: works, or says why not, whichever call fails; a budget that is not there is
// halved; lanes are lent and come back. Comes before the scanner's tests. Test thread only. Always
// holds: what was opened half is closed again.
#include "engine/gpu/gpu.h"

#include <atomic>
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
  CHECK((*gpu)->health() == "emulated GPU (emulated, mma)");
  (*gpu)->device().condemn("a test");
  CHECK((*gpu)->health() == "emulated GPU (emulated, mma), out of use: a test");
}

EmulatedOptions with_warpgroups(std::atomic<EmulatedOptions::Fault>* fault = nullptr) {
  EmulatedOptions options;
  options.warpgroups = true;
  options.fault = fault;
  return options;
}

TEST_CASE("gpu: the kernel of sm_90a serves where it is there and right, and can be asked for") {
  GpuOptions options = small_gpu();
  const auto open = [&](GroupKernel wish, const EmulatedOptions& device) {
    options.tuning.group = wish;
    return Gpu::open(make_emulated_driver(device), options);
  };
  const auto chosen = open(GroupKernel::choose, with_warpgroups()).value();
  CHECK(chosen->tuning().group == GroupKernel::wgmma);
  CHECK(chosen->health() == "emulated GPU (emulated, wgmma)");
  CHECK(open(GroupKernel::wgmma, with_warpgroups()).value()->tuning().group == GroupKernel::wgmma);
  const auto without = open(GroupKernel::mma, with_warpgroups()).value();
  CHECK(without->tuning().group == GroupKernel::mma);
  CHECK(without->health() == "emulated GPU (emulated, mma)");
  CHECK(open(GroupKernel::choose, {}).value()->tuning().group == GroupKernel::mma);
  const auto refused = open(GroupKernel::wgmma, {});
  CHECK(refused.status().code() == StatusCode::unavailable);
  CHECK(refused.status().message() == "GPU, wgmma: this device does not have it");
}

TEST_CASE("gpu: a kernel of sm_90a that fails its check is not used, and the device is") {
  using Fault = EmulatedOptions::Fault;
  for (const Fault code : {Fault::wrong_product, Fault::late_copy}) {
    CAPTURE(static_cast<int>(code));
    std::atomic<Fault> fault = code;
    GpuOptions options = small_gpu();
    const auto gpu = Gpu::open(make_emulated_driver(with_warpgroups(&fault)), options).value();
    CHECK(gpu->device().alive());
    CHECK(gpu->tuning().group == GroupKernel::mma);
    const char* const why = code == Fault::late_copy ? "it waits in vain" : "its answers are wrong";
    CHECK(gpu->health() == std::string("emulated GPU (emulated, mma, for of wgmma: ") + why + ")");
    options.tuning.group = GroupKernel::wgmma;
    const auto forced = Gpu::open(make_emulated_driver(with_warpgroups(&fault)), options);
    CHECK(forced.status().message() == std::string("GPU, wgmma: ") + why);
  }
}

TEST_CASE("gpu: a call that fails while the kernel is checked costs the kernel and nothing else") {
  GpuOptions options = small_gpu();
  options.tuning.graphs = false;
  constexpr std::uint64_t kLaunch = 8 + 8 + 2;  // a lane, the kernel that is compared with, copies
  constexpr std::uint64_t kWait = kLaunch + 5;  // two launches, two copies, a record
  for (const std::uint64_t at : {kLaunch, kWait}) {
    for (const DriverCode code : {DriverCode::failed, DriverCode::lost}) {
      options.inject = [=](std::uint64_t call) { return call == at ? code : DriverCode::ok; };
      const auto gpu = Gpu::open(make_emulated_driver(with_warpgroups()), options);
      const std::string what = at == kLaunch ? "GPU, launch: injected" : "GPU, wait: injected";
      CAPTURE(what);
      if (code == DriverCode::lost) {  // and with it whatever would be served
        CHECK(gpu.status().message() == what);
        continue;
      }
      REQUIRE(gpu.ok());
      CHECK((*gpu)->device().alive());
      CHECK((*gpu)->tuning().group == GroupKernel::mma);
      CHECK((*gpu)->health() == "emulated GPU (emulated, mma, for of wgmma: " + what + ")");
    }
  }
}

TEST_CASE("gpu: kernels have names, and any other name leaves the choice") {
  CHECK(group_kernel_of("mma") == GroupKernel::mma);
  CHECK(group_kernel_of("wgmma") == GroupKernel::wgmma);
  CHECK(group_kernel_of("") == GroupKernel::choose);
  CHECK(group_kernel_of("on") == GroupKernel::choose);
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
