// Checks engine/rewrite: sparse blocks go, rows keep slot, vector, payload and time, a row that
// dies during the copy is dead in it, and searches that pinned the old blocks keep them. Blocks are
// of 64 rows; single-threaded but for one writer beside a rewrite.
#include "engine/rewrite.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/payload_rows.h"
#include "engine/rows/row_set.h"
#include "engine/search.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 16'384;  // makes blocks of 64 rows
constexpr std::uint64_t kPerBlock = 64;

class Wide {
 public:
  explicit Wide(double share = 0.5, const std::shared_ptr<gpu::Gpu>& device = nullptr)
      : engine(options(share, device != nullptr), 1, device) {
    CollectionOptions wide = Engine::plane();
    wide.dim = kDim;
    core = engine.create("wide", wide);
    REQUIRE(core->shape.capacity == kPerBlock);
  }

  static OwnedRow row(std::uint64_t id, std::uint64_t ttl_ms = 0) {
    std::vector<float> vector(kDim, 0.0f);
    vector[0] = static_cast<float>(id);
    return {id, vector, R"({"n": )" + std::to_string(id) + "}", ttl_ms};
  }
  void fill(std::uint64_t count) {
    for (std::uint64_t first = 0; first < count; first += kPerBlock) {
      std::vector<OwnedRow> rows;
      for (std::uint64_t id = first; id < std::min(first + kPerBlock, count); ++id) {
        rows.push_back(row(id, id % 7 == 0 ? 1'000'000 : 0));
      }
      REQUIRE(upsert(core, rows).ok());
    }
  }
  template <typename Which>
  void erase_where(std::uint64_t count, Which&& which) {
    std::vector<RowId> ids;
    for (std::uint64_t id = 0; id < count; ++id) {
      if (which(id)) ids.emplace_back(id);
    }
    REQUIRE(erase(core, ids).ok());
  }
  [[nodiscard]] std::vector<std::uint32_t> counts() const {
    std::vector<std::uint32_t> all;
    const auto rows = core->snapshot();
    for (std::size_t b = 0; b < rows->block_count(); ++b) all.push_back(rows->view(b).count);
    return all;
  }
  // Every row of `count` that `lives` is whole and in its old slot; the others are gone.
  template <typename Lives>
  void check_rows(std::uint64_t count, Lives&& lives) const {
    for (std::uint64_t id = 0; id < count; ++id) {
      CAPTURE(id);
      const auto found = fetch(core, id);
      REQUIRE(found.has_value() == lives(id));
      if (!found.has_value()) continue;
      CHECK(slot_of(core, id) == id);
      CHECK(found->vector.to_floats()[0] == static_cast<float>(id));
      CHECK(found->payload == R"({"n": )" + std::to_string(id) + "}");
      CHECK(found->ttl_ms.has_value() == (id % 7 == 0));
    }
  }

  Engine engine;
  CorePtr core;

 private:
  static DatabaseOptions options(double share, bool mirrored) {
    DatabaseOptions all = Engine::quiet();
    all.rewrite_below_live_share = share;
    all.expire_every_ms = 3'600'000;            // the background thread sleeps through the test
    if (mirrored) all.planes = Planes::coarse;  // which is what a device has
    return all;
  }
};

TEST_CASE("rewrite: sparse blocks are joined, dense ones and the open one stay", "[engine]") {
  Wide wide;
  wide.fill(5 * kPerBlock + 10);
  const auto sparse = [](std::uint64_t id) { return id / kPerBlock != 2 && id % 4 != 0; };
  wide.erase_where(5 * kPerBlock + 10, sparse);
  const auto before = wide.core->snapshot();
  CHECK(rewrite_sparse_blocks(wide.core).value() == 4);
  CHECK(wide.counts() == std::vector<std::uint32_t>{32, 64, 32, 10});
  CHECK(wide.core->snapshot()->live_count() == before->live_count());
  CHECK(wide.core->tallies.blocks_rewritten == 4);
  wide.check_rows(5 * kPerBlock + 10, [&](std::uint64_t id) { return !sparse(id); });
  // The index and the store were not asked, and still agree.
  CHECK(wide.engine.database->verify().ok());
  CHECK(rewrite_sparse_blocks(wide.core).value() == 0);
}

