// See sketches.h.
// The test's thread. Learning needs 256 rows; with fewer, the axes are coordinates. Always holds:
// the same rows give the same sketches.
#include "tests/support/sketches.h"

#include <algorithm>

#include "engine/rows/learn_axes.h"
#include "engine/rows/row_floats.h"

namespace vecserve::test {

using namespace vecserve::engine;

std::shared_ptr<const SketchAxes> sketch_axes(const RowShape& shape,
                                              std::span<const ScanBlock> blocks) {
  AxesSample sample;
  for (const ScanBlock& block : blocks) {
    for (std::uint32_t r = 0; r < block.count; ++r) {
      sample.rows.resize(sample.rows.size() + shape.dim);
      row_floats(shape.type, block.block->vector(r), shape.dim,
                 sample.rows.data() + sample.rows.size() - shape.dim);
      ++sample.count;
      if (shape.metric == Metric::dot) {
        sample.largest = std::max(sample.largest, static_cast<double>(block.block->norms()[r]));
      }
    }
  }
  if (auto axes = learn_axes(shape, sample, [] { return false; })) return axes;
  const std::uint32_t count = SketchAxes::count_for(shape);
  std::vector<float> axes(std::size_t{count} * shape.dim, 0.0f);
  for (std::uint32_t a = 0; a < count; ++a) axes[std::size_t{a} * shape.dim + a] = 1.0f;
  return std::make_shared<const SketchAxes>(shape, count, std::vector<float>(shape.dim, 0.0f),
                                            std::move(axes), std::vector<float>(count, 0.0625f),
                                            sample.largest);
}

std::vector<std::shared_ptr<const SketchPlane>> make_sketches(const RowShape& shape,
                                                              std::span<ScanBlock> blocks) {
  std::vector<std::shared_ptr<const SketchPlane>> planes;
  if (!shape.coarse || !SketchAxes::serves(shape)) return planes;
  const auto axes = sketch_axes(shape, blocks);
  for (std::size_t b = 0; b + 1 < blocks.size(); ++b) {
    planes.push_back(std::make_shared<const SketchPlane>(axes, *blocks[b].block, blocks[b].count));
    blocks[b].sketch = planes.back().get();
  }
  return planes;
}

bool prepare(SketchSieve& sieve, const ScanRequest& request) {
  if (!sieve.begin(request)) return false;
  std::vector<float> scratch;
  for (std::uint32_t q = 0; q < request.queries.size(); ++q) {
    sieve.make_ready(request, q, scratch);
  }
  return true;
}

}  // namespace vecserve::test
