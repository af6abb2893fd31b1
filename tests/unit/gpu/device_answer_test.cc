// Survivors that no honest device can send are found out, each kind of them; honest ones become
// candidates. Comes before the scanner's tests. Test thread only. Always holds: each case changes
// one field of a survivor that was accepted before.
#include "engine/gpu/device_answer.h"

#include <catch2/catch.hpp>

#include "engine/scan/coarse_kernels.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

TEST_CASE("device answer: what a device could not have found is refused") {
  GpuCase data(Metric::l2, 64, 120, 0, 1, 8);
  data.bits[0][0] &= ~std::uint64_t{2};
  data.masks = {vecserve::test::make_mask(data.bits)};
  const auto device = std::make_shared<Device>(make_emulated_driver());
  const auto mirror = Mirror::make(device, std::size_t{8} << 20, std::size_t{64} << 10).value();
  REQUIRE(mirror->cover(*data.blocks[0].block, 100).ok());
  const std::vector<MirroredBlock> blocks = {
      {mirror->find(data.blocks[0].block->serial()), nullptr, nullptr, 100}};
  const ScanRequest request = data.request();
  AlignedBuffer codes(64);
  const std::vector<CoarseProbe> probes = {
      make_probe(Metric::l2, make_coarse_query(Metric::l2, data.views[0].f32, 64,
                                               reinterpret_cast<std::int8_t*>(codes.data())))};
  const std::vector<std::uint32_t> queries = {0};
  const std::vector<std::uint32_t> wants = {5};
  DeviceBatch batch;
  batch.request = &request;
  batch.blocks = blocks;
  batch.queries = queries;
  batch.probes = probes;
  batch.wants = wants;
  batch.codes = reinterpret_cast<const std::int8_t*>(codes.data());
  batch.stride = 64;

  const CoarsePlane& plane = *data.blocks[0].block->coarse();
  int sum = 0;
  for (std::size_t i = 0; i < 64; ++i) {
    sum += (plane.codes()[3 * 64 + i] - 128) * batch.codes[i];
  }
  const float score = plane.squares()[3] + probes[0].limit.square -
                      static_cast<float>(sum) * plane.scales()[3] * probes[0].limit.scale;
  DeviceAnswer answer;
  const auto accepts = [&](PackedSurvivor survivor) {
    return answer.take(batch, std::span(&survivor, 1), 1);
  };
  REQUIRE(accepts({0, 0, 3, score}));
  QueryCandidates candidates;
  answer.finish(batch, 0, candidates);
  REQUIRE(candidates.list.size() == 1);
  CHECK(candidates.list[0].position == 3);
  CHECK_FALSE(accepts({1, 0, 3, score}));
  CHECK_FALSE(accepts({0, 1, 3, score}));
  CHECK_FALSE(accepts({0, 0, 100, score}));  // published, but not mirrored
  CHECK_FALSE(accepts({0, 0, 1, score}));    // not eligible
  CHECK_FALSE(accepts({0, 0, 3, score * 1.01f}));
  PackedSurvivor wrong = {0, 0, 3, score * 1.01f};
  CHECK(answer.take(batch, std::span(&wrong, 1), 0));  // nobody looked
}

}  // namespace
