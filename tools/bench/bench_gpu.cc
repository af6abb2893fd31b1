// How fast is exact search on the GPU, and what do inserts, deletes and filters do to it? Canonical
// run: bench_gpu --rows 1000000 --dim 768 --json -; --data decaying has sketches. A line per case:
//   exact        batch, queries of one scan; k; p50_us, p99_us, p999_us of whole searches,
//   rescoring
//                on this thread included, and tail, p999 over p50; scan_us, the median of the scan
//                alone, and from it gb_s, bytes of the coarse plane over it, and tops, products of
//                its bytes; sketched; certified, the share of queries that were certified at once;
//                kernel, which multiplies more than a few queries
//   groups       the same for 64 queries and more, with k = 10, where it is asked for by name: for
//                one kernel against the other, see --group-kernel
//   vectors      the same for k = 10 and 100, where it is asked for by name: with the vectors on
//   the
//                device against without, see --no-full; vectors, the rows of which they are there
//   filter       a filter that keeps one row in a hundred against none, in turns
//   delete       bits_us and mirror_us of so many deletes; the median of searches whose live bits
//   go
//                with the request, and of those that find them on the device
//   insert       searches while rows are inserted at a steady rate, against quiet ones just before;
//                missed: acknowledged rows that the next search did not find
//   insert_fast  rows per second of one thread that does nothing else, mirrored
//   loopback     end to end through the program vecserve, at half of its capacity; see gpu_loopback
// Without a device it says so and exits with 77, but for --only loopback, whose server then does
// without.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/base/worker_pool.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "tools/bench/gpu_cases.h"
#include "tools/bench/gpu_loopback.h"

namespace vecserve::bench {
namespace {

using namespace engine;

struct Flags {
  CommonFlags common;
  GpuRowsRequest rows{1'000'000, 768, false, 1};
  std::string data = "unit";
  std::vector<std::string> only;
  std::uint32_t scans = 500;
  std::uint32_t tail_scans = 100'000;
  double seconds = 5.0;
  double insert_rate = 200'000.0;
  std::uint32_t insert_rows = 1'000'000;
  double loopback_s = 20.0;
  bool no_graphs = false;
  bool no_full = false;
  std::string group_kernel = "choose";

