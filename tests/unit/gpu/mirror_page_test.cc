// The parts of a mirrored block: their memory comes from the pool and goes back when the last who
// looks lets go; a sketch lies where the kernels look for it. Comes before the tests of the mirror.
// Test thread only. Always holds: the emulated device's memory outlives its parts.
#include "engine/gpu/mirror_page.h"

#include <catch2/catch.hpp>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

std::shared_ptr<MirrorMemory> memory(std::size_t bytes) {
  auto device = std::make_shared<Device>(make_emulated_driver());
  auto* const at = static_cast<std::byte*>(device->allocate(bytes).value());
  return std::make_shared<MirrorMemory>(std::move(device), at, bytes);
}

TEST_CASE("mirror page: memory is taken once, and given back once") {
  const auto all = memory(4'096);
  {
    const auto first = MirrorStretch::take(all, 1'000, false);
    const auto small = MirrorStretch::take(all, 100, true);
    REQUIRE(first != nullptr);
    REQUIRE(small != nullptr);
    CHECK(first->at(5) == all->base + 5);
    CHECK(small->at(0) == all->base + 4'096 - 256);
    CHECK(MirrorStretch::take(all, 4'000, false) == nullptr);
    CHECK(all->pool.used() == 1'024 + 256);
  }
  CHECK(all->pool.used() == 0);
  const MirrorPage page(MirrorStretch::take(all, 2'048, false), 16, 1'024);
  CHECK(page.room() == 16);
  CHECK(reinterpret_cast<std::byte*>(page.rows()) - reinterpret_cast<std::byte*>(page.codes()) ==
        1'024);
  CHECK(page.covered() == 0);
}

TEST_CASE("mirror page: a sketch's parts follow one another") {
  GpuCase data(Metric::l2, 200, 300, 133, 0, 3);
  data.sketch();
  MirrorSketch sketch{nullptr, data.planes[0]};
  CHECK(sketch.padded() == 144);
  CHECK(sketch.numbers_at() == 144 * 16);
  CHECK(sketch.fine_at() == 144 * 28);
  CHECK(sketch.bytes() == 144 * 28 + std::size_t{133} * data.planes[0]->fine_stride());
  sketch.stretch = MirrorStretch::take(memory(1 << 16), sketch.bytes(), false);
  const DeviceSketch there = sketch.on_device();
  CHECK(reinterpret_cast<const std::byte*>(there.first) == sketch.stretch->at(0));
  CHECK(reinterpret_cast<const std::byte*>(there.fine) == sketch.stretch->at(144 * 28));
  CHECK(reinterpret_cast<std::uintptr_t>(there.fine) % 16 == 0);
  CHECK(there.padded == 144);
}

}  // namespace
