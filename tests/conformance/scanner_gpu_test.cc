// The kernels on a real device, where there is one: answers of all metrics, for one query and many,
// by sketches and without, with vectors of all types and without, and beside a thread that writes,
// compared with the oracle's; more than once, since a device schedules as it likes. Skipped without
// a device. What ends the use of a device ends it in a process of its own, on the emulated device
// where there is no other. The test thread, and one that writes. Always holds: the emulator has run
// the same sources before.
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <string>
#include <thread>

#include "engine/base/worker_pool.h"
#include "engine/gpu/gpu.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"
#include "tests/support/skip.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using namespace vecserve::test::simt;

struct Extent {
  std::uint32_t rows = 0;
  std::vector<std::uint32_t> dims;
  std::vector<std::uint32_t> queries;
};

gpu::GpuOptions checked_options() {
  gpu::GpuOptions options;
  options.budget_bytes = std::size_t{64} << 20;
  options.tuning.survivors = 1u << 20;
  options.tuning.always = true;
  options.tuning.seed_rows = 256;
  options.tuning.recheck_every = 5;
  return options;
}

// All that the device can have of a case: rows, sketches, and its live bits.
void mirror_all(gpu::Mirror& mirror, const GpuCase& data) {
  std::vector<gpu::Mirror::Live> live;
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    const ScanBlock& block = data.blocks[b];
    const std::uint64_t serial = block.block->serial();
    REQUIRE(mirror.cover(*block.block, block.count).ok());
    const std::shared_ptr<const SketchPlane> sketch(std::shared_ptr<const void>(), block.sketch);
    REQUIRE(mirror.cover_sketch(serial, sketch).ok());
    const gpu::LiveWords words(std::shared_ptr<const void>(), data.masks[0].words[b]);
    live.push_back({serial, words, (block.count + 63) / 64});
  }
  REQUIRE(mirror.cover_live(live).ok());
}

// And the vectors of most of its rows, which leave little to decide.
void mirror_vectors(gpu::Mirror& mirror, const GpuCase& data) {
  for (const ScanBlock& block : data.blocks) {
    const std::uint32_t rows = block.count - block.count / 7;
    REQUIRE(mirror.cover_full(*block.block, rows, rows).value() == rows);
  }
}

// All metrics, with all rows alive and with one in three; with sketches and without.
void check_answers(gpu::Gpu& gpu, Scanner& scanner, const Extent& extent) {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t dim : extent.dims) {
      for (const std::uint32_t queries : extent.queries) {
        for (const bool sketched : {false, true}) {
          CAPTURE(to_string(metric), dim, queries, sketched);
          GpuCase data(metric, dim, extent.rows, extent.rows / 5, queries, dim + queries, sketched);
          if (sketched) data.sketch();
          if ((dim + queries) % 2 == 0) {
            for (auto& words : data.bits) {
              for (std::uint64_t& word : words) word &= 0x9249249249249249u;
            }
            data.masks = {make_mask(data.bits)};
          }
          mirror_all(gpu.mirror(), data);
          ScanResult result;
          for (int time = 0; time < 3; ++time) {
            if (time == 2) mirror_vectors(gpu.mirror(), data);
            REQUIRE(scanner.scan(data.request(), result).ok());
            REQUIRE(gpu.device().failure() == "");
            REQUIRE(result.backend.empty());
            REQUIRE(data.wrong(result) == "");
            REQUIRE((result.counts.full != 0) == (time == 2));
            const bool sifts = sketched && dim >= kSketchDimMin && queries <= gpu::kFewQueries;
            REQUIRE((result.counts.sketch != 0) == sifts);
          }
          gpu.mirror().keep_only({});
        }
      }
    }
  }
}

// A search is one replay of a graph, and stays one: arguments, graph, record and wait.
void check_replays(gpu::Gpu& gpu, Scanner& scanner) {
  for (const std::uint32_t queries : {1u, 4u, 70u}) {
    CAPTURE(queries);
    const GpuCase data(Metric::l2, 64, 900, 300, queries, 5);
    mirror_all(gpu.mirror(), data);
    ScanResult result;
    for (int time = 0; time < 4; ++time) {
      if (time == 2) mirror_vectors(gpu.mirror(), data);
      const std::uint64_t before = gpu.device().calls();
      REQUIRE(scanner.scan(data.request(), result).ok());
      REQUIRE(result.backend.empty());
      REQUIRE(data.wrong(result) == "");
      std::size_t found = 0;
      for (const QueryCandidates& candidates : result.queries) found += candidates.list.size();
      REQUIRE(found < gpu.tuning().packed_first);
      CHECK(gpu.device().calls() - before == 4);
    }
    gpu.mirror().keep_only({});
  }
}

