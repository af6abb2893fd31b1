// One launch at a time: the kernels for one query, a few and many, with thresholds that fall while
// they run, and what happens when survivors do not fit. Comes before the scanner's tests. Test
// thread only. Always holds: every row that belongs to the answer is among the survivors.
#include "engine/gpu/device_scan.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <set>

#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test;
using namespace vecserve::test::simt;

// A case on a device, with all rows mirrored.
struct OnDevice {
  explicit OnDevice(const GpuCase& data, const DeviceTuning& tuning_in)
      : tuning(tuning_in),
        device(std::make_shared<Device>(make_emulated_driver())),
        mirror(Mirror::make(device, std::size_t{16} << 20, std::size_t{64} << 10).value()),
        lane(DeviceLane::make(device, tuning).value()),
        scan(*device, tuning),
        request(data.request()) {
    for (const ScanBlock& block : data.blocks) {
      REQUIRE(mirror->cover(*block.block, block.count).ok());
      blocks.push_back({mirror->find(block.block->serial()), block.count});
    }
    batch.stride = data.blocks[0].block->coarse()->stride();
    codes = AlignedBuffer(data.views.size() * batch.stride);
    std::fill(codes.data(), codes.data() + codes.size(), std::byte{0});
    for (std::uint32_t q = 0; q < data.views.size(); ++q) {
      auto* const mine = reinterpret_cast<std::int8_t*>(codes.data()) + q * batch.stride;
      probes.push_back(make_probe(
          request.shape.metric,
          make_coarse_query(request.shape.metric, data.views[q].f32, request.shape.dim, mine)));
      wants.push_back(needed(data.views[q]));
      queries.push_back(q);
    }
    batch.request = &request;
    batch.blocks = blocks;
    batch.queries = queries;
    batch.probes = probes;
    batch.wants = wants;
    batch.codes = reinterpret_cast<const std::int8_t*>(codes.data());
  }
  Status run() {
    const Status started = scan.start(batch, *lane);
    return started.ok() ? scan.finish() : started;
  }
  // Whether the first k rows of each query's truth are among the survivors.
  bool has_answers(const GpuCase& data, std::size_t k) const {
    std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> found;
    for (const PackedSurvivor& s : scan.survivors()) found.insert({s.query, s.block, s.position});
    for (std::uint32_t q = 0; q < data.views.size(); ++q) {
      const auto truth =
          oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[q].f32);
      for (std::size_t i = 0; i < std::min(k, truth.size()); ++i) {
        if (!found.contains({q, truth[i].block, truth[i].position})) return false;
      }
    }
    return true;
  }

  const DeviceTuning tuning;
  std::shared_ptr<Device> device;
  std::unique_ptr<Mirror> mirror;
  std::unique_ptr<DeviceLane> lane;
  DeviceScan scan;
  ScanRequest request;
  std::vector<MirroredBlock> blocks;
  AlignedBuffer codes;
  std::vector<CoarseProbe> probes;
  std::vector<std::uint32_t> wants;
  std::vector<std::uint32_t> queries;
  DeviceBatch batch;
};

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("device scan: every kernel finds the answers, and thresholds leave out most rows",
          "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t queries : {1u, 4u, 5u, 70u}) {
      CAPTURE(to_string(metric), queries);
      const GpuCase data(metric, 130, 1'500, 700, queries, 9);
      OnDevice on(data, small_gpu().tuning);
      REQUIRE(on.run().ok());
      CHECK(on.device->failure() == "");
      CHECK(on.has_answers(data, 5));
      CHECK(on.scan.survivors().size() < std::size_t{queries} * 300);
      for (std::size_t q = 0; q < queries; ++q) CHECK_FALSE(on.scan.overflowed(q));
    }
  }
}

TEST_CASE("device scan: rows that come nearer and nearer overflow, and are scanned once more") {
  // Each row is nearer than all before it, so that none is ever ruled out while it comes.
  GpuCase data(Metric::l2, 16, 0, 0, 1, 2);
  std::vector<float> row(16, 0.0f);
  for (std::uint32_t r = 0; r < 3'000; ++r) {
    row[0] = 40.0f - 0.01f * static_cast<float>(r);
    std::vector<std::byte> bytes(64);
    std::memcpy(bytes.data(), row.data(), 64);
    data.rows.add(bytes, IdView(std::uint64_t{r}), 0);
  }
  data.blocks = data.rows.scan_blocks();
  data.bits = data.rows.all_bits();
  data.masks = {make_mask(data.bits)};
  OnDevice on(data, small_gpu().tuning);
  const std::uint64_t before = on.device->calls();
  REQUIRE(on.run().ok());
  CHECK(on.device->calls() - before > 15);  // more than one launch makes
  if (!on.scan.overflowed(0)) CHECK(on.has_answers(data, 5));
}

TEST_CASE("device scan: rows that tie at the threshold all come, where their bounds are tightest") {
  // Rows opposite to the query, both exact in the coarse plane, whose scales have 16 bits: no slack
  // hides a threshold that is a little too near.
  for (int i = 0; i < 16; ++i) {
    CAPTURE(i);
    GpuCase data(Metric::l2, 16, 0, 0, 0, 2);
    const std::vector<float> row(16, 127.0f * static_cast<float>(33'333 + 154 * i) * 0x1p-13f);
    const std::vector<float> opposite(16, -row[0]);
    const auto bytes_of = [](const std::vector<float>& vector) {
      const auto* const begin = reinterpret_cast<const std::byte*>(vector.data());
      return std::vector<std::byte>(begin, begin + vector.size() * sizeof(float));
    };
    for (std::uint64_t r = 0; r < 200; ++r) data.rows.add(bytes_of(row), IdView(r), 0);
    data.queries.emplace_back(data.rows.shape(), bytes_of(opposite));
    data.views.push_back(data.queries[0].view());
    data.views[0].want = 10;
    data.views[0].k = 5;
    data.blocks = data.rows.scan_blocks();
    data.bits = data.rows.all_bits();
    data.masks = {make_mask(data.bits)};
    OnDevice on(data, small_gpu().tuning);
    REQUIRE(on.run().ok());
    CHECK(on.scan.survivors().size() == 200);
  }
}

TEST_CASE(
    "device scan: without a threshold all rows within the limit come, or the query overflows") {
  GpuCase data(Metric::l2, 24, 800, 300, 2, 12);
  const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[0].f32);
  data.views[0].limit = truth[200].distance;
  OnDevice on(data, small_gpu().tuning);
  on.wants[0] = 0;
  REQUIRE(on.run().ok());
  CHECK_FALSE(on.scan.overflowed(0));
  CHECK(on.has_answers(data, 5));
  const auto of_first = std::count_if(on.scan.survivors().begin(), on.scan.survivors().end(),
                                      [](const PackedSurvivor& s) { return s.query == 0; });
  CHECK(of_first >= 201);
  CHECK(of_first < 400);
  DeviceTuning tiny = small_gpu().tuning;
  tiny.survivors_max = 128;
  OnDevice small(data, tiny);
  small.wants[0] = 0;
  REQUIRE(small.run().ok());
  CHECK(small.scan.overflowed(0));
}

TEST_CASE("device scan: a batch that a lane cannot hold is refused before anything is copied") {
  const GpuCase data(Metric::l2, 64, 300, 100, 3, 1);
  DeviceTuning tuning = small_gpu().tuning;
  tuning.input_bytes = 256;
  OnDevice on(data, tuning);
  const std::uint64_t before = on.device->calls();
  CHECK(on.run().code() == StatusCode::resource_exhausted);
  CHECK(on.device->calls() == before);
}

}  // namespace
