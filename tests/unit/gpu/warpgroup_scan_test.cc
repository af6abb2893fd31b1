// The scan for many queries by both kernels, of all devices and of sm_90a, launch by launch: the
// same survivors, with the same scores, for pieces of groups, tiles and stages; with a filter
// nothing is read of rows that nobody may find. Comes before the scanner's tests. Test thread only.
// Always holds: thresholds are at their limits where survivors are compared, so that they do not
// depend on who came first.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <memory>

#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/on_device.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test;
using namespace vecserve::test::simt;

DeviceTuning tuning_of(GroupKernel kernel) {
  DeviceTuning tuning = small_gpu().tuning;
  tuning.group = kernel;
  return tuning;
}

bool before(const PackedSurvivor& a, const PackedSurvivor& b) {
  return std::tuple(a.query, a.block, a.position) < std::tuple(b.query, b.block, b.position);
}

using Survivors = std::vector<PackedSurvivor>;  // in order

// All rows within the limit of their query.
Survivors scan_all(const GpuCase& data, GroupKernel kernel, std::uint64_t seed) {
  DeviceTuning tuning = tuning_of(kernel);
  tuning.packed = 1u << 15;
  OnDevice on(data, tuning, {}, emulated_for(kernel, seed));
  std::fill(on.wants.begin(), on.wants.end(), 0u);
  REQUIRE(on.run().ok());
  REQUIRE(on.device->failure() == "");
  const auto found = on.scan.survivors();
  Survivors survivors(found.begin(), found.end());
  std::sort(survivors.begin(), survivors.end(), before);
  for (std::size_t q = 0; q < data.views.size(); ++q) REQUIRE_FALSE(on.scan.overflowed(q));
  return survivors;
}

void compare(GpuCase& data) {
  // About half of the rows, by the distances of the first query.
  const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[0].f32);
  for (ScanQuery& view : data.views) view.limit = truth[truth.size() / 2].distance;
  const Survivors portable = scan_all(data, GroupKernel::mma, 1);
  REQUIRE(portable.size() > data.views.size());
  for (const std::uint64_t seed : {0u, 3u, 6u}) {
    const Survivors wide = scan_all(data, GroupKernel::wgmma, seed);
    REQUIRE(wide.size() == portable.size());
    CHECK(std::memcmp(wide.data(), portable.data(), portable.size() * sizeof(PackedSurvivor)) == 0);
  }
}

TEST_CASE("warpgroup scan: what survives is to the last bit what survives of the portable kernel",
          "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    // Rows of one to five stages, whole ones and every piece; odd dimensions.
    for (const std::uint32_t dim : {3u, 64u, 130u, 257u, 777u}) {
      CAPTURE(to_string(metric), dim);
      GpuCase data(metric, dim, 200, 130, dim == 130 ? 70 : 5, dim + 7);
      compare(data);
    }
  }
}

TEST_CASE("warpgroup scan: ragged groups, tiles and blocks", "[no_tsan]") {
  for (const std::uint32_t queries : {1u, 63u, 64u, 65u}) {
    for (const std::uint32_t rows : {1u, 63u, 64u, 65u, 300u}) {
      CAPTURE(queries, rows);
      GpuCase data(Metric::l2, 70, rows + 64, 90, queries, rows + queries);
      if (queries > 4) compare(data);
      // So many that few are scanned by another kernel: all but the one have nothing to find.
      if (queries > 4) continue;
      GpuCase one(Metric::l2, 70, rows + 64, 90, 5, rows);
      std::vector<std::vector<std::uint64_t>> nobody = one.bits;
      for (auto& words : nobody) std::fill(words.begin(), words.end(), std::uint64_t{0});
      one.masks.push_back(make_mask(nobody));
      for (std::size_t q = 1; q < one.views.size(); ++q) one.views[q].mask = 1;
      compare(one);
    }
  }
}