// Vectors of every type.
void check_types(gpu::Gpu& gpu, Scanner& scanner, std::uint32_t rows) {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const ScalarType type :
         {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8, ScalarType::u8}) {
      for (const std::uint32_t queries : {1u, 20u}) {
        CAPTURE(to_string(metric), to_string(type), queries);
        const GpuCase data(metric, 150, rows, rows / 3, queries, 7, false, type);
        mirror_all(gpu.mirror(), data);
        mirror_vectors(gpu.mirror(), data);
        ScanResult result;
        REQUIRE(scanner.scan(data.request(), result).ok());
        CHECK(gpu.device().failure() == "");
        CHECK(result.backend.empty());
        CHECK(result.counts.full != 0);
        CHECK(data.wrong(result) == "");
        gpu.mirror().keep_only({});
      }
    }
  }
}

// Rows that were moved on the device are the rows of their block.
void check_moves(gpu::Gpu& gpu, Scanner& scanner) {
  for (const Metric metric : {Metric::l2, Metric::cosine}) {
    GpuCase data(metric, 100, 900, 300, 3, 6);
    mirror_all(gpu.mirror(), data);
    RowBlock fresh(data.rows.shape());
    std::vector<gpu::Mirror::Origin> origins;
    for (const ScanBlock& view : data.blocks) {
      for (std::uint32_t r = 1; r < view.count; r += 3) {
        fresh.append(fresh.size(), view.block->id(r), view.block->vector(r), 0);
        origins.push_back({view.block->serial(), r});
      }
    }
    REQUIRE(gpu.mirror().rewrite(fresh, origins).ok());
    gpu.mirror().end_rewrite(fresh.serial(), true);
    data.blocks = {ScanBlock{&fresh, fresh.size()}};
    data.bits = {std::vector<std::uint64_t>((fresh.size() + 63) / 64, ~std::uint64_t{0})};
    data.bits[0].back() >>= (64 - fresh.size() % 64) % 64;
    data.masks = {make_mask(data.bits)};
    ScanResult result;
    REQUIRE(scanner.scan(data.request(), result).ok());
    CHECK(gpu.device().failure() == "");
    CHECK(result.backend.empty());
    CHECK(result.counts.coarse == 3 * std::uint64_t{fresh.size()});
    CHECK(data.wrong(result) == "");
    gpu.mirror().keep_only({});
    gpu.mirror().keep_only({});
  }
}

// Blocks that one thread fills, brings over, deletes from and takes from the device again, while
// another searches what has been published.
class MixedLoad {
 public:
  static constexpr std::uint32_t kBlocks = 4;
  using Words = std::shared_ptr<std::vector<std::uint64_t>>;

