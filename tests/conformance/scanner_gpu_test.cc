// The kernels on a real device, where there is one: answers of all metrics, for one query and many,
// compared with the oracle's, and more than once, since a device schedules as it likes. Skipped
// without a device. Test thread only. Always holds: the emulator has run the same sources before.
#include <catch2/catch.hpp>

#include "engine/base/worker_pool.h"
#include "engine/gpu/gpu.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "tests/support/simt/gpu_case.h"
#include "tests/support/skip.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using namespace vecserve::test::simt;

TEST_CASE("scanner gpu: a real device proposes what the oracle answers", "[scanner][gpu]") {
  gpu::OpenedDriver opened = gpu::open_cuda_driver();
  if (opened.driver == nullptr) return skip_case("no GPU: " + opened.why_not);
  gpu::GpuOptions options;
  options.budget_bytes = std::size_t{256} << 20;
  options.tuning.always = true;
  options.tuning.recheck_every = 5;
  const auto gpu = gpu::Gpu::open(std::move(opened.driver), options).value();
  WorkerPool pool(2);
  const auto scanner =
      gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t dim : {17u, 128u, 768u}) {
      for (const std::uint32_t queries : {1u, 3u, 64u, 300u}) {
        CAPTURE(to_string(metric), dim, queries);
        const GpuCase data(metric, dim, 5'000, 900, queries, dim + queries);
        for (const ScanBlock& block : data.blocks) scanner->mirror(*block.block);
        ScanResult result;
        for (int time = 0; time < 3; ++time) {
          REQUIRE(scanner->scan(data.request(), result).ok());
          REQUIRE(gpu->device().failure() == "");
          REQUIRE(result.backend.empty());
          REQUIRE(data.wrong(result) == "");
        }
        gpu->mirror().keep_only({});
      }
    }
  }
}

}  // namespace
