// The mirror: what it says is covered is there, in the form that the kernels read; what does not
// fit is refused and changes nothing; what a search has pinned stays. Comes before the scanner's
// tests. Test thread only. Always holds: device memory is read back byte by byte.
#include "engine/gpu/mirror.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/fail_in_turn.h"
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

// "" or what of the sketch on the device is not as the plane has it.
std::string sketch_difference(const MirrorSketch& mirrored) {
  const SketchPlane& plane = *mirrored.plane;
  const DeviceSketch there = mirrored.on_device();
  const float* const numbers[] = {plane.bases(), plane.lefts(), plane.reaches()};
  for (std::uint32_t r = 0; r < plane.count(); ++r) {
    const std::size_t stripe = std::size_t{r / 16} * 256 + r % 16 * 4;
    for (std::uint32_t axis = 0; axis < kSketchFirst; ++axis) {
      const std::size_t at = stripe + axis / 4 * 64 + axis % 4;
      if (there.first[at] != (plane.first()[at] ^ 0x80)) return "stripe of " + std::to_string(r);
    }
    for (std::size_t i = 0; i < 3; ++i) {
      if (there.numbers[i * there.padded + r] != numbers[i][r]) return "numbers";
    }
    const std::size_t record = std::size_t{r} * plane.fine_stride();
    for (std::uint32_t i = 0; i < plane.fine_stride(); ++i) {
      const std::uint8_t code = plane.fine()[record + i];
      const std::uint8_t meant = i < plane.fine_codes() ? code ^ 0x80 : code;
      if (there.fine[record + i] != meant) return "fine record of " + std::to_string(r);
    }
  }
  return {};
}

MirrorView view_of(const Mirror& mirror, const RowBlock& block) {
  const std::uint64_t serials[] = {block.serial()};
  std::vector<MirrorView> views;
  mirror.find_all(serials, views);
  return views[0];
}

// 90: 16 axes, in stripes alone; 200: 48, with a fine record for each row.
TEST_CASE("mirror: a sketch comes over whole, another one takes its place, and it can go") {
  const std::uint32_t dim = GENERATE(90u, 200u);
  CAPTURE(dim);
  GpuCase data(Metric::dot, dim, 700, 333, 0, 6, true);
  data.sketch();
  CHECK((data.planes[0]->fine_stride() != 0) == (dim == 200));
  const RowBlock& block = *data.blocks[0].block;
  // A ring of 1 KiB slots: records and stripes are cut in their middle.
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{4} << 10).value();
  REQUIRE(mirror->cover_sketch(block.serial(), data.planes[0]).ok());
  CHECK(view_of(*mirror, block).sketch == nullptr);  // there is no page yet
  REQUIRE(mirror->cover(block, 333).ok());
  REQUIRE(mirror->cover_sketch(block.serial(), data.planes[0]).ok());
  auto first = view_of(*mirror, block).sketch;
  REQUIRE(first != nullptr);
  CHECK(sketch_difference(*first) == "");
  CHECK(mirror->report().sketched == 1);
  const auto used = mirror->report().used_bytes;
  REQUIRE(mirror->cover_sketch(block.serial(), data.planes[0]).ok());
  CHECK(view_of(*mirror, block).sketch == first);  // nothing to do
  const auto other = std::make_shared<const SketchPlane>(
      test::sketch_axes(data.rows.shape(), std::span(data.blocks).subspan(1)), block, 200);
  REQUIRE(mirror->cover_sketch(block.serial(), other).ok());
  CHECK(sketch_difference(*view_of(*mirror, block).sketch) == "");
  CHECK(sketch_difference(*first) == "");  // a search may still look at it
  first.reset();
  CHECK(mirror->report().used_bytes < used);
  REQUIRE(mirror->cover_sketch(block.serial(), nullptr).ok());
  CHECK(mirror->report().sketched == 0);
  mirror->forget(block.serial());
  CHECK(mirror->report().used_bytes == 0);
}