  MixedLoad(gpu::Gpu& gpu, std::uint32_t rows)
      : gpu_(gpu), rows_(rows), source_(GpuCase::shape_of(Metric::l2, 64), DataKind::normal, 21) {
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      blocks_.push_back(std::make_unique<RowBlock>(GpuCase::shape_of(Metric::l2, 64)));
      published_.push_back({0, std::make_shared<std::vector<std::uint64_t>>(rows / 64 + 1)});
    }
  }
  // The writing thread: one block after another in turns, a few rows or deletes at a time.
  void write(const std::atomic<bool>& stop) {
    for (std::uint32_t turn = 0; !stop.load(std::memory_order_acquire); ++turn) {
      const std::uint32_t b = turn % kBlocks;
      Published next = published(b);
      next.words = std::make_shared<std::vector<std::uint64_t>>(*next.words);
      const std::uint32_t first = next.count;
      for (; next.count < std::min(first + 5, rows_); ++next.count) {
        const std::vector<std::byte> row = source_.next_row();
        blocks_[b]->append(next.count, IdView(std::uint64_t{next.count}), row.data(), 0);
        (*next.words)[next.count / 64] |= std::uint64_t{1} << next.count % 64;
      }
      change_bits(*next.words, next.count, turn);
      {
        const std::lock_guard lock(mutex_);
        published_[b] = next;
      }
      bring_over(b, next, turn);
    }
  }
  // The searching thread: "" or what is wrong with the answers to so many queries.
  std::string search(Scanner& scanner, std::uint32_t queries, VectorSource& source) {
    std::vector<ScanBlock> blocks;
    std::vector<std::vector<std::uint64_t>> bits;
    std::vector<Words> words;
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      const Published seen = published(b);
      blocks.push_back({blocks_[b].get(), seen.count});
      bits.push_back(*seen.words);
      words.push_back(seen.words);
    }
    std::vector<ScanMask> masks = {make_mask(bits)};
    // By their address, those that are mirrored.
    for (std::uint32_t b = 0; b < kBlocks; ++b) {
      if (masks[0].words[b] != nullptr) masks[0].words[b] = words[b]->data();
    }
    const RowShape& shape = blocks_[0]->shape();
    std::vector<TestQuery> asked;
    std::vector<ScanQuery> views;
    for (std::uint32_t q = 0; q < queries; ++q) asked.emplace_back(shape, source.next_row());
    for (const TestQuery& query : asked) {
      views.push_back(query.view());
      views.back().want = views.back().k = 5;
    }
    ScanRequest request;
    request.shape = shape;
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
    ScanResult result;
    const Status scanned = scanner.scan(request, result);
    if (!scanned.ok()) return scanned.to_string();
    for (std::uint32_t q = 0; q < queries; ++q) {
      const auto truth = oracle_rows(shape, blocks, masks[0], views[q].f32);
      std::string text = contract_violation(views[q], result.queries[q], truth);
      if (!text.empty()) return text;
      std::vector<Scored> best;
      std::vector<Candidate> spare;
      if (!rescore(shape, blocks, views[q], 5, result.queries[q], spare, best).certified) continue;
      text = answer_difference(blocks, best, truth, 5);
      if (!text.empty()) return text;
    }
    if (result.backend.empty()) ++served_;
    return gpu_.device().failure();
  }
  // Searches that the device took part in.
  [[nodiscard]] std::uint32_t served() const { return served_; }

 private:
  struct Published {
    std::uint32_t count = 0;
    Words words;
  };
  Published published(std::uint32_t b) {
    const std::lock_guard lock(mutex_);
    return published_[b];
  }
  // Mostly some die; sometimes all live again, so that there is always something to find.
  static void change_bits(std::vector<std::uint64_t>& words, std::uint32_t count,
                          std::uint32_t turn) {
    if (turn % 3 == 0) words[turn / 3 % words.size()] &= ~(std::uint64_t{0x1111} << turn % 4);
    if (turn % 61 != 0) return;
    for (std::uint32_t r = 0; r < count; ++r) words[r / 64] |= std::uint64_t{1} << r % 64;
  }
  // As a keeper does; now and then the block goes, and comes back in its next turn.
  void bring_over(std::uint32_t b, const Published& next, std::uint32_t turn) {
    gpu::Mirror& mirror = gpu_.mirror();
    const std::uint64_t serial = blocks_[b]->serial();
    if (turn % 31 == 0) return mirror.forget(serial);
    static_cast<void>(mirror.cover(*blocks_[b], next.count));
    const gpu::LiveWords words(next.words, next.words->data());
    const gpu::Mirror::Live live[] = {{serial, words, (next.count + 63) / 64}};
    static_cast<void>(mirror.cover_live(live));
    static_cast<void>(mirror.cover_full(*blocks_[b], next.count, 3));
  }

  gpu::Gpu& gpu_;
  const std::uint32_t rows_;  // of each block, in the end
  VectorSource source_;       // the writing thread's
  std::vector<std::unique_ptr<RowBlock>> blocks_;
  std::mutex mutex_;
  std::vector<Published> published_;  // guarded by mutex_
  std::uint32_t served_ = 0;          // the searching thread's
};

// So many searches beside that, by `scanner`.
void check_mixed(gpu::Gpu& gpu, Scanner& scanner, std::uint32_t rows, std::uint32_t searches) {
  MixedLoad load(gpu, rows);
  VectorSource source(GpuCase::shape_of(Metric::l2, 64), DataKind::normal, 22);
  std::atomic<bool> stop{false};
  std::thread writer([&] { load.write(stop); });
  std::string wrong;
  for (std::uint32_t s = 0; load.served() < searches && wrong.empty(); ++s) {
    wrong = load.search(scanner, s % 7 == 0 ? 70 : 1 + s % 5, source);
  }
  stop.store(true, std::memory_order_release);
  writer.join();
  CHECK(wrong == "");
  gpu.mirror().keep_only({});
}