TEST_CASE("warpgroup scan: of rows that no query's mask has nothing is copied", "[no_tsan]") {
  for (const std::uint32_t one_in : {1u, 9u, 40u, 150u}) {
    CAPTURE(one_in);
    GpuCase data(Metric::l2, 300, 400, 250, 70, 3);
    for (auto& words : data.bits) {
      for (std::uint32_t r = 0; r < words.size() * 64; ++r) {
        if (r % one_in != one_in / 2) words[r / 64] &= ~(std::uint64_t{1} << (r % 64));
      }
    }
    data.masks = {make_mask(data.bits)};
    OnDevice on(data, tuning_of(GroupKernel::wgmma), {}, emulated_for(GroupKernel::wgmma));
    const std::size_t stride = on.batch.stride;
    for (std::uint32_t b = 0; b < on.blocks.size(); ++b) {
      const ReadLog log(on.blocks[b].page->codes(), on.blocks[b].count * stride);
      REQUIRE(on.run().ok());
      for (std::uint32_t r = 0; r < on.blocks[b].count; ++r) {
        const bool eligible = (data.bits[b][r / 64] >> (r % 64) & 1) != 0;
        CHECK(log.bytes(r * stride, stride) == (eligible ? stride : 0));
      }
    }
    CHECK(on.device->failure() == "");
    CHECK(on.has_answers(data, 5));
  }
}

TEST_CASE("warpgroup scan: thresholds fall while it runs, and launches are replays of a graph") {
  const GpuCase data(Metric::l2, 64, 1'500, 700, 70, 9);
  for (const bool graphs : {false, true}) {
    DeviceTuning tuning = tuning_of(GroupKernel::wgmma);
    tuning.graphs = graphs;
    OnDevice on(data, tuning, {}, emulated_for(GroupKernel::wgmma));
    const std::uint64_t calls = on.device->calls();
    REQUIRE(on.run().ok());
    CHECK(on.device->failure() == "");
    CHECK((on.device->calls() - calls <= 7) == graphs);
    CHECK(on.has_answers(data, 5));
    CHECK(on.scan.survivors().size() < std::size_t{70} * 300);
  }
}

TEST_CASE("warpgroup scan: rows too long for its shared memory go to the portable kernel") {
  for (const std::uint32_t dim : {kWarpgroupStrideMax, kWarpgroupStrideMax + 1}) {
    CAPTURE(dim);
    const GpuCase data(Metric::l2, dim, 70, 0, 5, 9);
    // Of a device that has it not, the kernel cannot be launched.
    std::atomic<EmulatedOptions::Fault> fault = EmulatedOptions::Fault::illegal;
    EmulatedOptions device = emulated_for(GroupKernel::wgmma);
    device.fault = &fault;
    OnDevice on(data, tuning_of(GroupKernel::wgmma), {}, device);
    const bool wide = dim == kWarpgroupStrideMax;
    CHECK(on.run().ok() == !wide);
    if (!wide) CHECK(on.has_answers(data, 5));
    fault = EmulatedOptions::Fault::none;
    if (!wide) continue;
    OnDevice right(data, tuning_of(GroupKernel::wgmma), {}, device);
    REQUIRE(right.run().ok());
    CHECK(right.has_answers(data, 5));
  }
}

TEST_CASE("warpgroup scan: rows that never come give the device up, and no answer is made") {
  const GpuCase data(Metric::l2, 64, 500, 200, 70, 9);
  std::atomic<EmulatedOptions::Fault> fault = EmulatedOptions::Fault::none;
  EmulatedOptions device = emulated_for(GroupKernel::wgmma);
  device.fault = &fault;
  OnDevice on(data, tuning_of(GroupKernel::wgmma), {}, device);
  REQUIRE(on.run().ok());
  fault = EmulatedOptions::Fault::late_copy;
  CHECK(on.run().code() == StatusCode::unavailable);
  CHECK_FALSE(on.device->alive());
  CHECK(on.device->failure() == "a kernel waited in vain for rows");
}

}  // namespace
