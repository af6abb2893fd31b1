// Vectors in the room that a mirror has left: they come over in pieces, byte by byte, after their
// page; they give their room back to whatever else needs it, and what a search has pinned stays
// until it has ended. Comes after the tests of the mirror. Test thread only. Always holds: device
// memory is read back byte by byte.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/gpu/mirror.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/fail_in_turn.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

std::shared_ptr<Device> device() {
  return std::make_shared<Device>(make_emulated_driver());
}

MirrorView view_of(const Mirror& mirror, const RowBlock& block) {
  const std::uint64_t serial = block.serial();
  std::vector<MirrorView> views;
  mirror.find_all(std::span(&serial, 1), views);
  return views[0];
}

// "" or the first row that is not as the block has it. Emulated device memory is host memory.
std::string difference(const RowBlock& block, const MirrorFull& full) {
  const RowShape& shape = block.shape();
  for (std::uint32_t r = 0; r < full.covered(); ++r) {
    if (std::memcmp(full.vectors() + std::size_t{r} * shape.stride, block.vector(r),
                    shape.stride) != 0) {
      return "vector " + std::to_string(r);
    }
    if (block.norms() != nullptr && full.norms()[r] != block.norms()[r]) {
      return "norm " + std::to_string(r);
    }
  }
  return {};
}

// What a block of the shape takes of the budget.
std::size_t rounded(std::size_t bytes) {
  return (bytes + PagePool::kAlignment - 1) / PagePool::kAlignment * PagePool::kAlignment;
}
std::size_t page_bytes(const RowShape& shape) {
  return rounded(shape.capacity * Mirror::row_bytes(shape));
}
std::size_t full_bytes(const RowShape& shape) {
  return rounded(shape.capacity * Mirror::full_row_bytes(shape));
}

TEST_CASE("mirror full: vectors come over after their page, as many at a time as are asked for") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    CAPTURE(to_string(metric));
    const GpuCase data(metric, 70, 900, 0, 0, 3);
    const RowBlock& block = *data.blocks[0].block;
    const auto shared = device();
    const auto mirror = Mirror::make(shared, std::size_t{16} << 20, std::size_t{32} << 10).value();
    CHECK(mirror->cover_full(block, 900, 900).value() == 0);  // no page yet
    CHECK(mirror->report().used_bytes == 0);
    REQUIRE(mirror->cover(block, 500).ok());
    CHECK(view_of(*mirror, block).full == nullptr);
    CHECK(mirror->report().full == 0);
    struct Asked {
      std::uint32_t count, most, sent, covered;
    };
    for (const Asked& asked : {Asked{1, 10, 1, 1},
                               {500, 100, 100, 101},
                               {500, 1'000, 399, 500},
                               {500, 9, 0, 500},
                               {20, 9, 0, 500},
                               {900, 0, 0, 500},
                               {900, 400, 400, 900}}) {
      CHECK(mirror->cover_full(block, asked.count, asked.most).value() == asked.sent);
      const auto full = view_of(*mirror, block).full;
      REQUIRE(full != nullptr);
      CHECK(full->covered() == asked.covered);
      CHECK(difference(block, *full) == "");
    }
    const std::uint64_t calls = shared->calls();
    CHECK(mirror->cover_full(block, 900, 900).value() == 0);
    CHECK(shared->calls() == calls);  // nothing to do costs nothing
    CHECK(mirror->report().full == 1);
    CHECK(mirror->report().full_rows == 900);
    CHECK(mirror->report().used_bytes == page_bytes(block.shape()) + full_bytes(block.shape()));
    mirror->forget(block.serial());
    CHECK(mirror->report().used_bytes == 0);
  }
}

TEST_CASE("mirror full: what kernels do not read does not come over") {
  CHECK_FALSE(Mirror::serves_full(RowShape::make(Metric::hamming, ScalarType::bit, 64)));
  CHECK_FALSE(Mirror::serves_full(RowShape::make(Metric::l2, ScalarType::f32, 64)));  // no codes
  CHECK(Mirror::serves_full(GpuCase::shape_of(Metric::l2, kFullDimMax)));
  CHECK_FALSE(Mirror::serves_full(GpuCase::shape_of(Metric::l2, kFullDimMax + 1)));
  test::TestRows rows(RowShape::make(Metric::hamming, ScalarType::bit, 200));
  test::VectorSource source(rows.shape(), test::DataKind::normal, 5);
  for (std::uint64_t r = 0; r < 50; ++r) rows.add(source.next_row(), IdView(r), 0);
  const RowBlock& block = *rows.scan_blocks()[0].block;
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{8} << 10).value();
  REQUIRE(mirror->cover(block, 50).ok());
  CHECK(mirror->cover_full(block, 50, 50).value() == 0);
  CHECK(mirror->report().full == 0);
}

