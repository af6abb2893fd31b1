// Checks engine/mirror_keeper over an emulated GPU: rows come over as they are published, dead and
// dropped blocks go, and a whole database that searches through the device answers as one that has
// none. The database's own keeper runs beside the test. Always holds: answers are compared bit for
// bit.
#include "engine/mirror_keeper.h"

#include <catch2/catch.hpp>
#include <thread>

#include "engine/database_testing.h"
#include "tests/support/dice.h"
#include "tests/support/simt/emulated_gpu.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 32;

std::vector<float> random_vector(Dice& dice) {
  std::vector<float> vector(kDim);
  for (float& x : vector) x = static_cast<float>(dice.below(2'000)) * 0.01f - 10.0f;
  return vector;
}

Database open_with(std::shared_ptr<gpu::Gpu> gpu) {
  DatabaseOptions options;
  options.in_memory = true;
  options.planes = Planes::coarse;
  options.threads = 1;
  TestHooks hooks;
  hooks.device = std::move(gpu);
  return std::move(open_for_testing("", options, hooks).value());
}

Collection make(Database& database) {
  CollectionOptions options;
  options.dim = kDim;
  return database.create_collection("rows", options).value();
}

// Until the mirror has so many rows.
void wait_for_rows(gpu::Gpu& gpu, std::uint64_t rows) {
  while (gpu.mirror().report().rows != rows && gpu.device().alive()) std::this_thread::yield();
}

TEST_CASE("mirror keeper: a database with a GPU answers as one without, and says who did",
          "[engine]") {
  const auto gpu = simt::open_emulated_gpu();
  Database with = open_with(gpu);
  Database without = open_with(nullptr);
  Collection fast = make(with);
  Collection plain = make(without);
  CHECK(with.stats().gpu == "emulated GPU (emulated)");
  CHECK(without.stats().gpu.starts_with("none: "));
  CHECK(fast.stats()->backend == "gpu/emulated");
  Dice dice(3);
  std::uint64_t next = 0;
  for (const std::uint64_t count : {300u, 5u, 400u}) {
    std::vector<std::vector<float>> vectors;
    std::vector<RowInput> rows;
    for (std::uint64_t r = 0; r < count; ++r) vectors.push_back(random_vector(dice));
    for (std::uint64_t r = 0; r < count; ++r) {
      RowInput row;
      row.id = next++;
      row.vector = VectorView(std::span<const float>(vectors[r]));
      rows.push_back(row);
    }
    REQUIRE(fast.upsert(rows).ok());
    REQUIRE(plain.upsert(rows).ok());
    const std::vector<float> asked = random_vector(dice);
    const Query query(asked);
    SearchOptions options;
    options.k = 7;
    // At once, with the new rows on the CPU, and when they are all mirrored.
    for (const bool mirrored : {false, true}) {
      if (mirrored) wait_for_rows(*gpu, next);
      const auto found = fast.search(std::span(&query, 1), options);
      const auto truth = plain.search(std::span(&query, 1), options);
      REQUIRE(found.ok());
      REQUIRE(truth.ok());
      if (mirrored) CHECK(found->backend == "gpu/emulated");
      REQUIRE(found->neighbors.size() == truth->neighbors.size());
      for (std::size_t i = 0; i < found->neighbors.size(); ++i) {
        CHECK(found->neighbors[i].id == truth->neighbors[i].id);
        CHECK(found->neighbors[i].distance == truth->neighbors[i].distance);
      }
    }
  }
  CHECK(gpu->device().failure() == "");
  gpu->device().condemn("a test");
  const std::vector<float> asked = random_vector(dice);
  const Query query(asked);
  const auto after = fast.search(std::span(&query, 1), SearchOptions());
  REQUIRE(after.ok());
  CHECK(after->backend.starts_with("cpu/"));
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

}  // namespace