  bool names(const char* name) const {
    return std::find(only.begin(), only.end(), name) != only.end();
  }
  bool wants(const char* name) const { return only.empty() || names(name); }
};

void parse(int argc, char** argv, Flags& flags) {
  CLI::App app("Exact scans on the GPU");
  add_common_flags(app, flags.common);
  app.add_option("--rows", flags.rows.rows)->check(CLI::Range(1'000, 100'000'000));
  app.add_option("--dim", flags.rows.dim)->check(CLI::Range(1, 10'000));
  app.add_option("--data", flags.data, "unit: the worst case; decaying: as embeddings")
      ->check(CLI::IsMember({"unit", "decaying"}));
  app.add_option("--only", flags.only, "cases, separated by commas")->delimiter(',');
  app.add_option("--scans", flags.scans, "scans of one query that are timed");
  app.add_option("--tail-scans", flags.tail_scans, "the same for the tail of one query");
  app.add_option("--seconds", flags.seconds, "of searching beside inserts, and before");
  app.add_flag("--no-graphs", flags.no_graphs, "launch step by step, to see what graphs save");
  app.add_flag("--no-full", flags.no_full, "no vectors on the device, to see what they save");
  app.add_option("--group-kernel", flags.group_kernel,
                 "for many queries; 77 when it is asked for by name and is not there")
      ->check(CLI::IsMember({"choose", "mma", "wgmma"}));
  app.add_option("--insert-rate", flags.insert_rate, "rows per second beside searches");
  parse_flags(app, argc, argv);
  if (flags.common.smoke) {
    flags.rows.rows = 3'000;
    flags.rows.dim = 128;
    flags.scans = flags.tail_scans = 5;
    flags.seconds = 0.05;
    flags.insert_rate = 20'000.0;
    flags.insert_rows = 2'000;
    flags.loopback_s = 0.5;
  }
  flags.rows.decaying = flags.data == "decaying";
  flags.rows.seed = flags.common.seed;
}

void mirror(gpu::Gpu& gpu, const GpuRows& rows) {
  for (std::size_t b = 0; b < rows.blocks().size(); ++b) {
    const ScanBlock& block = rows.blocks()[b];
    const Status covered = gpu.mirror().cover(*block.block, block.count);
    require(covered.ok(), covered.to_string());
    const Status sketched = gpu.mirror().cover_sketch(block.block->serial(), rows.sketch(b));
    require(sketched.ok(), sketched.to_string());
  }
  if (!gpu.tuning().full) return;
  for (const ScanBlock& block : rows.blocks()) {  // as many as there is room for
    static_cast<void>(gpu.mirror().cover_full(*block.block, block.count, block.count));
  }
}

void run(int argc, char** argv) {
  Flags flags;
  parse(argc, argv, flags);
  gpu::OpenedDriver opened = gpu::open_cuda_driver();
  const bool nothing_else = flags.only == std::vector<std::string>{"loopback"};
  if (opened.driver == nullptr) {
    progress("no GPU: " + opened.why_not);
    if (!nothing_else) std::exit(77);
  }
  Report report("gpu", flags.common);
  // First, while the memory of the device is free.
  if (flags.wants("loopback")) {
    bench_loopback({flags.common, flags.rows.rows, flags.rows.dim, flags.loopback_s}, report);
  }
  if (nothing_else) return;
  gpu::GpuOptions options;
  options.tuning.always = true;
  options.tuning.graphs = !flags.no_graphs;
  options.tuning.full = !flags.no_full;
  options.tuning.group = gpu::group_kernel_of(flags.group_kernel);
  const auto made = gpu::Gpu::open(std::move(opened.driver), options);
  if (!made.ok() && options.tuning.group == gpu::GroupKernel::wgmma) {
    progress(made.status().message());
    std::exit(77);
  }
  const std::shared_ptr<gpu::Gpu>& gpu = made.value();
  progress(gpu->health() + ": making rows");
  const GpuRows rows(flags.rows);
  mirror(*gpu, rows);
  progress("mirrored");
  WorkerPool pool(1);
  const auto scanner =
      gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
  const GpuBench bench{gpu,
                       *scanner,
                       rows,
                       flags.data.c_str(),
                       flags.scans,
                       flags.tail_scans,
                       flags.seconds,
                       flags.insert_rate,
                       flags.insert_rows,
                       std::min(100'000u, flags.rows.rows / 10),
                       report};
  for (const std::uint32_t batch : {1u, 4u, 64u, 1'024u, 4'096u}) {
    if (!flags.wants("exact") || (flags.common.smoke && batch > 64)) continue;
    for (const std::uint32_t k : {10u, 100u}) {
      const bool tail = batch == 1 && k == 10;
      bench_exact(bench, "exact", batch, k,
                  tail ? flags.tail_scans : std::max(flags.scans / batch, 20u));
    }
  }
  for (const std::uint32_t batch : {1u, 64u, 1'024u, 4'096u}) {
    if (flags.common.smoke && batch > 64) continue;
    const std::uint32_t scans = std::max(flags.scans / batch, 20u);
    if (flags.names("groups") && batch > 1) bench_exact(bench, "groups", batch, 10, scans);
    if (!flags.names("vectors")) continue;
    for (const std::uint32_t k : {10u, 100u}) bench_exact(bench, "vectors", batch, k, scans);
  }
  if (flags.wants("filter")) bench_filter(bench);
  if (flags.wants("delete")) bench_delete(bench);
  if (flags.wants("insert")) bench_insert(bench);
}

}  // namespace
}  // namespace vecserve::bench

int main(int argc, char** argv) {
  return vecserve::bench::run_bench("bench_gpu", vecserve::bench::run, argc, argv);
}
