// See emulated_gpu.h.
// Test thread. Always holds: nothing of a block is kept after the scan that asked for it, since the
// blocks of tests come and go.
#include "tests/support/simt/emulated_gpu.h"

#include <algorithm>
#include <utility>

#include "tests/support/simt/emulated_driver.h"

namespace vecserve::test::simt {

namespace {

// What the device gets of one scan, in rows, and in rows times queries: more tell nothing new and
// take their time.
constexpr std::size_t kRowsMax = VECSERVE_SANITIZED != 0 ? 400 : 1'000;
constexpr std::size_t kProductsMax = VECSERVE_SANITIZED != 0 ? 60'000 : 200'000;
// Queries that go one and a few at a time.
constexpr std::size_t kQueriesApart = 12;
// But of each block two tiles and a piece of the third.
constexpr std::size_t kRowsLeast = 2 * engine::gpu::kTileRows + 7;

class MirroringScanner final : public engine::Scanner {
 public:
  MirroringScanner(std::shared_ptr<engine::gpu::Gpu> gpu, std::unique_ptr<engine::Scanner> cpu,
                   const Mirroring& how)
      : gpu_(std::move(gpu)), scanner_(make_gpu_scanner(gpu_, std::move(cpu))), how_(how) {}

  [[nodiscard]] std::string_view name() const override { return scanner_->name(); }
  [[nodiscard]] bool supports(const engine::RowShape& shape) const override {
    return scanner_->supports(shape);
  }
  void mirror(const engine::RowBlock& block) override { scanner_->mirror(block); }
  void forget(const engine::RowBlock& block) override { scanner_->forget(block); }
  [[nodiscard]] Status scan(const engine::ScanRequest& request,
                            engine::ScanResult& result) override {
    const bool sketched = std::any_of(request.blocks.begin(), request.blocks.end(),
                                      [](const auto& block) { return block.sketch != nullptr; });
    // Under a sanitizer each third time is enough.
    const bool due = VECSERVE_SANITIZED == 0 || ++asked_ % 3 == 0;
    if (how_.few && !(sketched && due)) return scanner_->scan(request, result);
    mirror_rows(request);
    if (++scans_ % 2 == 0 && !request.queries.empty()) mirror_bits(request);
    const Status status = how_.few ? scan_few(request, result) : scanner_->scan(request, result);
    gpu_->mirror().keep_only({});
    // A kernel that does wrong must not pass for a device that broke.
    const std::string failure = gpu_->device().failure();
    return failure.empty() ? status : Status(StatusCode::internal, failure);
  }

 private:
  void mirror_rows(const engine::ScanRequest& request) {
    const std::size_t rows =
        std::min(kRowsMax, kProductsMax / std::max<std::size_t>(request.queries.size(), 1));
    const std::size_t most =
        how_.all ? std::size_t{UINT32_MAX}
                 : std::max(rows / std::max<std::size_t>(request.blocks.size(), 1), kRowsLeast);
    for (const engine::ScanBlock& block : request.blocks) {
      const bool last = &block == &request.blocks.back();
      const std::size_t count = last && request.blocks.size() > 1 ? block.count / 2 + 3 : most;
      if (!engine::gpu::Mirror::covers(*block.block)) continue;
      // What does not fit or fails is scanned by the CPU.
      const auto mirrored = static_cast<std::uint32_t>(
          std::min<std::size_t>({count, most, std::size_t{block.count}}));
      static_cast<void>(gpu_->mirror().cover(*block.block, mirrored));
      if (how_.full) {
        const std::uint32_t vectors = last ? mirrored : mirrored - mirrored / 3;
        static_cast<void>(gpu_->mirror().cover_full(*block.block, vectors, vectors));
      }
      // Whose it is stays with the test.
      const std::shared_ptr<const engine::SketchPlane> sketch(std::shared_ptr<const void>(),
                                                              block.sketch);
      static_cast<void>(gpu_->mirror().cover_sketch(block.block->serial(), sketch));
    }
  }
  void mirror_bits(const engine::ScanRequest& request) {
    const engine::ScanMask& mask = request.masks[request.queries.front().mask];
    std::vector<engine::gpu::Mirror::Live> live;
    for (std::size_t b = 0; b < request.blocks.size(); ++b) {
      const engine::gpu::LiveWords words(std::shared_ptr<const void>(), mask.words[b]);
      live.push_back(
          {request.blocks[b].block->serial(), words, (request.blocks[b].count + 63) / 64});
    }
    static_cast<void>(gpu_->mirror().cover_live(live));
  }
  // One query, then as many as are sifted together, and again; more are the CPU's.
  [[nodiscard]] Status scan_few(const engine::ScanRequest& request, engine::ScanResult& result) {
    result.queries.resize(request.queries.size());
    result.counts = {};
    result.stopped = false;
    std::size_t step = 1;
    for (std::size_t q = 0; q < request.queries.size() && !result.stopped; q += step) {
      step = step == 1 ? engine::gpu::kFewQueries - 1 : 1;
      step = std::min(step, request.queries.size() - q);
      if (q >= kQueriesApart) {
        gpu_->mirror().keep_only({});  // to the CPU
        step = request.queries.size() - q;
      }
      engine::ScanRequest some = request;
      some.queries = request.queries.subspan(q, step);
      VECSERVE_TRY(scanner_->scan(some, part_));
      for (std::size_t i = 0; i < step && !part_.stopped; ++i) {
        std::swap(result.queries[q + i], part_.queries[i]);
      }
      result.counts.add(part_.counts);
      result.stopped = part_.stopped;
    }
    return {};
  }

  std::shared_ptr<engine::gpu::Gpu> gpu_;
  std::unique_ptr<engine::Scanner> scanner_;
  const Mirroring how_;
  std::uint64_t scans_ = 0;
  std::uint64_t asked_ = 0;
  engine::ScanResult part_;
};

}  // namespace

engine::gpu::GpuOptions small_gpu() {
  engine::gpu::GpuOptions options;
  options.budget_bytes = std::size_t{16} << 20;
  options.ring_bytes = std::size_t{64} << 10;
  options.lanes = 1;
  options.tuning.input_bytes = std::size_t{1} << 20;
  options.tuning.survivors = 1u << 16;
  options.tuning.survivors_min = 512;
  options.tuning.survivors_max = 1'024;
  options.tuning.packed = 1u << 14;
  options.tuning.packed_first = 32;
  options.tuning.seed_rows = 64;
  options.tuning.recheck_every = 7;
  options.tuning.always = true;
  return options;
}

std::shared_ptr<engine::gpu::Gpu> open_emulated_gpu(const engine::gpu::GpuOptions& options) {
  const EmulatedOptions device = emulated_for(options.tuning.group);
  return engine::gpu::Gpu::open(make_emulated_driver(device), options).value();
}

std::unique_ptr<engine::Scanner> make_mirroring_scanner(std::shared_ptr<engine::gpu::Gpu> gpu,
                                                        std::unique_ptr<engine::Scanner> cpu,
                                                        const Mirroring& how) {
  return std::make_unique<MirroringScanner>(std::move(gpu), std::move(cpu), how);
}

}  // namespace vecserve::test::simt