TEST_CASE("mirror: what does not fit beside its page is refused or left out") {
  GpuCase data(Metric::l2, 64, 300, 200, 0, 6);
  data.sketch();
  const RowBlock& block = *data.blocks[0].block;
  const std::size_t page_bytes = std::size_t{block.shape().capacity} * (64 + sizeof(DeviceRow));
  const auto mirror = Mirror::make(device(), page_bytes, std::size_t{64} << 10).value();
  REQUIRE(mirror->cover(block, 200).ok());
  CHECK(mirror->cover_sketch(block.serial(), data.planes[0]).code() ==
        StatusCode::resource_exhausted);
  const LiveWords words(std::shared_ptr<const void>(), data.bits[0].data());
  const Mirror::Live live[] = {{block.serial(), words, 4}};
  CHECK(mirror->cover_live(live).ok());
  CHECK(view_of(*mirror, block).live == nullptr);
  CHECK(mirror->report().used_bytes == page_bytes);
}

TEST_CASE("mirror: live bits of many blocks, each version where its searches still look") {
  GpuCase data(Metric::l2, 32, 500, 170, 0, 6);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  std::vector<Mirror::Live> live;
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    REQUIRE(mirror->cover(*data.blocks[b].block, 100).ok());
    const auto owned = std::make_shared<std::vector<std::uint64_t>>(3, 0x1111u * (b + 1));
    live.push_back({data.blocks[b].block->serial(), LiveWords(owned, owned->data()), 3});
  }
  live.push_back({UINT64_MAX, live[0].words, 3});  // of no block that is here
  const std::uint64_t pages = mirror->report().used_bytes;
  REQUIRE(mirror->cover_live(live).ok());
  CHECK(mirror->report().masked == data.blocks.size());
  CHECK(mirror->report().used_bytes == pages + data.blocks.size() * 256);
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    const MirrorView view = view_of(*mirror, *data.blocks[b].block);
    REQUIRE(view.live != nullptr);
    CHECK(view.live->on_device()[2] == 0x1111u * (b + 1));
    CHECK(view.live->words == live[b].words);
  }
  // A row of the first block is deleted while a search looks at it.
  auto pinned = view_of(*mirror, *data.blocks[0].block).live;
  const auto fresh = std::make_shared<std::vector<std::uint64_t>>(3, 0x1110u);
  live[0].words = LiveWords(fresh, fresh->data());
  REQUIRE(mirror->cover_live(live).ok());
  CHECK(pinned->on_device()[0] == 0x1111u);
  CHECK(view_of(*mirror, *data.blocks[0].block).live->on_device()[0] == 0x1110u);
  pinned.reset();
  CHECK(mirror->report().used_bytes == pages + data.blocks.size() * 256);
  mirror->keep_only({});
  CHECK(mirror->report().used_bytes == 0);
}

TEST_CASE("mirror: bits of more rows take the place of fewer, though they are the same words") {
  GpuCase data(Metric::l2, 32, 300, 200, 0, 6);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  const RowBlock& block = *data.blocks[0].block;
  REQUIRE(mirror->cover(block, 200).ok());
  const auto owned = std::make_shared<std::vector<std::uint64_t>>(4, 0x1234u);
  for (const std::uint32_t words : {2u, 4u, 3u}) {
    CAPTURE(words);
    const Mirror::Live live[] = {{block.serial(), LiveWords(owned, owned->data()), words}};
    REQUIRE(mirror->cover_live(live).ok());
    const MirrorView view = view_of(*mirror, block);
    REQUIRE(view.live != nullptr);
    CHECK(view.live->word_count == (words == 2 ? 2u : 4u));  // never fewer again
    CHECK(view.live->on_device()[view.live->word_count - 1] == 0x1234u);
  }
}