TEST_CASE("mirror full: pages, sketches and live bits take the room of vectors, and never less") {
  GpuCase data(Metric::l2, 64, 800, 200, 0, 4, true);
  data.sketch();
  const RowShape& shape = data.rows.shape();
  // Three pages and the vectors of one block, with a little beside that.
  const auto mirror =
      Mirror::make(device(), 3 * page_bytes(shape) + full_bytes(shape) + 256, std::size_t{64} << 10)
          .value();
  const auto block = [&](std::size_t b) -> const RowBlock& { return *data.blocks[b].block; };
  const auto has_full = [&](std::size_t b) { return view_of(*mirror, block(b)).full != nullptr; };
  REQUIRE(mirror->cover(block(0), 200).ok());
  REQUIRE(mirror->cover(block(1), 200).ok());
  CHECK(mirror->cover_full(block(0), 200, 200).value() == 200);
  // No vectors make room for others.
  CHECK(mirror->cover_full(block(1), 200, 200).status().code() == StatusCode::resource_exhausted);
  CHECK(has_full(0));
  REQUIRE(mirror->cover(block(2), 200).ok());
  CHECK(has_full(0));
  CHECK(mirror->report().evicted == 0);
  REQUIRE(mirror->cover(block(3), 200).ok());
  CHECK_FALSE(has_full(0));
  CHECK(mirror->report().evicted == 1);
  CHECK(mirror->report().refused == 0);
  CHECK(mirror->report().blocks == 4);
  // The same for a sketch, and for live bits.
  for (const bool sketch : {true, false}) {
    CAPTURE(sketch);
    mirror->keep_only({});
    for (std::size_t b = 0; b < 3; ++b) REQUIRE(mirror->cover(block(b), 200).ok());
    REQUIRE(mirror->cover_full(block(0), 200, 200).value() == 200);
    const std::uint64_t evicted = mirror->report().evicted;
    if (sketch) {
      REQUIRE(mirror->cover_sketch(block(0).serial(), data.planes[0]).ok());
      CHECK(mirror->report().sketched == 1);
    } else {
      std::vector<std::uint64_t> words(64, 1);  // more than is left
      const LiveWords shared(std::shared_ptr<const void>(), words.data());
      const Mirror::Live live[] = {{block(1).serial(), shared, 64}};
      REQUIRE(mirror->cover_live(live).ok());
      CHECK(mirror->report().masked == 1);
    }
    CHECK_FALSE(has_full(0));
    CHECK(mirror->report().evicted == evicted + 1);
  }
}

