// Rows of sparse pages that become a page of their own on the device: byte by byte what the fresh
// block has, without touching what a search still reads, or nothing at all. Comes after
// mirror_test. Test thread only. Always holds: device memory is read back; the seed of the rows is
// in the case.
#include <catch2/catch.hpp>
#include <cstring>

#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/fail_in_turn.h"
#include "tests/support/simt/on_device.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

using Origins = std::vector<Mirror::Origin>;

std::shared_ptr<Device> device() {
  return std::make_shared<Device>(make_emulated_driver());
}

// One row in so many of every block, copied to a block of its own.
struct Sparse {
  Sparse(std::span<const ScanBlock> from, const RowShape& shape, std::uint32_t one_in)
      : fresh(std::make_unique<RowBlock>(shape)) {
    for (const ScanBlock& view : from) {
      const RowBlock& block = *view.block;
      for (std::uint32_t r = 0; r < view.count; r += one_in) {
        fresh->append(fresh->size(), block.id(r), block.vector(r), 0);
        origins.push_back({block.serial(), r});
      }
    }
  }
  std::unique_ptr<RowBlock> fresh;
  Origins origins;
};

void cover_all(Mirror& mirror, std::span<const ScanBlock> blocks) {
  for (const ScanBlock& block : blocks) REQUIRE(mirror.cover(*block.block, block.count).ok());
}

// "" or what of the page is not as the block has it.
std::string difference(const RowBlock& block, const MirrorPage& page) {
  const CoarsePlane& plane = *block.coarse();
  if (page.covered() != block.size()) return "rows";
  for (std::size_t i = 0; i < std::size_t{block.size()} * plane.stride(); ++i) {
    if (page.codes()[i] != (plane.codes()[i] ^ 0x80)) return "code " + std::to_string(i);
  }
  for (std::uint32_t r = 0; r < block.size(); ++r) {
    const DeviceRow meant = {plane.scales()[r], plane.squares()[r], plane.residuals()[r],
                             plane.norms()[r]};
    if (std::memcmp(page.rows() + r, &meant, sizeof(meant)) != 0) return "row " + std::to_string(r);
  }
  return {};
}

TEST_CASE("mirror rewrite: live rows of sparse pages are, byte by byte, the fresh block's page") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t one_in : {1u, 2u, 7u, 300u}) {
      CAPTURE(to_string(metric), one_in);
      const GpuCase data(metric, 70, 900, 300, 0, 3);
      const Sparse sparse(data.blocks, data.rows.shape(), one_in);
      // A ring of 1 KiB slots: the list of rows goes over in pieces.
      const auto shared = device();
      const auto mirror = Mirror::make(shared, std::size_t{8} << 20, std::size_t{4} << 10).value();
      cover_all(*mirror, data.blocks);
      const std::uint64_t used = mirror->report().used_bytes;
      REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
      const auto page = mirror->find(sparse.fresh->serial());
      REQUIRE(page != nullptr);
      CHECK(difference(*sparse.fresh, *page) == "");
      CHECK(mirror->report().moved == sparse.origins.size());
      // It takes the room of its rows and no more; the list is gone.
      const std::size_t bytes = sparse.origins.size() * (128 + sizeof(DeviceRow));
      CHECK(mirror->report().used_bytes == used + (bytes + 255) / 256 * 256);
      CHECK(shared->failure() == "");
    }
  }
}

TEST_CASE("mirror rewrite: rows of bits move as they are") {
  test::TestRows rows(RowShape::make(Metric::hamming, ScalarType::bit, 200));
  test::VectorSource source(rows.shape(), test::DataKind::normal, 5);
  for (std::uint64_t r = 0; r < 500; ++r) rows.add(source.next_row(), IdView(r), 200);
  const auto blocks = rows.scan_blocks();
  const Sparse sparse(blocks, rows.shape(), 3);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{8} << 10).value();
  cover_all(*mirror, blocks);
  REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
  const auto page = mirror->find(sparse.fresh->serial());
  REQUIRE(page->covered() == sparse.fresh->size());
  for (std::uint32_t r = 0; r < sparse.fresh->size(); ++r) {
    REQUIRE(std::memcmp(page->codes() + r * 32, sparse.fresh->vector(r), 32) == 0);
  }
}

