// A case on an emulated device, one launch at a time: rows, sketches and live bits mirrored, and
// the batch that asks for them. Comes after gpu_case, before the tests of kernels. Test thread
// only. Always holds: what the launch may change is the case's own; a batch may be changed between
// runs.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <tuple>
#include <vector>

#include "engine/gpu/device_scan.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"
#include "tests/support/simt/shadow.h"

namespace vecserve::test::simt {

// Has the batch of a case show what the case holds; its stride is the caller's.
template <typename Case>
void fill_batch(Case& of) {
  of.batch.request = &of.request;
  of.batch.blocks = of.blocks;
  of.batch.queries = of.queries;
  of.batch.probes = of.probes;
  of.batch.wants = of.wants;
  of.batch.codes = reinterpret_cast<const std::int8_t*>(of.codes.data());
}

// A case on a device, with all rows mirrored.
struct OnDevice {
  OnDevice(const GpuCase& data, const engine::gpu::DeviceTuning& tuning_in,
           engine::gpu::Device::Inject inject = {}, const EmulatedOptions& options = {})
      : tuning(tuning_in),
        device(std::make_shared<engine::gpu::Device>(make_emulated_driver(options),
                                                     std::move(inject))),
        mirror(engine::gpu::Mirror::make(device, std::size_t{16} << 20, std::size_t{64} << 10)
                   .value()),
        lane(engine::gpu::DeviceLane::make(device, tuning).value()),
        scan(*device, tuning),
        request(data.request()) {
    for (const engine::ScanBlock& block : data.blocks) {
      REQUIRE(mirror->cover(*block.block, block.count).ok());
      const std::shared_ptr<const engine::SketchPlane> sketch(std::shared_ptr<const void>(),
                                                              block.sketch);
      REQUIRE(mirror->cover_sketch(block.block->serial(), sketch).ok());
    }
    pin();
    batch.stride = data.blocks[0].block->coarse()->stride();
    codes = engine::AlignedBuffer(data.views.size() * batch.stride);
    std::fill(codes.data(), codes.data() + codes.size(), std::byte{0});
    for (std::uint32_t q = 0; q < data.views.size(); ++q) {
      auto* const mine = reinterpret_cast<std::int8_t*>(codes.data()) + q * batch.stride;
      probes.push_back(engine::make_probe(
          request.shape.metric, engine::make_coarse_query(request.shape.metric, data.views[q].f32,
                                                          request.shape.dim, mine)));
      wants.push_back(needed(data.views[q]));
      queries.push_back(q);
    }
    fill_batch(*this);
  }
  // What the mirror has of the blocks now.
  void pin() {
    std::vector<std::uint64_t> serials;
    for (const engine::ScanBlock& block : request.blocks) serials.push_back(block.block->serial());
    std::vector<engine::gpu::MirrorView> views;
    mirror->find_all(serials, views);
    blocks.clear();
    for (std::size_t b = 0; b < views.size(); ++b) {
      const std::uint32_t vectors = views[b].full == nullptr ? 0 : views[b].full->covered();
      blocks.push_back({views[b].page, views[b].live, views[b].sketch, request.blocks[b].count,
                        views[b].full, vectors});
    }
    batch.blocks = blocks;
  }
  // From now on by the sketches of the blocks that have one.
  void sift(const engine::SketchAxes& axes) {
    std::vector<float> scratch(axes.scratch_floats());
    sketches.resize(queries.size());
    for (std::size_t q = 0; q < queries.size(); ++q) {
      const engine::ScanQuery& query = request.queries[queries[q]];
      engine::make_sketch_query(axes, query.f32, query.norm, scratch.data(), sketches[q]);
    }
    batch.axes = &axes;
    batch.sketches = sketches;
  }
  // From now on by the vectors of the first `count` rows of each block, too.
  void sharpen(std::uint32_t count) {
    for (const engine::ScanBlock& block : request.blocks) {
      const std::uint32_t rows = std::min(count, block.count);
      REQUIRE(mirror->cover_full(*block.block, rows, rows).value() == rows);
    }
    pin();
    for (const engine::ScanQuery& query : request.queries) {
      fulls.push_back(engine::gpu::make_full_bound(request.shape, query.norm));
    }
    batch.fulls = fulls;
  }
  Status run() {
    const Status started = scan.start(batch, *lane);
    return started.ok() ? scan.finish() : started;
  }
  // Whether the first k rows of each query's truth are among the survivors.
  bool has_answers(const GpuCase& data, std::size_t k) const {
    std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>> found;
    for (const engine::gpu::PackedSurvivor& s : scan.survivors())
      found.insert({s.query, s.block, s.position});
    for (std::uint32_t q = 0; q < data.views.size(); ++q) {
      const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[data.views[q].mask],
                                     data.views[q].f32);
      for (std::size_t i = 0; i < std::min(k, truth.size()); ++i) {
        if (!found.contains({q, truth[i].block, truth[i].position})) return false;
      }
    }
    return true;
  }

  const engine::gpu::DeviceTuning tuning;
  std::shared_ptr<engine::gpu::Device> device;
  std::unique_ptr<engine::gpu::Mirror> mirror;
  std::unique_ptr<engine::gpu::DeviceLane> lane;
  engine::gpu::DeviceScan scan;
  engine::ScanRequest request;
  std::vector<engine::gpu::MirroredBlock> blocks;
  engine::AlignedBuffer codes;
  std::vector<engine::CoarseProbe> probes;
  std::vector<std::uint32_t> wants;
  std::vector<std::uint32_t> queries;
  std::vector<engine::SketchQuery> sketches;
  std::vector<engine::ScoreBound> fulls;
  engine::gpu::DeviceBatch batch;
};

}  // namespace vecserve::test::simt
