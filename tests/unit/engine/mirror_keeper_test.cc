// Checks engine/mirror_keeper over an emulated GPU: rows come over as they are published, dead and
// dropped blocks go, and a whole database that searches through the device answers as one that has
// none. The database's own keeper runs beside the test. Always holds: answers are compared bit for
// bit.
#include "engine/mirror_keeper.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "engine/database_testing.h"
#include "engine/search.h"
#include "tests/support/dice.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 32;

std::vector<float> random_vector(Dice& dice, std::uint32_t dim = kDim) {
  std::vector<float> vector(dim);
  for (float& x : vector) x = static_cast<float>(dice.below(2'000)) * 0.01f - 10.0f;
  return vector;
}

Database open_with(std::shared_ptr<gpu::Gpu> gpu, Planes planes = Planes::coarse) {
  DatabaseOptions options;
  options.in_memory = true;
  options.planes = planes;
  options.threads = 1;
  TestHooks hooks;
  hooks.device = std::move(gpu);
  return std::move(open_for_testing("", options, hooks).value());
}

Collection make(Database& database, std::uint32_t dim = kDim) {
  CollectionOptions options;
  options.dim = dim;
  return database.create_collection("rows", options).value();
}

DatabaseOptions with_planes() {
  DatabaseOptions options = Engine::quiet();
  options.planes = Planes::coarse;
  return options;
}

// Until the mirror has so many rows.
void wait_for_rows(gpu::Gpu& gpu, std::uint64_t rows) {
  while (gpu.mirror().report().rows != rows && gpu.device().alive()) std::this_thread::yield();
}

// A database on a GPU and one without, with the same rows.
struct Pair {
  explicit Pair(std::shared_ptr<gpu::Gpu> on, Planes planes = Planes::coarse,
                std::uint32_t dim_in = kDim)
      : gpu(std::move(on)),
        dim(dim_in),
        with(open_with(gpu, planes)),
        without(open_with(nullptr, planes)),
        fast(make(with, dim)),
        plain(make(without, dim)) {}

  void add(std::uint64_t count) {
    std::vector<std::vector<float>> vectors;
    std::vector<RowInput> rows(count);
    for (std::uint64_t r = 0; r < count; ++r) vectors.push_back(random_vector(dice, dim));
    for (std::uint64_t r = 0; r < count; ++r) {
      rows[r].id = next++;
      rows[r].vector = VectorView(std::span<const float>(vectors[r]));
    }
    REQUIRE(fast.upsert(rows).ok());
    REQUIRE(plain.upsert(rows).ok());
  }
  // Asks both, compares, and says who answered.
  std::string search() {
    const std::vector<float> asked = random_vector(dice, dim);
    const Query query(asked);
    SearchOptions options;
    options.k = 7;
    const auto found = fast.search(std::span(&query, 1), options);
    const auto truth = plain.search(std::span(&query, 1), options);
    REQUIRE(found.ok());
    REQUIRE(truth.ok());
    REQUIRE(found->neighbors.size() == truth->neighbors.size());
    for (std::size_t i = 0; i < found->neighbors.size(); ++i) {
      CHECK(found->neighbors[i].id == truth->neighbors[i].id);
      CHECK(found->neighbors[i].distance == truth->neighbors[i].distance);
    }
    sketches_read = found->reads.sketch;
    vectors_read = found->reads.full;
    return std::string(found->backend);
  }

  std::shared_ptr<gpu::Gpu> gpu;
  std::uint32_t dim;
  Database with;
  Database without;
  Collection fast;
  Collection plain;
  Dice dice{3};
  std::uint64_t next = 0;
  std::uint64_t sketches_read = 0;  // by the last search
  std::uint64_t vectors_read = 0;
};

TEST_CASE("mirror keeper: a database with a GPU answers as one without, and says who did",
          "[engine]") {
  Pair pair(simt::open_emulated_gpu());
  CHECK(pair.with.stats().gpu.starts_with("emulated GPU (emulated, mma), mirror: 0 rows"));
  CHECK(pair.without.stats().gpu.starts_with("none: "));
  CHECK(pair.fast.stats()->backend == "gpu/emulated");
  for (const std::uint64_t count : {300u, 5u, 400u}) {
    pair.add(count);
    // At once, with the new rows on the CPU, and when they are all mirrored.
    static_cast<void>(pair.search());
    wait_for_rows(*pair.gpu, pair.next);
    CHECK(pair.search() == "gpu/emulated");
    REQUIRE(pair.fast.erase(pair.next - 1).ok());
    REQUIRE(pair.plain.erase(pair.next - 1).ok());
    CHECK(pair.search() == "gpu/emulated");
  }
  CHECK(pair.gpu->device().failure() == "");
}

TEST_CASE("mirror keeper: a kernel that goes astray loses the device, and its batch is the CPU's",
          "[engine]") {
  std::atomic<bool> astray{false};
  simt::EmulatedOptions emulated;
  emulated.astray = &astray;
  Pair pair(gpu::Gpu::open(simt::make_emulated_driver(emulated), simt::small_gpu()).value());
  pair.add(300);
  wait_for_rows(*pair.gpu, pair.next);
  REQUIRE(pair.search() == "gpu/emulated");
  astray = true;
  CHECK(pair.search().starts_with("cpu/"));
  CHECK_FALSE(pair.gpu->device().alive());
  const std::string state = pair.with.stats().gpu;
  CAPTURE(state);
  CHECK(state.starts_with("emulated GPU (emulated, mma), out of use: wait: "));
  CHECK(state.find("outside of what was allocated") != std::string::npos);
  // It stays lost, whatever its kernels would do now, and rows come and are found all the same.
  astray = false;
  pair.add(40);
  const std::uint64_t calls = pair.gpu->device().calls();
  CHECK(pair.search().starts_with("cpu/"));
  CHECK(pair.gpu->device().calls() == calls);
  CHECK(pair.with.stats().gpu == state);
}

TEST_CASE("mirror keeper: sketches and live bits of blocks come over, and searches use them",
          "[engine]") {
  Pair pair(simt::open_emulated_gpu(), Planes::sketch, 64);
  pair.add(400);
  const auto wait_until = [&](const auto& there) {
    while (!there(pair.gpu->mirror().report()) && pair.gpu->device().alive()) {
      std::this_thread::yield();
    }
  };
  wait_until([](const gpu::MirrorReport& r) { return r.rows == 400 && r.sketched == 1; });
  CHECK(pair.search() == "gpu/emulated");
  CHECK(pair.sketches_read == 400);
  CHECK(pair.gpu->mirror().report().masked == 0);  // all rows are alive
  for (std::uint64_t id = 0; id < 400; id += 3) {
    REQUIRE(pair.fast.erase(id).ok());
    REQUIRE(pair.plain.erase(id).ok());
  }
  static_cast<void>(pair.search());
  wait_until([](const gpu::MirrorReport& r) { return r.masked == 1; });
  CHECK(pair.search() == "gpu/emulated");
  CHECK(pair.gpu->mirror().report().rows == 400);  // nothing came over again
  CHECK(pair.gpu->device().failure() == "");
}

TEST_CASE("mirror keeper: vectors come over after their rows, are read, and stats count them",
          "[engine]") {
  Pair pair(simt::open_emulated_gpu());
  for (const std::uint64_t count : {400u, 7u, 100u}) {
    pair.add(count);
    while (pair.gpu->mirror().report().full_rows != pair.next && pair.gpu->device().alive()) {
      std::this_thread::yield();
    }
    CHECK(pair.search() == "gpu/emulated");
    // By the device, and of those k and a few more once again by the CPU.
    CHECK(pair.vectors_read >= 2 * 7);
    const std::string state = pair.with.stats().gpu;
    CAPTURE(state);
    CHECK(state.find(std::to_string(pair.next) + " with their vectors, ") != std::string::npos);
  }
  CHECK(pair.gpu->device().failure() == "");
}

TEST_CASE("mirror keeper: a pass brings over few vectors, and the next ones the others",
          "[engine]") {
  constexpr std::uint32_t kLong = 4'096;
  constexpr std::uint64_t kRows = 600;  // 9.4 MiB
  Engine engine(with_planes());
  CollectionOptions options;
  options.dim = kLong;
  const CorePtr core = engine.create("rows", options);
  std::vector<float> vector(kLong);
  for (std::uint64_t id = 0; id < kRows; ++id) {
    vector[id] = 1.0f;
    REQUIRE(upsert(core, {OwnedRow{id, vector}}).ok());
  }
  const auto device = std::make_shared<gpu::Device>(simt::make_emulated_driver());
  const auto mirror =
      gpu::Mirror::make(device, std::size_t{64} << 20, std::size_t{1} << 20).value();
  const std::uint64_t of_a_pass = (std::size_t{8} << 20) / (kLong * sizeof(float));
  for (const std::uint64_t rows : {of_a_pass, kRows, kRows}) {
    keep_mirror(*mirror, {core});
    CHECK(mirror->report().rows == kRows);
    CHECK(mirror->report().full_rows == rows);
  }
}

TEST_CASE("mirror keeper: rows of bits are searched on the device", "[engine]") {
  const auto gpu = simt::open_emulated_gpu();
  Database database = open_with(gpu);
  CollectionOptions options;
  options.dim = 128;
  options.type = ScalarType::bit;
  options.metric = Metric::hamming;
  Collection rows = database.create_collection("bits", options).value();
  std::vector<std::uint8_t> bits(16, 0);
  for (std::uint64_t r = 0; r < 200; ++r) {
    bits[r % 16] = static_cast<std::uint8_t>(bits[r % 16] + r + 1);
    RowInput row;
    row.id = r;
    row.vector = VectorView::bits(bits, 128);
    REQUIRE(rows.upsert(row).ok());
  }
  wait_for_rows(*gpu, 200);
  const Query query(VectorView::bits(bits, 128));
  SearchOptions search;
  search.k = 3;
  const auto found = rows.search(std::span(&query, 1), search);
  REQUIRE(found.ok());
  CHECK(found->backend == "gpu/emulated");
  REQUIRE(found->neighbors.size() == 3);
  CHECK(found->neighbors[0].id == RowId(std::uint64_t{199}));
  CHECK(found->neighbors[0].distance == 0.0);
  CHECK(gpu->device().failure() == "");
}

TEST_CASE("mirror keeper: blocks of dropped collections go", "[engine]") {
  const auto gpu = simt::open_emulated_gpu();
  Database database = open_with(gpu);
  Collection rows = make(database);
  const std::vector<float> vector(kDim, 1.0f);
  RowInput row;
  row.id = std::uint64_t{1};
  row.vector = VectorView(std::span<const float>(vector));
  REQUIRE(rows.upsert(row).ok());
  wait_for_rows(*gpu, 1);
  CHECK(gpu->mirror().report().blocks == 1);
  REQUIRE(database.drop_collection("rows").ok());
  wait_for_rows(*gpu, 0);
  CHECK(gpu->mirror().report().blocks == 0);
  CHECK(gpu->mirror().report().used_bytes == 0);
}

// Lets calls of the device through, or holds those of other threads than its own.
class Gate {
 public:
  void set(bool open) {
    {
      const std::lock_guard lock(mutex_);
      open_ = open;
    }
    changed_.notify_all();
  }
  gpu::DriverCode pass() {
    std::unique_lock lock(mutex_);
    const bool mine = std::this_thread::get_id() == owner_;
    changed_.wait(lock, [&] { return open_ || mine; });
    return gpu::DriverCode::ok;
  }

 private:
  const std::thread::id owner_ = std::this_thread::get_id();
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
};

// The nearest row to (id, 0), and who found it.
std::pair<RowId, std::string> nearest_to(const CorePtr& core, std::uint64_t id) {
  const std::vector<float> vector = {static_cast<float>(id), 0.0f};
  const Query query(VectorView{vector});
  SearchOptions options;
  options.k = 1;
  SearchResult result;
  REQUIRE(search_collection(*core, std::span(&query, 1), options, result).ok());
  REQUIRE(result.neighbors.size() == 1);
  return {result.neighbors[0].id, std::string(result.backend)};
}

TEST_CASE("mirror keeper: writers are slowed while the device takes no rows, and no search is",
          "[engine]") {
  Gate gate;
  gpu::GpuOptions options = simt::small_gpu();
  options.inject = [&](std::uint64_t) { return gate.pass(); };
  const auto device = gpu::Gpu::open(simt::make_emulated_driver(), options).value();
  Engine engine(with_planes(), 1, device);
  const CorePtr core = engine.create("rows");
  std::uint64_t next = 0;
  const auto add = [&](std::uint64_t count) {
    fill(core, next, count);
    next += count;
  };
  add(10);
  while (core->mirrored.watermark() != 10) std::this_thread::yield();
  add(10);  // the keeper is past its first pass
  wait_for_rows(*device, 20);
  REQUIRE(core->mirrored.slowed() == 0);
  gate.set(false);
  add(MirrorTail::kTailMax);
  CHECK(core->mirrored.slowed() == 0);  // one batch may be too much
  add(1);
  CHECK(core->mirrored.slowed() == 1);
  add(1);
  CHECK(core->mirrored.slowed() == 2);
  // On this thread, which the gate lets through: what is mirrored on the device, the rest here.
  for (const std::uint64_t id : {std::uint64_t{3}, next - 1}) {
    CHECK(nearest_to(core, id) == std::pair(RowId(id), std::string("gpu/emulated")));
  }
  CHECK(device->mirror().report().rows == 20);
  gate.set(true);
  wait_for_rows(*device, next);
  while (core->mirrored.watermark() != next) std::this_thread::yield();
  add(1);
  CHECK(core->mirrored.slowed() == 2);
}

TEST_CASE("mirror keeper: rows that do not fit slow nobody down", "[engine]") {
  gpu::GpuOptions options = simt::small_gpu();
  options.budget_bytes = 4'096;
  const auto device = gpu::Gpu::open(simt::make_emulated_driver(), options).value();
  Engine engine(with_planes(), 1, device);
  const CorePtr core = engine.create("rows");
  fill(core, 0, 10);
  while (device->mirror().report().refused < 2) std::this_thread::yield();
  fill(core, 10, MirrorTail::kTailMax);
  fill(core, 10 + MirrorTail::kTailMax, 10);
  CHECK(core->mirrored.slowed() == 0);
  CHECK(core->mirrored.watermark() == 0);
}

}  // namespace