TEST_CASE("mirror rewrite: a search in flight keeps the old pages until it has ended") {
  const GpuCase data(Metric::l2, 64, 900, 300, 3, 9);
  OnDevice on(data, small_gpu().tuning);
  const std::uint64_t used = on.mirror->report().used_bytes;
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  REQUIRE(on.scan.start(on.batch, *on.lane).ok());
  REQUIRE(on.mirror->rewrite(*sparse.fresh, sparse.origins).ok());
  on.mirror->end_rewrite(sparse.fresh->serial(), true);
  const std::uint64_t kept[] = {sparse.fresh->serial()};
  on.mirror->keep_only(kept);
  CHECK(on.mirror->report().blocks == 1);
  CHECK(on.mirror->report().used_bytes > used);
  // What the old pages would be given to, were they free.
  const GpuCase other(Metric::l2, 64, 900, 300, 0, 10);
  cover_all(*on.mirror, other.blocks);
  REQUIRE(on.scan.finish().ok());
  CHECK(on.device->failure() == "");
  CHECK(on.has_answers(data, 5));
  on.mirror->keep_only(kept);
  on.blocks.clear();
  CHECK(on.mirror->report().used_bytes < used);
  CHECK(difference(*sparse.fresh, *on.mirror->find(sparse.fresh->serial())) == "");
}

TEST_CASE("mirror rewrite: a page that is made ahead outlives passes that do not know its block") {
  const GpuCase data(Metric::l2, 32, 500, 250, 0, 4);
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  const std::uint64_t serial = sparse.fresh->serial();
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  cover_all(*mirror, data.blocks);
  REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
  for (int pass = 0; pass < 3; ++pass) mirror->keep_only({});
  REQUIRE(mirror->find(serial) != nullptr);
  mirror->end_rewrite(serial, true);
  // A pass that looked before the block was published, then one that did not.
  mirror->keep_only({});
  REQUIRE(mirror->find(serial) != nullptr);
  mirror->keep_only({});
  CHECK(mirror->find(serial) == nullptr);
  CHECK(mirror->report().used_bytes == 0);
}

TEST_CASE("mirror rewrite: a block that is not published after all leaves nothing behind") {
  const GpuCase data(Metric::l2, 32, 500, 250, 0, 4);
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  cover_all(*mirror, data.blocks);
  const std::uint64_t used = mirror->report().used_bytes;
  REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
  mirror->end_rewrite(sparse.fresh->serial(), false);
  CHECK(mirror->find(sparse.fresh->serial()) == nullptr);
  CHECK(mirror->report().used_bytes == used);
  // Nor is the serial spared later on.
  REQUIRE(mirror->cover(*sparse.fresh, 10).ok());
  mirror->keep_only({});
  CHECK(mirror->find(sparse.fresh->serial()) == nullptr);
}

