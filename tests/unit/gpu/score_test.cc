// The device's arithmetic against the host's: thresholds reach at least as far, bounds lie around
// the host's, and keys order like floats, also at the edges of what floats hold. Comes before the
// tests of kernels. Test thread only. Always holds: the seed is printed.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/scan/coarse_bounds.h"
#include "tests/support/simt/gpu_case.h"
#include "tests/support/simt/machine.h"

// After the names that it is written against.
#include "engine/gpu/score.cuh"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using namespace vecserve::test::simt;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

gpu::DeviceQuery device_query(const CoarseProbe& probe) {
  return {
      probe.limit.scale, probe.limit.square, probe.query.residual, probe.limit.coarse_norm, 0, 0};
}

TEST_CASE("score: keys order like the floats they are made of, and lead back to them") {
  const std::vector<float> rising = {-kInfinity, -3e38f, -1.0f,   -1e-45f, 0.0f,     1e-45f,
                                     0x1p-126f,  1.0f,   1.0001f, 3e38f,   kInfinity};
  for (std::size_t i = 0; i < rising.size(); ++i) {
    CHECK(gpu::value_of(gpu::key_of(rising[i])) == rising[i]);
    if (i > 0) CHECK(gpu::key_of(rising[i - 1]) < gpu::key_of(rising[i]));
    CHECK(gpu::key_of(rising[i]) < gpu::kNoKey);
  }
}

TEST_CASE("score: constants are those of the coarse kernels") {
  CHECK(gpu::kDeviceScoreError == kScoreError);
  CHECK(gpu::kDeviceScoreFloor == kScoreFloor);
}

TEST_CASE("score: reaches and bounds are never tighter than the host's") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const DataKind kind : all_data_kinds()) {
      const RowShape shape = GpuCase::shape_of(metric, 37);
      const std::uint64_t seed = 40 + static_cast<std::uint64_t>(kind);
      CAPTURE(to_string(metric), to_string(kind), seed);
      VectorSource source(shape, kind, seed);
      RowBlock block(shape);
      for (std::uint32_t r = 0; r < 60; ++r) {
        block.append(r, IdView(std::uint64_t{r}), source.next_row().data(), 0);
      }
      const TestQuery asked(shape, source.next_row());
      std::vector<std::int8_t> codes(64, 0);
      const CoarseQuery query = make_coarse_query(metric, asked.view().f32, 37, codes.data());
      if (!query.served) continue;
      const CoarseProbe probe = make_probe(metric, query);
      const gpu::DeviceQuery device = device_query(probe);
      const bool is_l2 = metric == Metric::l2;
      const float offset = metric == Metric::cosine ? 1.0f : 0.0f;
      for (const float threshold : {-2.0f, 0.0f, 1e-30f, 0.7f, 1.0f, 1e20f, kInfinity}) {
        CHECK(gpu::reach_for(is_l2, offset, device, threshold) >= reach_of(probe, threshold));
      }
      const CoarsePlane& plane = *block.coarse();
      for (std::uint32_t r = 0; r < 60; ++r) {
        int sum = 0;
        for (std::size_t i = 0; i < 64; ++i) sum += (plane.codes()[r * 64 + i] - 128) * codes[i];
        const gpu::DeviceRow row = {plane.scales()[r], plane.squares()[r], plane.residuals()[r],
                                    plane.norms()[r]};
        float score = 0.0f;
        REQUIRE(gpu::survives(is_l2, device, row, sum, kInfinity, score));
        const gpu::DeviceBounds loose = gpu::bounds_for(is_l2, offset, device, row, score);
        const DistanceBounds tight = bounds_of(probe, plane, r, score);
        CAPTURE(r, score, loose.lower, tight.lower, loose.upper, tight.upper);
        CHECK(loose.upper >= tight.upper);
        // No squared distance is below zero; the host rounds past it.
        CHECK(loose.lower <= (is_l2 ? std::max(tight.lower, 0.0f) : tight.lower));
        // What is within the threshold is never ruled out.
        const float reach = gpu::reach_for(is_l2, offset, device, tight.upper);
        CHECK(gpu::survives(is_l2, device, row, sum, reach, score));
        // Nor what may be, as near as its bounds let it be (and 2% for how they are rounded).
        const float near = tight.lower + 0.02f * (tight.upper - tight.lower);
        if (!std::isfinite(near)) continue;
        const float least = gpu::reach_for(is_l2, offset, device, near);
        CHECK(gpu::survives(is_l2, device, row, sum, least, score));
      }
    }
  }
}

}  // namespace