TEST_CASE("mirror full: as many blocks give up their vectors as make room in one piece") {
  // A page as large as nine of them, and of ten one that is given up last between the others.
  const GpuCase small(Metric::l2, 16, 10, 1, 0, 4);
  const GpuCase large(Metric::l2, 4'096, 1, 0, 0, 4, false, ScalarType::i8);
  const std::size_t full = full_bytes(small.rows.shape());
  REQUIRE(page_bytes(large.rows.shape()) > 8 * full);
  REQUIRE(page_bytes(large.rows.shape()) <= 9 * full);
  const auto mirror =
      Mirror::make(device(), 10 * (page_bytes(small.rows.shape()) + full), std::size_t{64} << 10)
          .value();
  for (const ScanBlock& block : small.blocks) REQUIRE(mirror->cover(*block.block, 1).ok());
  for (const std::size_t b : {1u, 2u, 3u, 4u, 0u, 5u, 6u, 7u, 8u, 9u}) {
    REQUIRE(mirror->cover_full(*small.blocks[b].block, 1, 1).value() == 1);
  }
  REQUIRE(mirror->cover(*large.blocks[0].block, 1).ok());
  CHECK(mirror->report().blocks == 11);
  CHECK(mirror->report().evicted >= 9);
}

TEST_CASE("mirror full: vectors that no search reads make room first") {
  const GpuCase data(Metric::l2, 64, 600, 200, 0, 4);
  const RowShape& shape = data.rows.shape();
  const auto mirror =
      Mirror::make(device(), 2 * page_bytes(shape) + 2 * full_bytes(shape), std::size_t{64} << 10)
          .value();
  for (std::size_t pinned = 0; pinned < 2; ++pinned) {
    CAPTURE(pinned);
    for (std::size_t b = 0; b < 2; ++b) {
      REQUIRE(mirror->cover(*data.blocks[b].block, 200).ok());
      REQUIRE(mirror->cover_full(*data.blocks[b].block, 200, 200).value() == 200);
    }
    const MirrorView search = view_of(*mirror, *data.blocks[pinned].block);
    REQUIRE(mirror->cover(*data.blocks[2].block, 200).ok());
    CHECK(view_of(*mirror, *data.blocks[pinned].block).full == search.full);
    CHECK(view_of(*mirror, *data.blocks[1 - pinned].block).full == nullptr);
    mirror->keep_only({});
  }
}

TEST_CASE("mirror full: what a search has pinned stays, and its room comes with its end") {
  const GpuCase data(Metric::l2, 64, 600, 200, 0, 4);
  const RowShape& shape = data.rows.shape();
  // Vectors and pages of two blocks.
  const auto mirror =
      Mirror::make(device(), 2 * page_bytes(shape) + 2 * full_bytes(shape), std::size_t{64} << 10)
          .value();
  std::vector<MirrorView> search;
  for (std::size_t b = 0; b < 2; ++b) {
    REQUIRE(mirror->cover(*data.blocks[b].block, 200).ok());
    REQUIRE(mirror->cover_full(*data.blocks[b].block, 200, 200).value() == 200);
    search.push_back(view_of(*mirror, *data.blocks[b].block));
  }
  const RowBlock& third = *data.blocks[2].block;
  CHECK(mirror->cover(third, 200).code() == StatusCode::resource_exhausted);
  // One of them was given up, which is enough, and is still as it was.
  CHECK(mirror->report().evicted == 1);
  CHECK(mirror->report().full == 1);
  for (std::size_t b = 0; b < 2; ++b) {
    CHECK(difference(*data.blocks[b].block, *search[b].full) == "");
  }
  search.clear();
  REQUIRE(mirror->cover(third, 200).ok());
  CHECK(mirror->report().evicted == 1);
}

TEST_CASE("mirror full: whichever call fails, no vector is there that did not come over") {
  const GpuCase data(Metric::dot, 64, 300, 0, 0, 6);
  const RowBlock& block = *data.blocks[0].block;
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost, DriverCode::out_of_memory}) {
    CAPTURE(static_cast<int>(code));
    int refused = 0;
    fail_in_turn(code, 200, [&](FailingDevice& failing) {
      const auto shared = failing.make();
      const auto mirror = Mirror::make(shared, std::size_t{8} << 20, std::size_t{64} << 10).value();
      REQUIRE(mirror->cover(block, 300).ok());
      REQUIRE(mirror->cover_full(block, 100, 100).value() == 100);
      const std::uint64_t used = mirror->report().used_bytes;
      failing.arm();
      const Result<std::uint32_t> sent = mirror->cover_full(block, 300, 300);
      failing.disarm();
      const auto full = view_of(*mirror, block).full;
      REQUIRE(full != nullptr);
      CHECK(full->covered() == (sent.ok() ? 300 : 100));
      CHECK(difference(block, *full) == "");
      CHECK(mirror->report().used_bytes == used);
      refused += sent.ok() ? 0 : 1;
      if (sent.ok() || !shared->alive()) return;
      REQUIRE(mirror->cover_full(block, 300, 300).value() == 200);
      CHECK(difference(block, *full) == "");
    });
    CHECK(refused > 5);  // waits, copies, records and the drain
  }
}

TEST_CASE("mirror full: the first vectors of a block that fail leave nothing behind") {
  const GpuCase data(Metric::l2, 64, 300, 0, 0, 6);
  const RowBlock& block = *data.blocks[0].block;
  FailingDevice failing(DriverCode::failed, 1);  // the copy
  const auto mirror =
      Mirror::make(failing.make(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  REQUIRE(mirror->cover(block, 300).ok());
  const std::uint64_t used = mirror->report().used_bytes;
  failing.arm();
  CHECK_FALSE(mirror->cover_full(block, 300, 300).ok());
  failing.disarm();
  CHECK(view_of(*mirror, block).full == nullptr);
  CHECK(mirror->report().used_bytes == used);
}

TEST_CASE("mirror full: a report says what there is in words") {
  const GpuCase data(Metric::l2, 64, 300, 0, 0, 6);
  const RowBlock& block = *data.blocks[0].block;
  const auto mirror = Mirror::make(device(), std::size_t{9} << 20, std::size_t{64} << 10).value();
  CHECK(to_string(mirror->report()) == "0 rows in 0 blocks, 0 with their vectors, 0 of 9 MiB");
  REQUIRE(mirror->cover(block, 300).ok());
  REQUIRE(mirror->cover_full(block, 200, 200).ok());
  const std::size_t used = page_bytes(block.shape()) + full_bytes(block.shape());
  CHECK(to_string(mirror->report()) == "300 rows in 1 blocks, 200 with their vectors, " +
                                           std::to_string((used + (1u << 20) - 1) >> 20) +
                                           " of 9 MiB");
}

}  // namespace