TEST_CASE("rewrite: a block without living rows disappears", "[engine]") {
  Wide wide;
  wide.fill(3 * kPerBlock);
  wide.erase_where(2 * kPerBlock, [](std::uint64_t) { return true; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 2);
  CHECK(wide.counts() == std::vector<std::uint32_t>{64});
  wide.erase_where(3 * kPerBlock, [](std::uint64_t) { return true; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 0);  // the last one is open
  wide.fill(5);
  CHECK(wide.core->snapshot()->live_count() == 5);
}

TEST_CASE("rewrite: exactly at the share a block stays, below it goes", "[engine]") {
  Wide wide;
  wide.fill(2 * kPerBlock);
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id % 2 == 0; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 0);
  REQUIRE(erase(wide.core, {1}).ok());
  CHECK(rewrite_sparse_blocks(wide.core).value() == 1);
  CHECK(wide.counts() == std::vector<std::uint32_t>{31, 64});
  wide.check_rows(2 * kPerBlock,
                  [](std::uint64_t id) { return id >= kPerBlock || (id % 2 == 1 && id != 1); });
}

TEST_CASE("rewrite: small dense blocks side by side become one", "[engine]") {
  Wide wide;
  wide.fill(3 * kPerBlock);
  // One block at a time, as it would happen over days.
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id >= 10; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 1);
  CHECK(rewrite_sparse_blocks(wide.core).value() == 0);
  wide.erase_where(2 * kPerBlock,
                   [](std::uint64_t id) { return id >= kPerBlock && id % kPerBlock >= 5; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 2);
  CHECK(wide.counts() == std::vector<std::uint32_t>{15, 64});
}

TEST_CASE("rewrite: a run ends where its rows would not fit into one block", "[engine]") {
  Wide wide(0.9);
  wide.fill(4 * kPerBlock);
  wide.erase_where(3 * kPerBlock, [](std::uint64_t id) { return id % 2 == 0; });
  CHECK(rewrite_sparse_blocks(wide.core).value() == 3);
  CHECK(wide.counts() == std::vector<std::uint32_t>{64, 32, 64});
  CHECK(rewrite_sparse_blocks(wide.core).value() == 0);
}

TEST_CASE("rewrite: writes go on in the open block and may erase rewritten rows", "[engine]") {
  Wide wide;
  wide.fill(2 * kPerBlock);
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id >= 8; });
  REQUIRE(rewrite_sparse_blocks(wide.core).ok());
  REQUIRE(erase(wide.core, {3}).ok());
  REQUIRE(update(wide.core, {{4, {}, "{}"}}).ok());
  CHECK(slot_of(wide.core, 4) == 2 * kPerBlock);
  CHECK_FALSE(fetch(wide.core, 3).has_value());
  CHECK(fetch(wide.core, 4)->vector.to_floats()[0] == 4.0f);
  CHECK(wide.engine.database->verify().ok());
  REQUIRE(wide.engine.reopen().ok());
  CHECK(wide.engine.find("wide")->snapshot()->live_count() == 7 + kPerBlock);
}

// The swap itself, with a row dying between the copy and the swap: the editor that a rewrite uses.
TEST_CASE("rewrite: a row that dies during the copy is dead in the copy", "[engine]") {
  Wide wide;
  wide.fill(2 * kPerBlock);
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id >= 8; });
  const auto old_rows = wide.core->snapshot();
  const auto fresh = make_payload_block(wide.core->shape, wide.core->options.fields);
  std::vector<FieldValue> fields(2);
  for (std::uint32_t p = 0; p < 8; ++p) {
    const RowBlock& from = *old_rows->view(0).block;
    payload_fields(from, p, fields);
    append_payload(*fresh, payload_text(from, p), fields);
    static_cast<void>(
        fresh->append(from.slot(p), from.id(p), from.vector(p), from.expires_at_ms(p)));
  }
  REQUIRE(erase(wide.core, {5}).ok());
  REQUIRE(update(wide.core, {{6, {}, "{}"}}).ok());
  RowSetEditor editor(wide.core->snapshot());
  const std::vector<std::shared_ptr<RowBlock>> old_blocks = {old_rows->view(0).block};
  const std::vector<std::shared_ptr<RowBlock>> fresh_blocks = {fresh};
  REQUIRE(editor.replace(old_blocks, fresh_blocks));
  wide.core->publish(editor.finish(wide.engine.runtime->sequence));
  CHECK(wide.core->snapshot()->live_count() == 7 + kPerBlock);
  CHECK_FALSE(fetch(wide.core, 5).has_value());
  CHECK(fetch(wide.core, 6)->payload == "{}");
  CHECK(wide.core->snapshot()->find(5) == std::nullopt);
  CHECK(wide.core->snapshot()->find(6) == std::nullopt);
  CHECK(wide.engine.database->verify().ok());
}

TEST_CASE("rewrite: who pinned the old row set keeps reading it", "[engine]") {
  Wide wide;
  wide.fill(2 * kPerBlock);
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id % 3 != 0; });
  const auto pinned = wide.core->snapshot();
  const std::weak_ptr<RowBlock> old_block = pinned->view(0).block;
  CHECK(rewrite_sparse_blocks(wide.core).value() == 1);
  CHECK(pinned->live_count() == 22 + kPerBlock);
  for (std::uint64_t id = 0; id < kPerBlock; id += 3) {
    const auto at = pinned->find(id);
    REQUIRE(at.has_value());
    CHECK(pinned->view(at->block).block->id(at->position).number == id);
  }
  CHECK_FALSE(old_block.expired());
}