TEST_CASE("mirror: whichever call fails, no block has live bits that did not come over") {
  GpuCase data(Metric::l2, 32, 500, 170, 0, 6);
  int refused = 0;
  fail_in_turn(DriverCode::failed, 100, [&](FailingDevice& failing) {
    const auto mirror =
        Mirror::make(failing.make(), std::size_t{8} << 20, std::size_t{64} << 10).value();
    std::vector<Mirror::Live> live;
    for (std::size_t b = 0; b < data.blocks.size(); ++b) {
      REQUIRE(mirror->cover(*data.blocks[b].block, 100).ok());
      const auto owned = std::make_shared<std::vector<std::uint64_t>>(3, 0x1111u * (b + 1));
      live.push_back({data.blocks[b].block->serial(), LiveWords(owned, owned->data()), 3});
    }
    failing.arm();
    refused += mirror->cover_live(live).ok() ? 0 : 1;
    for (std::size_t b = 0; b < data.blocks.size(); ++b) {
      const MirrorView view = view_of(*mirror, *data.blocks[b].block);
      if (view.live == nullptr) continue;
      const std::uint64_t* const words = view.live->on_device();
      CHECK(std::all_of(words, words + 3, [&](auto word) { return word == 0x1111u * (b + 1); }));
    }
  });
  CHECK(refused >= 9);  // three calls for each of three blocks
}

TEST_CASE("mirror: rows of bits come over as they are, rows without bits or codes do not") {
  test::TestRows rows(RowShape::make(Metric::hamming, ScalarType::bit, 200));
  test::VectorSource source(rows.shape(), test::DataKind::normal, 5);
  for (std::uint64_t r = 0; r < 500; ++r) rows.add(source.next_row(), IdView(r), 0);
  const RowBlock& block = *rows.scan_blocks()[0].block;
  REQUIRE(Mirror::covers(block));
  CHECK(Mirror::stride(block.shape()) == 32);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{8} << 10).value();
  for (const std::uint32_t count : {70u, 500u}) {
    REQUIRE(mirror->cover(block, count).ok());
    const auto page = mirror->find(block.serial());
    CHECK(page->covered() == count);
    for (std::uint32_t r = 0; r < count; ++r) {
      REQUIRE(std::memcmp(page->codes() + r * 32, block.vector(r), 32) == 0);
    }
  }
  CHECK(mirror->report().used_bytes == std::size_t{block.shape().capacity} * 32);
  const RowShape sums = RowShape::make(Metric::l1, ScalarType::f32, 8);
  CHECK_FALSE(Mirror::serves(sums));
  CHECK_FALSE(Mirror::covers(RowBlock(sums)));
  RowShape coarse = RowShape::make(Metric::l2, ScalarType::f32, 70);
  CHECK_FALSE(Mirror::serves(coarse));
  coarse.coarse = true;
  CHECK(Mirror::serves(coarse));
  CHECK(Mirror::stride(coarse) == 128);
  CHECK_FALSE(
      Mirror::covers(RowBlock(coarse, AlignedBuffer::Use::sparse, RowBlock::Planes::later)));
}

TEST_CASE("mirror: a row longer than the ring is refused") {
  const GpuCase data(Metric::l2, 4'000, 2, 0, 0, 5);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, 4'096);
  REQUIRE(mirror.ok());
  CHECK((*mirror)->cover(*data.blocks[0].block, 2).code() == StatusCode::resource_exhausted);
}

TEST_CASE("mirror: whichever call fails, nothing is covered that is not there") {
  GpuCase data(Metric::dot, 64, 750, 700, 0, 6);
  data.sketch();
  const RowBlock& block = *data.blocks[0].block;
  const LiveWords words(std::shared_ptr<const void>(), data.bits[0].data());
  const Mirror::Live live[] = {{block.serial(), words, 11}};
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
    const Status sketched = (*mirror)->cover_sketch(block.serial(), data.planes[0]);
    const Status masked = (*mirror)->cover_live(live);
    const MirrorView view = view_of(**mirror, block);
    CHECK((view.sketch != nullptr) == (sketched.ok() && view.page != nullptr));
    CHECK((view.live != nullptr) == (masked.ok() && view.page != nullptr));
    if (view.sketch != nullptr) CHECK(sketch_difference(*view.sketch) == "");
    if (view.live != nullptr) CHECK(view.live->on_device()[10] == data.bits[0][10]);
    REQUIRE(at < 1'000);
  }
}

}  // namespace