TEST_CASE("scanner gpu: a real device proposes what the oracle answers", "[scanner][gpu]") {
  WorkerPool pool(2);
  // As it is chosen, and by the kernel that every device has.
  for (const gpu::GroupKernel kernel : {gpu::GroupKernel::choose, gpu::GroupKernel::mma}) {
    gpu::OpenedDriver opened = gpu::open_cuda_driver();
    if (opened.driver == nullptr) return skip_case("no GPU: " + opened.why_not);
    gpu::GpuOptions options = checked_options();
    options.budget_bytes = std::size_t{256} << 20;
    options.tuning.group = kernel;
    const bool wide = opened.driver->info().warpgroups && kernel == gpu::GroupKernel::choose;
    const auto gpu = gpu::Gpu::open(std::move(opened.driver), options).value();
    CAPTURE(gpu->health());
    CHECK((gpu->tuning().group == gpu::GroupKernel::wgmma) == wide);
    const auto scanner =
        gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
    check_answers(*gpu, *scanner, {5'000, {17, 128, 768}, {1, 3, 64, 300}});
    check_replays(*gpu, *scanner);
    check_types(*gpu, *scanner, 3'000);
    check_moves(*gpu, *scanner);
    check_mixed(*gpu, *scanner, 2'000, 20'000);  // a minute or a few
  }
}

// So that the case above does not wait for a device to be right.
TEST_CASE("scanner gpu: the emulated device does, a little of it", "[scanner][gpu][no_tsan]") {
  WorkerPool pool(1);
  for (const gpu::GroupKernel kernel : {gpu::GroupKernel::mma, gpu::GroupKernel::wgmma}) {
    gpu::GpuOptions options = checked_options();
    options.tuning.group = kernel;
    const auto gpu = gpu::Gpu::open(make_emulated_driver(emulated_for(kernel)), options).value();
    REQUIRE(gpu->tuning().group == kernel);
    const auto scanner =
        gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
    check_answers(*gpu, *scanner, {400, {17, 128}, {1, 3, 65}});
    check_replays(*gpu, *scanner);
    check_types(*gpu, *scanner, 300);
    check_moves(*gpu, *scanner);
    check_mixed(*gpu, *scanner, 130, 40);
  }
}

// A kernel that reads where nothing is, and a batch after it.
void go_astray() {
  gpu::OpenedDriver opened = gpu::open_cuda_driver();
  if (opened.driver == nullptr) opened.driver = make_emulated_driver();
  gpu::GpuOptions options;
  options.budget_bytes = std::size_t{16} << 20;
  options.tuning.survivors = 1u << 16;
  options.tuning.always = true;
  const auto gpu = gpu::Gpu::open(std::move(opened.driver), options).value();
  WorkerPool pool(2);
  const auto scanner =
      gpu::make_gpu_scanner(gpu, make_coarse_scanner(*choose_kernels("").value(), pool));
  const GpuCase data(Metric::l2, 64, 500, 200, 5, 11);
  for (const ScanBlock& block : data.blocks) scanner->mirror(*block.block);
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  REQUIRE(result.backend.empty());
  const auto stream = gpu->device().make_stream(gpu::Driver::Priority::search);
  REQUIRE(stream.ok());
  gpu::ScanArguments nowhere{};
  nowhere.queries = reinterpret_cast<const gpu::DeviceQuery*>(kNowhere);
  nowhere.query_count = 1;
  REQUIRE(gpu->device().launch(gpu::Kernel::refine, nowhere, 1, *stream).ok());
  CHECK(gpu->device().drain(*stream).code() == StatusCode::unavailable);
  CHECK_FALSE(gpu->device().alive());
  CHECK(gpu->health().find("out of use: drain: ") != std::string::npos);
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend.starts_with("cpu/"));
  CHECK(data.wrong(result) == "");
}

TEST_CASE("scanner gpu: after an illegal access the next batch is answered by the CPU",
          "[scanner][gpu]") {
  constexpr const char* kChild = "VECSERVE_GPU_TEST_CHILD";
  if (::getenv(kChild) != nullptr) return go_astray();
  ::setenv(kChild, "1", 1);
  std::string program = "/proc/self/exe";
  std::string name = Catch::getResultCapture().getCurrentTestName();
  char* const arguments[] = {program.data(), name.data(), nullptr};
  pid_t child = -1;
  REQUIRE(::posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments, environ) == 0);
  ::unsetenv(kChild);
  int state = -1;
  REQUIRE(::waitpid(child, &state, 0) == child);
  CHECK(state == 0);
}

}  // namespace