TEST_CASE("rewrite: the old block's memory is free as soon as nobody reads it", "[engine]") {
  Wide wide;
  wide.fill(2 * kPerBlock);
  wide.erase_where(kPerBlock, [](std::uint64_t id) { return id % 3 != 0; });
  const std::weak_ptr<RowBlock> old_block = wide.core->snapshot()->view(0).block;
  CHECK(rewrite_sparse_blocks(wide.core).value() == 1);
  CHECK(old_block.expired());
}

TEST_CASE("rewrite: searches and erasing writers go on beside it", "[engine]") {
  Wide wide;
  constexpr std::uint64_t kRows = 6 * kPerBlock;
  wide.fill(kRows);
  wide.erase_where(kRows, [](std::uint64_t id) { return id % 4 != 0; });
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::vector<float> origin(kDim, 0.0f);
  std::thread searcher([&] {
    // Row 0 is never erased and always the nearest.
    do {
      SearchResult result;
      const Query query{VectorView(origin)};
      SearchOptions options;
      options.k = 3;
      const Status status = search_collection(*wide.core, std::span(&query, 1), options, result);
      if (!status.ok() || result.neighbors.empty() || !(result.neighbors[0].id == RowId(0))) {
        ++wrong;
      }
    } while (!done);
  });
  std::thread writer([&] {
    for (std::uint64_t id = 4; id < kRows; id += 8) {
      const auto erased = erase(wide.core, {id});
      if (!erased.ok() || erased->rows != 1) ++wrong;
    }
  });
  std::uint64_t given_back = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto rewritten = rewrite_sparse_blocks(wide.core);
    if (rewritten.ok()) given_back += *rewritten;
  }
  writer.join();
  done = true;
  searcher.join();
  REQUIRE(rewrite_sparse_blocks(wide.core).ok());
  CHECK(given_back > 0);
  CHECK(wrong == 0);
  wide.check_rows(kRows, [](std::uint64_t id) { return id % 8 == 0; });
  CHECK(wide.engine.database->verify().ok());
}

// With slots for rows as wide as these.
gpu::GpuOptions wide_gpu() {
  gpu::GpuOptions options = simt::small_gpu();
  options.ring_bytes = std::size_t{1} << 20;
  return options;
}

// Mirrored, every row of it.
void wait_until_mirrored(gpu::Gpu& gpu, std::uint64_t rows) {
  while (gpu.mirror().report().rows != rows && gpu.device().alive()) std::this_thread::yield();
}

TEST_CASE("rewrite: on a device rows move there, and their block is mirrored from its first search",
          "[engine]") {
  const auto device = simt::open_emulated_gpu(wide_gpu());
  Wide wide(0.5, device);
  wide.fill(4 * kPerBlock + 10);
  wait_until_mirrored(*device, 4 * kPerBlock + 10);
  wide.erase_where(4 * kPerBlock, [](std::uint64_t id) { return id % 4 != 0; });
  const auto before = wide.core->snapshot();
  REQUIRE(rewrite_sparse_blocks(wide.core).value() == 4);
  const auto rows = wide.core->snapshot();
  REQUIRE(wide.counts() == std::vector<std::uint32_t>{64, 10});
  const auto page = device->mirror().find(rows->view(0).block->serial());
  REQUIRE(page != nullptr);
  CHECK(page->covered() == 64);
  CHECK(device->mirror().report().moved == 64);
  // The old pages go with the next pass, and this one stays.
  wait_until_mirrored(*device, 74);
  CHECK(device->mirror().find(before->view(0).block->serial()) == nullptr);
  CHECK(device->mirror().find(rows->view(0).block->serial()) == page);
  wide.check_rows(4 * kPerBlock, [](std::uint64_t id) { return id % 4 == 0; });
  CHECK(device->device().failure() == "");
}

TEST_CASE("rewrite: where the device fails the rows are joined all the same", "[engine]") {
  std::atomic<bool> broken{false};
  gpu::GpuOptions options = wide_gpu();
  options.inject = [&](std::uint64_t) {
    return broken ? gpu::DriverCode::failed : gpu::DriverCode::ok;
  };
  const auto device = gpu::Gpu::open(simt::make_emulated_driver(), options).value();
  Wide wide(0.5, device);
  wide.fill(4 * kPerBlock + 10);
  wait_until_mirrored(*device, 4 * kPerBlock + 10);
  wide.erase_where(4 * kPerBlock, [](std::uint64_t id) { return id % 4 != 0; });
  broken = true;
  REQUIRE(rewrite_sparse_blocks(wide.core).value() == 4);
  CHECK(wide.counts() == std::vector<std::uint32_t>{64, 10});
  CHECK(device->mirror().report().moved == 0);
  wide.check_rows(4 * kPerBlock, [](std::uint64_t id) { return id % 4 == 0; });
}

}  // namespace
