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

// `vectors`: of the first rows of each block so many come over, too.
void mirror_all(Gpu& gpu, const GpuCase& data, std::uint32_t vectors = 0) {
  std::vector<Mirror::Live> live;
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    const ScanBlock& block = data.blocks[b];
    static_cast<void>(gpu.mirror().cover(*block.block, block.count));
    const std::shared_ptr<const SketchPlane> sketch(std::shared_ptr<const void>(), block.sketch);
    static_cast<void>(gpu.mirror().cover_sketch(block.block->serial(), sketch));
    const LiveWords words(std::shared_ptr<const void>(), data.masks[0].words[b]);
    live.push_back({block.block->serial(), words, (block.count + 63) / 64});
    const std::uint32_t there = std::min(vectors, block.count);
    if (there != 0) static_cast<void>(gpu.mirror().cover_full(*block.block, there, there));
  }
  static_cast<void>(gpu.mirror().cover_live(live));
}

// Launches as graphs, or step by step; where survivors' vectors are, or not.
void try_each_call(const GpuCase& data, bool graphs, bool full) {
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost, DriverCode::out_of_memory}) {
    bool reached = true;
    int from_device = 0;
    for (std::uint64_t at = 0; reached; ++at) {
      CAPTURE(static_cast<int>(code), at);
      reached = false;
      GpuOptions options = small_gpu();
      options.tuning.graphs = graphs;
      options.inject = [&](std::uint64_t call) {
        reached = reached || call == at;
        return call == at ? code : DriverCode::ok;
      };
      const auto gpu = Gpu::open(make_emulated_driver(), options);
      if (!gpu.ok()) continue;
      mirror_all(**gpu, data, full ? 150 : 0);
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

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("gpu scanner: whichever call fails, in whatever way, the answer is right", "[no_tsan]") {
  // Six queries together, or two by sketches; some rows dead.
  GpuCase many(Metric::l2, 48, 500, 200, 6, 31);
  GpuCase few(Metric::l2, 64, 500, 200, 2, 31, true);
  few.sketch();
  for (GpuCase* const data : {&many, &few}) {
    for (auto& words : data->bits) words[1] &= 0x0ff0ff0ff0ff0ff0u;
    data->masks = {test::make_mask(data->bits)};
    for (const bool graphs : {true, false}) {
      for (const bool full : {false, true}) try_each_call(*data, graphs, full);
    }
  }
}

TEST_CASE("gpu scanner: one query and a few are sifted by sketches, and more are not") {
  GpuCase data(Metric::l2, 80, 1'500, 700, 5, 9, true);
  data.sketch();
  const auto gpu = open_emulated_gpu();
  mirror_all(*gpu, data);
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  const std::vector<ScanQuery> views = data.views;
  for (const std::size_t count : {1u, 4u, 5u}) {
    CAPTURE(count);
    data.views.assign(views.begin(), views.begin() + static_cast<std::ptrdiff_t>(count));
    ScanResult result;
    REQUIRE(scanner->scan(data.request(), result).ok());
    CHECK(result.backend.empty());
    CHECK(data.wrong(result) == "");
    CHECK((result.counts.sketch != 0) == (count <= kFewQueries));
    CHECK((result.counts.coarse < 1'500 * count / 2) == (count <= kFewQueries));
  }
  // A sketch of some of the rows is of no use for all of them.
  {
    GpuCase some(Metric::l2, 80, 1'500, 700, 1, 9, true);
    const auto plane = std::make_shared<const SketchPlane>(
        test::sketch_axes(some.rows.shape(), some.blocks), *some.blocks[0].block, 200);
    some.blocks[0].sketch = plane.get();
    mirror_all(*gpu, some);
    ScanResult result;
    REQUIRE(scanner->scan(some.request(), result).ok());
    CHECK(gpu->device().failure() == "");
    CHECK(result.counts.sketch == 0);
    CHECK(some.wrong(result) == "");
  }
  // A request without the sketches that the device has, or with others, goes without.
  data.views.resize(1);
  const ScanBlock first = data.blocks[0];
  const ScanBlock second = data.blocks[1];
  data.blocks[0].sketch = data.blocks[1].sketch = nullptr;
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.counts.sketch == 0);
  CHECK(data.wrong(result) == "");
  const SketchPlane same(test::sketch_axes(data.rows.shape(), data.blocks), *first.block,
                         first.count);
  data.blocks[0].sketch = &same;
  data.blocks[1].sketch = second.sketch;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(data.wrong(result) == "");
}

TEST_CASE("gpu scanner: sketches that turn nothing away are given up until they are tried again") {
  GpuCase data(Metric::l2, 64, 3'000, 2'500, 1, 9);  // the worst of data: all directions alike
  data.sketch();
  GpuOptions options = small_gpu();
  options.tuning.always = false;
  const auto gpu = open_emulated_gpu(options);
  mirror_all(*gpu, data);
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  int sifted = 0;
  for (int i = 0; i < 40; ++i) {
    gpu->costs().set_device(1'000, 1'000'000'000, 2'000);  // always faster
    ScanResult result;
    REQUIRE(scanner->scan(data.request(), result).ok());
    REQUIRE(result.backend.empty());
    REQUIRE(data.wrong(result) == "");
    sifted += result.counts.sketch != 0 ? 1 : 0;
  }
  CHECK(sifted > 0);
  CHECK(sifted < 30);
}

TEST_CASE("gpu scanner: masks that a lane cannot hold together go one after another") {
  GpuCase data(Metric::l2, 32, 2'000, 0, 6, 7);
  std::vector<std::vector<std::vector<std::uint64_t>>> bits;
  for (std::uint32_t q = 0; q < 6; ++q) {
    bits.push_back(data.bits);
    for (std::uint64_t& word : bits.back()[0]) word &= 0x9249249249249249u >> q;
  }
  data.masks.clear();
  for (std::uint32_t q = 0; q < 6; ++q) {
    data.masks.push_back(test::make_mask(bits[q]));
    data.views[q].mask = q;
  }
  GpuOptions options = small_gpu();
  options.tuning.input_bytes = 1'400;
  const auto gpu = open_emulated_gpu(options);
  mirror_all(*gpu, data);
  const Mirror::Live all_alive[] = {{data.blocks[0].block->serial(), nullptr, 0}};
  REQUIRE(gpu->mirror().cover_live(all_alive).ok());
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(result.backend.empty());
  CHECK(result.counts.coarse == 6 * 2'000);  // by the device alone
  CHECK(data.wrong(result) == "");
}

TEST_CASE("gpu scanner: rows that died in a block that is mirrored in part stay out of answers") {
  // As many rows are eligible as are mirrored, and more; which of them is what counts.
  for (const std::uint32_t mirrored : {100u, 128u, 130u}) {
    CAPTURE(mirrored);
    GpuCase data(Metric::l2, 32, 400, 400, 2, 7);
    data.bits[0][1] &= 0xffffffff0000000fu;  // rows 68 to 95
    data.masks = {test::make_mask(data.bits)};
    const auto gpu = open_emulated_gpu();
    REQUIRE(gpu->mirror().cover(*data.blocks[0].block, mirrored).ok());
    const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
    ScanResult result;
    REQUIRE(scanner->scan(data.request(), result).ok());
    CHECK(gpu->device().failure() == "");
    CHECK(result.backend.empty());
    CHECK(data.wrong(result) == "");
  }
}

// Rows of bits in some blocks, one query in two among them, masks of all rows and of few.
struct BitCase {
  BitCase(std::uint32_t dim, std::uint32_t query_count, std::uint64_t seed)
      : rows(RowShape::make(Metric::hamming, ScalarType::bit, dim)) {
    test::VectorSource source(rows.shape(), test::DataKind::normal, seed);
    std::vector<std::byte> last;
    for (std::uint64_t r = 0; r < 1'100; ++r) {
      last = source.next_row();
      rows.add(last, IdView(r), 450);
    }
    blocks = rows.scan_blocks();
    for (std::uint32_t q = 0; q < query_count; ++q) {
      queries.emplace_back(rows.shape(), q % 2 == 0 ? source.next_row() : last);
      views.push_back(queries.back().view());
      views.back().want = 15;
      views.back().k = 8;
      views.back().mask = q % 2;
    }
    all = rows.all_bits();
    few = all;
    for (auto& words : few) {
      for (std::uint64_t& word : words) word &= 0x0000010000100001u;
    }
    masks = {test::make_mask(all), test::make_mask(few)};
  }
  [[nodiscard]] ScanRequest request() const {
    ScanRequest request;
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
    return request;
  }
  [[nodiscard]] std::string wrong(ScanResult& result) const {
    for (std::size_t q = 0; q < views.size(); ++q) {
      const auto truth =
          test::oracle_rows(rows.shape(), blocks, masks[views[q].mask], views[q].bits);
      std::string text = test::contract_violation(views[q], result.queries[q], truth);
      if (!text.empty()) return "query " + std::to_string(q) + ": " + text;
    }
    return {};
  }

  test::TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<test::TestQuery> queries;
  std::vector<ScanQuery> views;
  std::vector<std::vector<std::uint64_t>> all;
  std::vector<std::vector<std::uint64_t>> few;
  std::vector<ScanMask> masks;
};

TEST_CASE("gpu scanner: rows of bits are counted on the device, for one query and many") {
  for (const std::uint32_t dim : {1u, 64u, 130u, 1'000u}) {
    for (const std::uint32_t queries : {1u, 4u, 5u, 11u}) {
      CAPTURE(dim, queries);
      const BitCase data(dim, queries, dim + queries);
      const auto gpu = open_emulated_gpu();
      const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
      for (const ScanBlock& block : data.blocks) scanner->mirror(*block.block);
      CHECK(gpu->mirror().report().rows == 1'100);
      ScanResult result;
      REQUIRE(scanner->scan(data.request(), result).ok());
      CHECK(gpu->device().failure() == "");
      CHECK(data.wrong(result) == "");
      if (dim < 64) continue;  // nearly all rows tie: more than there is room for
      CHECK(result.backend.empty());
      CHECK(result.counts.full == 1'100 * queries);
      // What is nowhere near was left out.
      for (const QueryCandidates& found : result.queries) CHECK(found.list.size() < 300);
    }
  }
}

TEST_CASE("gpu scanner: bits that a device miscounts are found out") {
  const BitCase data(128, 2, 3);
  GpuOptions options = small_gpu();
  options.tuning.recheck_every = 1;
  const auto gpu = open_emulated_gpu(options);
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  for (const ScanBlock& block : data.blocks) scanner->mirror(*block.block);
  const auto page = gpu->mirror().find(data.blocks[1].block->serial());
  for (std::uint32_t r = 0; r < 450; ++r) page->codes()[r * 16 + 5] ^= 0x10;
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(data.wrong(result) == "");
  CHECK(gpu->health().find("make no sense") != std::string::npos);
}

TEST_CASE("gpu scanner: where vectors are on the device few candidates are left for the CPU") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    GpuCase data(metric, 100, 1'500, 700, 8, 9);
    GpuOptions options = small_gpu();
    std::uint64_t without = 0;
    for (const std::uint32_t vectors : {0u, 400u, 700u}) {
      for (const bool allowed : {true, false}) {
        CAPTURE(to_string(metric), vectors, allowed);
        options.tuning.full = allowed;
        const auto gpu = open_emulated_gpu(options);
        mirror_all(*gpu, data, vectors);
        const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
        ScanResult result;
        REQUIRE(scanner->scan(data.request(), result).ok());
        CHECK(gpu->device().failure() == "");
        CHECK(result.backend.empty());
        std::uint64_t left = 0;
        for (const QueryCandidates& found : result.queries) left += found.list.size();
        CHECK(data.wrong(result) == "");
        CHECK(result.counts.coarse == 8 * 1'500);
        if (vectors == 0) without = left;
        CHECK((result.counts.full != 0) == (vectors != 0 && allowed));
        if (!allowed) CHECK(left == without);
        if (vectors == 700 && allowed) CHECK(left == 8 * 5);  // k each: nothing ties
      }
    }
    CHECK(without > 8 * 5);
  }
}

TEST_CASE("gpu scanner: a lane without room for the queries' floats goes by the codes") {
  GpuCase data(Metric::l2, 600, 300, 0, 6, 9);
  for (const std::size_t bytes : {std::size_t{5'000}, std::size_t{40'000}}) {
    GpuOptions options = small_gpu();
    options.tuning.input_bytes = bytes;
    const auto gpu = open_emulated_gpu(options);
    mirror_all(*gpu, data, 300);
    const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
    ScanResult result;
    REQUIRE(scanner->scan(data.request(), result).ok());
    CHECK(result.backend.empty());
    CHECK(result.counts.coarse == 6 * 300);
    CHECK((result.counts.full != 0) == (bytes == 40'000));
    CHECK(data.wrong(result) == "");
  }
}

TEST_CASE("gpu scanner: vectors that a device has wrong are found out") {
  const GpuCase data(Metric::cosine, 32, 400, 0, 2, 8);
  GpuOptions options = small_gpu();
  options.tuning.recheck_every = 1;
  const auto gpu = open_emulated_gpu(options);
  mirror_all(*gpu, data, 400);
  const std::uint64_t serial = data.blocks[0].block->serial();
  std::vector<MirrorView> views;
  gpu->mirror().find_all(std::span(&serial, 1), views);
  for (std::uint32_t r = 0; r < 400; ++r) {
    reinterpret_cast<float*>(views[0].full->vectors())[std::size_t{r} * 32 + 3] += 0.01f;
  }
  const auto scanner = make_gpu_scanner(gpu, cpu_scanner());
  ScanResult result;
  REQUIRE(scanner->scan(data.request(), result).ok());
  CHECK(data.wrong(result) == "");
  CHECK(gpu->health().find("make no sense") != std::string::npos);
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
