// The scan by sketches: finds what the coarse scan finds, reads few rows of the coarse plane where
// rows differ along few directions, tells what passed, and never reaches less far than the host's
// sieve. Comes after the tests of device_scan. Test thread only. Always holds: the last block has
// no sketch, so that both ways are gone in one launch.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/machine.h"
#include "tests/support/simt/on_device.h"

// After the names that it is written against.
#include "engine/gpu/sift_scan.cuh"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using namespace vecserve::test::simt;

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("sift scan: one query and a few find their answers, and most rows are never read",
          "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t dim : {64u, 100u, 200u}) {
      for (const std::uint32_t queries : {1u, 2u, 4u}) {
        CAPTURE(to_string(metric), dim, queries);
        GpuCase data(metric, dim, 1'500, 650, queries, dim + queries, true);
        data.sketch();
        OnDevice on(data, small_gpu().tuning);
        on.sift(data.planes[0]->axes());
        const std::uint32_t stride = on.batch.stride;
        const ReadLog log(on.blocks[1].page->codes(), std::size_t{650} * stride);
        REQUIRE(on.run().ok());
        CHECK(on.device->failure() == "");
        CHECK(on.has_answers(data, 5));
        for (std::size_t q = 0; q < queries; ++q) CHECK_FALSE(on.scan.overflowed(q));
        const gpu::ScanTotals& totals = on.scan.totals();
        CHECK(totals.sifted > 0);
        CHECK(totals.sifted <= 1'300 * queries);
        CHECK(totals.passed_first <= totals.sifted);
        CHECK(totals.passed_all <= totals.passed_first);
        CHECK(totals.passed_all > 0);
        CHECK(log.bytes(0, std::size_t{650} * stride) < std::size_t{650} * stride / 2);
      }
    }
  }
}

TEST_CASE("sift scan: what the first stripe cannot tell apart the second one does", "[no_tsan]") {
  // As many directions alike as there are axes or nearly, and hardly anything beside them.
  GpuCase data(Metric::l2, 160, 0, 0, 0, 6);
  VectorSource source(data.rows.shape(), DataKind::normal, 6);
  const auto next = [&] {
    std::vector<std::byte> row = source.next_row();
    for (std::size_t i = 28; i < 160; ++i) reinterpret_cast<float*>(row.data())[i] *= 0.01f;
    return row;
  };
  for (std::uint64_t r = 0; r < 1'500; ++r) data.rows.add(next(), IdView(r), 1'400);
  for (int q = 0; q < 3; ++q) data.queries.emplace_back(data.rows.shape(), next());
  for (const TestQuery& query : data.queries) {
    data.views.push_back(query.view());
    data.views.back().want = data.views.back().k = 5;
  }
  data.blocks = data.rows.scan_blocks();
  data.bits = data.rows.all_bits();
  data.masks = {make_mask(data.bits)};
  data.sketch();
  REQUIRE(data.planes[0]->fine_codes() == 16);
  OnDevice on(data, small_gpu().tuning);
  on.sift(data.planes[0]->axes());
  REQUIRE(on.run().ok());
  CHECK(on.has_answers(data, 5));
  const gpu::ScanTotals& totals = on.scan.totals();
  CHECK(totals.passed_all > 0);
  CHECK(totals.passed_all < totals.passed_first / 3);
}

TEST_CASE("sift scan: of rows that a mask leaves out not even the sketch is read") {
  GpuCase data(Metric::l2, 64, 900, 400, 1, 8, true);
  data.sketch();
  for (std::uint32_t b = 0; b < 2; ++b) {
    for (std::uint64_t& word : data.bits[b]) word &= 0xffff0000ffffffffu;
  }
  data.masks = {make_mask(data.bits)};
  OnDevice on(data, small_gpu().tuning);
  on.sift(data.planes[0]->axes());
  const gpu::DeviceSketch sketch = on.blocks[1].sketch->on_device();
  const ReadLog log(sketch.first, 400 * kSketchFirst);
  REQUIRE(on.run().ok());
  CHECK(on.has_answers(data, 5));
  // The third sixteen rows of each tile: one part of the first stripe.
  for (std::size_t tile = 0; tile < 6; ++tile) {
    CHECK(log.bytes(tile * 1'024, 512) == 512);
    CHECK(log.bytes(tile * 1'024 + 512, 256) == 0);
    CHECK(log.bytes(tile * 1'024 + 768, 256) == 256);
  }
}

TEST_CASE("sift scan: rows that no sketch can describe come all the same") {
  // Of magnitudes that a sketch says nothing about; the coarse plane does.
  GpuCase data(Metric::l2, 64, 300, 0, 1, 2);
  data.sketch();
  CHECK(data.planes.empty());
  std::vector<std::byte> far(64 * sizeof(float));
  reinterpret_cast<float*>(far.data())[3] = 3e14f;
  for (std::uint64_t r = 0; r < 70; ++r) data.rows.add(far, IdView(1'000 + r), 300);
  data.blocks = data.rows.scan_blocks();
  data.bits = data.rows.all_bits();
  data.masks = {make_mask(data.bits)};
  data.queries.clear();
  data.queries.emplace_back(data.rows.shape(), far);
  data.views = {data.queries[0].view()};
  data.views[0].want = data.views[0].k = 70;
  data.sketch();
  REQUIRE(data.planes.size() == 1);
  OnDevice on(data, small_gpu().tuning);
  on.sift(data.planes[0]->axes());
  REQUIRE(on.run().ok());
  CHECK(on.has_answers(data, 70));
}

TEST_CASE("sift scan: a threshold reaches at least as far as with the host's sieve") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    GpuCase data(metric, 64, 600, 400, 3, 4, true);
    data.sketch();
    const SketchAxes& axes = data.planes[0]->axes();
    std::vector<float> scratch(axes.scratch_floats());
    for (const ScanQuery& view : data.views) {
      SketchQuery query;
      make_sketch_query(axes, view.f32, view.norm, scratch.data(), query);
      REQUIRE(query.served);
      for (const float threshold : {-1e30f, -8.0f, -1.0f, 0.0f, 1e-30f, 1e-6f, 0.3f, 1.0f, 7.5f,
                                    1e20f, 3e38f, std::numeric_limits<float>::infinity()}) {
        CAPTURE(to_string(metric), threshold);
        const SketchReach host = reach_of(query, threshold);
        const float root = gpu::sketch_root(static_cast<float>(query.shift),
                                            static_cast<float>(query.factor), threshold);
        const float first = gpu::sketch_reach(root, static_cast<float>(query.reach_first));
        const float all = gpu::sketch_reach(root, static_cast<float>(query.reach_all));
        CHECK(first >= host.first);
        CHECK(all >= host.all);
        // And not much further: within a thousandth of what was rounded.
        const float room = 2e-3f * static_cast<float>(1.0 + std::sqrt(query.shift));
        if (threshold <= 1e20f) CHECK(all <= host.all * 1.001f + room);
      }
    }
  }
  // What is not a number reaches everything.
  CHECK(std::isinf(gpu::sketch_root(0.0f, 0.0f, std::numeric_limits<float>::infinity())));
}

}  // namespace
