// How fast is a scan on the GPU, certified exact answers counted alone? Canonical run: bench_gpu
// --rows 1000000 --dim 768 --json -. Columns: batch, queries of one scan; k; p50_us, p99_us,
// p999_us of whole scans, rescoring included; gb_s, bytes of the coarse plane read per second at
// the median; certified, the share of queries that were certified at once. Random unit vectors: the
// worst case. Without a device it says so and exits with 77.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "engine/base/worker_pool.h"
#include "engine/gpu/gpu.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/scan/rescore.h"
#include "tools/bench/bench_report.h"

namespace vecserve::bench {
namespace {

using namespace engine;

struct Flags {
  CommonFlags common;
  std::uint32_t rows = 1'000'000;
  std::uint32_t dim = 768;
  std::uint32_t scans = 2'000;
};

// Rows in blocks, all alive, with what a request needs of them.
struct Rows {
  Rows(const Flags& flags, std::uint64_t seed) : shape(shape_of(flags)) {
    std::vector<float> row(flags.dim);
    for (std::uint32_t r = 0; r < flags.rows; ++r) {
      if (r % shape.capacity == 0) held.push_back(std::make_unique<RowBlock>(shape));
      const std::vector<float> vector = unit(flags.dim, seed + r);
      held.back()->append(r, IdView(std::uint64_t{r}),
                          reinterpret_cast<const std::byte*>(vector.data()), 0);
    }
    for (const auto& block : held) {
      blocks.push_back({block.get(), block->size(), nullptr});
      words.emplace_back((block->size() + 63) / 64, ~std::uint64_t{0});
    }
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      if (blocks[b].count % 64 != 0) {
        words[b].back() = (std::uint64_t{1} << (blocks[b].count % 64)) - 1;
      }
      mask.words.push_back(words[b].data());
      mask.eligible.push_back(blocks[b].count);
    }
  }
  static RowShape shape_of(const Flags& flags) {
    RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, flags.dim);
    shape.coarse = true;
    return shape;
  }
  static std::vector<float> unit(std::uint32_t dim, std::uint64_t seed) {
    std::vector<float> vector = random_floats(dim, seed);
    double norm = 0.0;
    for (const float x : vector) norm += static_cast<double>(x) * static_cast<double>(x);
    for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / std::sqrt(norm));
    return vector;
  }

  RowShape shape;
  std::vector<std::unique_ptr<RowBlock>> held;
  std::vector<ScanBlock> blocks;
  std::vector<std::vector<std::uint64_t>> words;
  ScanMask mask;
};

void time_scans(const Flags& flags, const Rows& rows, Scanner& scanner, std::uint32_t batch,
                std::uint32_t k, Report& report) {
  const std::size_t padded = (std::size_t{flags.dim} + 15) / 16 * 16;
  AlignedBuffer floats(batch * padded * sizeof(float));
  std::vector<ScanQuery> queries(batch);
  for (std::uint32_t q = 0; q < batch; ++q) {
    auto* const mine = reinterpret_cast<float*>(floats.data()) + q * padded;
    const std::vector<float> vector = Rows::unit(flags.dim, 1'000'000'007 + q);
    std::memcpy(mine, vector.data(), flags.dim * sizeof(float));
    queries[q].f32 = mine;
    queries[q].norm = 1.001;
    queries[q].want = k + 8;
    queries[q].k = k;
  }
  ScanRequest request;
  request.shape = rows.shape;
  request.blocks = rows.blocks;
  request.masks = std::span(&rows.mask, 1);
  request.queries = queries;
  ScanResult result;
  std::vector<Scored> best;
  std::vector<double> times;
  std::uint64_t certified = 0;
  const std::uint32_t scans = std::max(flags.scans / batch, 20u);
  for (std::uint32_t s = 0; s < scans + 3; ++s) {
    const auto start = std::chrono::steady_clock::now();
    require(scanner.scan(request, result).ok() && result.backend.empty(), "the GPU did not answer");
    for (std::uint32_t q = 0; q < batch; ++q) {
      const Decision decision =
          rescore(rows.shape, rows.blocks, queries[q], k, result.queries[q], best);
      if (s >= 3 && decision.certified) ++certified;
    }
    const std::chrono::duration<double, std::micro> passed =
        std::chrono::steady_clock::now() - start;
    if (s >= 3) times.push_back(passed.count());  // the first scans warm caches up
  }
  const double middle = percentile(times, 0.5);
  const double bytes =
      static_cast<double>(flags.rows) * static_cast<double>(CoarsePlane::bytes_per_row(rows.shape));
  report.add(
      {{"backend", scanner.name()},
       {"rows", flags.rows},
       {"dim", flags.dim},
       {"batch", batch},
       {"k", k},
       {"p50_us", middle},
       {"p99_us", percentile(times, 0.99)},
       {"p999_us", percentile(times, 0.999)},
       {"gb_s", bytes / middle / 1e3},
       {"certified", static_cast<double>(certified) / (static_cast<double>(batch) * scans)}});
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("Exact scans on the GPU");
  add_common_flags(app, flags.common);
  app.add_option("--rows", flags.rows)->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--dim", flags.dim)->check(CLI::Range(1, 10'000));
  app.add_option("--scans", flags.scans, "scans of one query that are timed");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  if (flags.common.smoke) {
    flags.rows = 20'000;
    flags.scans = 20;
  }
  gpu::OpenedDriver opened = gpu::open_cuda_driver();
  if (opened.driver == nullptr) {
    progress("no GPU: " + opened.why_not);
    std::exit(77);
  }
  gpu::GpuOptions options;
  options.tuning.always = true;
  const auto gpu = gpu::Gpu::open(std::move(opened.driver), options).value();
  progress(gpu->health() + ": making rows");
  const Rows rows(flags, flags.common.seed);
  WorkerPool pool(1);
  const auto scanner =
      gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
  const auto start = std::chrono::steady_clock::now();
  for (const ScanBlock& block : rows.blocks) {
    const Status covered = gpu->mirror().cover(*block.block, block.count);
    require(covered.ok(), covered.to_string());
  }
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  Report report("gpu", flags.common);
  progress("mirrored at " + std::to_string(flags.rows / passed.count() / 1e6) + " M rows/s");
  for (const std::uint32_t batch : {1u, 4u, 16u, 64u, 256u, 1'024u}) {
    for (const std::uint32_t k : {10u, 100u}) time_scans(flags, rows, *scanner, batch, k, report);
  }
}

}  // namespace
}  // namespace vecserve::bench

int main(int argc, char** argv) {
  return vecserve::bench::run_bench("bench_gpu", vecserve::bench::run, argc, argv);
}