TEST_CASE("mirror rewrite: rows that are not mirrored, or do not fit, change nothing") {
  const GpuCase data(Metric::l2, 64, 600, 300, 0, 4);
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  const std::size_t page_bytes = data.rows.shape().capacity * (64 + sizeof(DeviceRow));
  const auto mirror = Mirror::make(device(), 2 * page_bytes + 8'192, std::size_t{64} << 10).value();
  const auto refused = [&](const RowBlock& block, const Origins& origins, StatusCode code) {
    const MirrorReport before = mirror->report();
    CHECK(mirror->rewrite(block, origins).code() == code);
    CHECK(mirror->report().used_bytes == before.used_bytes);
    CHECK(mirror->report().moved == 0);
    CHECK(mirror->find(block.serial()) == nullptr);
  };
  refused(*sparse.fresh, sparse.origins, StatusCode::failed_precondition);
  REQUIRE(mirror->cover(*data.blocks[0].block, 300).ok());
  REQUIRE(mirror->cover(*data.blocks[1].block, 298).ok());  // the last one is missing
  refused(*sparse.fresh, sparse.origins, StatusCode::failed_precondition);
  REQUIRE(mirror->cover(*data.blocks[1].block, 300).ok());
  refused(*sparse.fresh, sparse.origins, StatusCode::resource_exhausted);
  refused(RowBlock(data.rows.shape()), {}, StatusCode::failed_precondition);
  Origins fewer = sparse.origins;
  fewer.pop_back();
  refused(*sparse.fresh, fewer, StatusCode::failed_precondition);
  // A block of few rows fits where a whole page does not.
  const Sparse few(data.blocks, data.rows.shape(), 20);
  REQUIRE(mirror->rewrite(*few.fresh, few.origins).ok());
  CHECK(difference(*few.fresh, *mirror->find(few.fresh->serial())) == "");
}

TEST_CASE("mirror rewrite: a block that grew beyond the rows that were moved gets a page anew") {
  const GpuCase data(Metric::l2, 32, 500, 250, 0, 4);
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  const auto mirror = Mirror::make(device(), std::size_t{8} << 20, std::size_t{64} << 10).value();
  cover_all(*mirror, data.blocks);
  REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
  RowBlock& fresh = *sparse.fresh;
  const auto first = mirror->find(fresh.serial());
  REQUIRE(mirror->cover(fresh, fresh.size()).ok());
  CHECK(mirror->find(fresh.serial()) == first);  // nothing to do
  fresh.append(10'000, IdView(std::uint64_t{1}), data.blocks[0].block->vector(1), 0);
  REQUIRE(mirror->cover(fresh, fresh.size()).ok());
  CHECK(difference(fresh, *mirror->find(fresh.serial())) == "");
  CHECK(first->covered() == fresh.size() - 1);
}

TEST_CASE("mirror rewrite: a block that grew keeps its page until the new one is whole") {
  GpuCase data(Metric::l2, 64, 500, 250, 0, 4, true);
  data.sketch();  // whose sketch and bits they are does not matter to the mirror
  const LiveWords words(std::shared_ptr<const void>(), data.bits[0].data());
  int refused = 0;
  fail_in_turn(DriverCode::failed, 200, [&](FailingDevice& failing) {
    const auto mirror =
        Mirror::make(failing.make(), std::size_t{8} << 20, std::size_t{4} << 10).value();
    cover_all(*mirror, data.blocks);
    const Sparse sparse(data.blocks, data.rows.shape(), 2);
    RowBlock& fresh = *sparse.fresh;
    const std::uint32_t moved = fresh.size();
    REQUIRE(mirror->rewrite(fresh, sparse.origins).ok());
    REQUIRE(mirror->cover_sketch(fresh.serial(), data.planes[0]).ok());
    const Mirror::Live live[] = {{fresh.serial(), words, 4}};
    REQUIRE(mirror->cover_live(live).ok());
    fresh.append(10'000, IdView(std::uint64_t{1}), data.blocks[0].block->vector(1), 0);
    const std::uint64_t used = mirror->report().used_bytes;
    const auto first = mirror->find(fresh.serial());
    failing.arm();
    const Status grown = mirror->cover(fresh, fresh.size());
    failing.disarm();
    refused += grown.ok() ? 0 : 1;
    const auto page = mirror->find(fresh.serial());
    CHECK((page == first) == !grown.ok());
    CHECK(page->covered() == (grown.ok() ? fresh.size() : moved));
    if (!grown.ok()) CHECK(mirror->report().used_bytes == used);
    if (grown.ok()) CHECK(difference(fresh, *page) == "");
    CHECK(mirror->report().sketched == 1);
    CHECK(mirror->report().masked == 1);
  });
  CHECK(refused > 5);
}

TEST_CASE("mirror rewrite: whichever call fails, the page is whole or not there") {
  const GpuCase data(Metric::l2, 64, 600, 300, 0, 6);
  const Sparse sparse(data.blocks, data.rows.shape(), 2);
  for (const DriverCode code : {DriverCode::failed, DriverCode::lost, DriverCode::out_of_memory}) {
    int refused = 0;
    CAPTURE(static_cast<int>(code));
    fail_in_turn(code, 200, [&](FailingDevice& failing) {
      const auto shared = failing.make();
      const auto mirror = Mirror::make(shared, std::size_t{8} << 20, std::size_t{4} << 10).value();
      cover_all(*mirror, data.blocks);
      const std::uint64_t used = mirror->report().used_bytes;
      failing.arm();
      const Status moved = mirror->rewrite(*sparse.fresh, sparse.origins);
      failing.disarm();
      const auto page = mirror->find(sparse.fresh->serial());
      CHECK((page != nullptr) == moved.ok());
      if (page != nullptr) CHECK(difference(*sparse.fresh, *page) == "");
      if (page == nullptr) CHECK(mirror->report().used_bytes == used);
      refused += moved.ok() ? 0 : 1;
      if (!moved.ok() && shared->alive()) {
        REQUIRE(mirror->rewrite(*sparse.fresh, sparse.origins).ok());
        CHECK(difference(*sparse.fresh, *mirror->find(sparse.fresh->serial())) == "");
      }
    });
    CHECK(refused > 5);  // waits, copies, records, the move and the drain
  }
}

}  // namespace
