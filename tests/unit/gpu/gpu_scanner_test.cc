// The scanner over device and CPU where things go wrong: every call of the driver fails once, in
// every way that it can, and the answer is right all the same. Comes after the conformance suite,
// which holds it to the contract where nothing fails. Test thread only. Always holds: each answer
// is compared with the oracle's.
#include <catch2/catch.hpp>

#include "engine/base/worker_pool.h"
#include "engine/gpu/gpu.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

WorkerPool& pool() {
  static WorkerPool shared(2);
  return shared;
}

std::unique_ptr<Scanner> cpu_scanner() {
  return make_coarse_scanner(*choose_kernels("generic").value(), pool());
}

void mirror_all(Gpu& gpu, const GpuCase& data) {
  for (const ScanBlock& block : data.blocks) {
    static_cast<void>(gpu.mirror().cover(*block.block, block.count));
  }
}

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("gpu scanner: whichever call fails, in whatever way, the answer is right", "[no_tsan]") {
  const GpuCase data(Metric::l2, 48, 500, 200, 6, 31);
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost, DriverCode::out_of_memory}) {
    bool reached = true;
    int from_device = 0;
    for (std::uint64_t at = 0; reached; ++at) {
      CAPTURE(static_cast<int>(code), at);
      reached = false;
      GpuOptions options = small_gpu();
      options.inject = [&](std::uint64_t call) {
        reached = reached || call == at;
        return call == at ? code : DriverCode::ok;
      };
      const auto gpu = Gpu::open(make_emulated_driver(), options);
      if (!gpu.ok()) continue;
      mirror_all(**gpu, data);
      const auto scanner = make_gpu_scanner(*gpu, cpu_scanner());
      ScanResult result;
      // Twice: the second time after the failure of the first.
      for (int time = 0; time < 2; ++time) {
        REQUIRE(scanner->scan(data.request(), result).ok());
        REQUIRE_FALSE(result.stopped);
        REQUIRE(data.wrong(result) == "");
        from_device += result.backend.empty() ? 1 : 0;
      }
      if (code == DriverCode::lost && reached) {
        CHECK_FALSE((*gpu)->device().alive());
        CHECK((*gpu)->health().find("out of use") != std::string::npos);
      }
      REQUIRE(at < 1'000);
    }
    CHECK(from_device > 0);
  }
}

TEST_CASE("gpu scanner: says who answered") {
  const GpuCase data(Metric::dot, 32, 300, 0, 3, 5);
  const auto gpu = open_emulated_gpu();
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  CHECK(scanner->name() == "gpu/emulated");
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend == "cpu/coarse/generic");  // nothing is mirrored yet
  scanner->mirror(*data.blocks[0].block);
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend.empty());
  CHECK(data.wrong(result) == "");
  scanner->forget(*data.blocks[0].block);
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend == "cpu/coarse/generic");
}

TEST_CASE("gpu scanner: where the CPU is faster it is left to the CPU") {
  const GpuCase data(Metric::l2, 32, 300, 0, 1, 6);
  GpuOptions options = small_gpu();
  options.tuning.always = false;
  const auto gpu = open_emulated_gpu(options);
  mirror_all(*gpu, data);
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  gpu->costs().set_device(1'000'000, 1, 2'000'000);
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend == "cpu/coarse/generic");
  CHECK(data.wrong(result) == "");
}

TEST_CASE("gpu scanner: more than it keeps thresholds for is the CPU's") {
  GpuCase data(Metric::l2, 32, 3'000, 0, 2, 7);
  const auto gpu = open_emulated_gpu();
  mirror_all(*gpu, data);
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  data.views[0].k = data.views[0].want = 2'000;
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend.empty());  // the other query
  CHECK(data.wrong(result) == "");
  CHECK(result.queries[0].list.size() >= 2'000);
}

TEST_CASE("gpu scanner: a device that answers nonsense is given up, and the answer is right") {
  const GpuCase data(Metric::l2, 32, 400, 0, 2, 8);
  const auto gpu = open_emulated_gpu();
  mirror_all(*gpu, data);
  // Emulated device memory is host memory: what a broken device might do to it.
  const auto page = gpu->mirror().find(data.blocks[0].block->serial());
  for (std::uint32_t r = 0; r < 400; ++r) page->rows()[r].scale *= 1.5f;
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(data.wrong(result) == "");
  CHECK_FALSE(gpu->device().alive());
  CHECK(gpu->health().find("make no sense") != std::string::npos);
}

}  // namespace
