// The mirror: what it says is covered is there, in the form that the kernels read; what does not
// fit is refused and changes nothing; what a search has pinned stays. Comes before the scanner's
// tests. Test thread only. Always holds: device memory is read back byte by byte.
#include "engine/gpu/mirror.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

std::shared_ptr<Device> device(Device::Inject inject = {}) {
  return std::make_shared<Device>(make_emulated_driver(), std::move(inject));
}

// "" or the first row of the page that is not as the block has it. Emulated device memory is host
// memory.
std::string difference(const RowBlock& block, const MirrorPage& page) {
  const CoarsePlane& plane = *block.coarse();
  for (std::uint32_t r = 0; r < page.covered(); ++r) {
    for (std::uint32_t i = 0; i < plane.stride(); ++i) {
      const std::size_t at = std::size_t{r} * plane.stride() + i;
      if (page.codes()[at] != (plane.codes()[at] ^ 0x80)) return "codes of " + std::to_string(r);
    }
    const DeviceRow& row = page.rows()[r];
    if (row.scale != plane.scales()[r] || row.square != plane.squares()[r] ||
        row.residual != plane.residuals()[r] || row.norm != plane.norms()[r]) {
      return "row " + std::to_string(r);
    }
  }
  return {};
}

TEST_CASE("mirror: rows come over in as many pieces as the ring needs, and more later") {
  const GpuCase data(Metric::l2, 70, 900, 0, 0, 3);
  const RowBlock& block = *data.blocks[0].block;
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{32} << 10);
  REQUIRE(mirror.ok());
  CHECK((*mirror)->find(block.serial()) == nullptr);
  for (const std::uint32_t count : {1u, 64u, 65u, 65u, 900u}) {
    REQUIRE((*mirror)->cover(block, count).ok());
    const auto page = (*mirror)->find(block.serial());
    REQUIRE(page != nullptr);
    CHECK(page->covered() == count);
    CHECK(difference(block, *page) == "");
  }
  REQUIRE((*mirror)->cover(block, 10).ok());
  CHECK((*mirror)->find(block.serial())->covered() == 900);
  CHECK((*mirror)->report().rows == 900);
  CHECK((*mirror)->report().blocks == 1);
}

TEST_CASE("mirror: a block that does not fit is refused, and fits when another one went") {
  const GpuCase data(Metric::l2, 64, 300, 100, 0, 4);
  const RowShape& shape = data.rows.shape();
  const std::size_t page_bytes = std::size_t{shape.capacity} * (64 + sizeof(DeviceRow));
  const auto made = Mirror::make(device(), page_bytes + page_bytes / 2, std::size_t{64} << 10);
  REQUIRE(made.ok());
  Mirror& mirror = **made;
  REQUIRE(mirror.cover(*data.blocks[0].block, 100).ok());
  CHECK(mirror.cover(*data.blocks[1].block, 100).code() == StatusCode::resource_exhausted);
  CHECK(mirror.report().refused == 1);
  CHECK(mirror.report().used_bytes >= page_bytes);
  CHECK(mirror.find(data.blocks[1].block->serial()) == nullptr);
  // A search still looks at the first one.
  auto pinned = mirror.find(data.blocks[0].block->serial());
  mirror.forget(data.blocks[0].block->serial());
  CHECK(mirror.cover(*data.blocks[1].block, 100).code() == StatusCode::resource_exhausted);
  CHECK(difference(*data.blocks[0].block, *pinned) == "");
  pinned.reset();
  CHECK(mirror.cover(*data.blocks[1].block, 100).ok());
  const std::uint64_t kept[] = {data.blocks[1].block->serial()};
  mirror.keep_only(kept);
  CHECK(mirror.report().blocks == 1);
  mirror.keep_only({});
  CHECK(mirror.report().blocks == 0);
  CHECK(mirror.report().used_bytes == 0);
}

TEST_CASE("mirror: a row longer than the ring is refused") {
  const GpuCase data(Metric::l2, 4'000, 2, 0, 0, 5);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, 4'096);
  REQUIRE(mirror.ok());
  CHECK((*mirror)->cover(*data.blocks[0].block, 2).code() == StatusCode::resource_exhausted);
}

TEST_CASE("mirror: whichever call fails, nothing is covered that is not there") {
  const GpuCase data(Metric::dot, 64, 700, 0, 0, 6);
  const RowBlock& block = *data.blocks[0].block;
  bool failed = true;
  for (std::uint64_t at = 0; failed; ++at) {
    CAPTURE(at);
    failed = false;
    const auto shared = device([&](std::uint64_t call) {
      failed = failed || call == at;
      return call == at ? DriverCode::failed : DriverCode::ok;
    });
    const auto mirror = Mirror::make(shared, std::size_t{8} << 20, std::size_t{32} << 10);
    if (!mirror.ok()) continue;
    const Status covered = (*mirror)->cover(block, 700);
    const auto page = (*mirror)->find(block.serial());
    if (page != nullptr) {
      CHECK(page->covered() == (covered.ok() ? 700 : 0));
      CHECK(difference(block, *page) == "");
    }
    if (!covered.ok() && shared->alive()) {
      REQUIRE((*mirror)->cover(block, 700).ok());
      CHECK(difference(block, *(*mirror)->find(block.serial())) == "");
    }
    REQUIRE(at < 1'000);
  }
}

}  // namespace
