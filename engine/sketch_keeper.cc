// See sketch_keeper.h.
// The background thread, or a caller of maintenance in tests. Always holds: blocks are published
// together, so that all sketches of a snapshot have the same axes but for blocks that came since.
#include "engine/sketch_keeper.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/rows/learn_axes.h"
#include "engine/rows/row_floats.h"

namespace vecserve::engine {

namespace {

// Below this many bytes a coarse plane is read in a hundred microseconds or two, and sketches would
// not take much off it.
constexpr std::uint64_t kCoarseBytesMin = std::uint64_t{4} << 20;
// The collection has outgrown its axes when it has this many times the rows they were learned from.
constexpr double kOutgrown = 4.0;
// The same when its new rows lie elsewhere: not at once, or a mixture would be learned for ever.
constexpr double kOutgrownElsewhere = 1.25;
// New rows lie elsewhere when what their sketches leave out is this many times what it was.
constexpr double kElsewhere = 2.0;
// Rows of the sample that are searched for, to see what sketches would turn away.
constexpr std::uint32_t kProbes = 16;
// Sketches that let more than this share pass do not pay; see the scanner's own limits.
constexpr double kPassesMax = 0.25;

// The block that is being filled is sketched again when it has so many rows more: each of them
// costs a search as much as thirty that have a sketch.
constexpr std::uint32_t kNewRows = 128;

struct Sketched {
  const RowBlock* block = nullptr;
  std::shared_ptr<const SketchPlane> plane;
};

// Whether a block needs a sketch: it has none along these axes, or many rows came to it since.
bool lacks(const BlockView& view, const SketchAxes& axes) {
  if (view.count == 0) return false;
  return view.sketch == nullptr || &view.sketch->axes() != &axes ||
         view.count - view.sketch->count() >= kNewRows;
}

// Rows at even distances over all blocks.
AxesSample take_sample(const RowShape& shape, const RowSet& rows) {
  AxesSample sample;
  const std::uint64_t all = rows.row_count();
  const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(all, kSketchSampleMax));
  sample.rows.resize(std::size_t{wanted} * shape.dim);
  std::uint64_t before = 0;
  for (std::size_t b = 0; b < rows.block_count(); ++b) {
    const BlockView& view = rows.view(b);
    if (shape.metric == Metric::dot) {
      for (std::uint32_t r = 0; r < view.count; ++r) {
        sample.largest = std::max(sample.largest, static_cast<double>(view.block->norms()[r]));
      }
    }
    for (; sample.count < wanted; ++sample.count) {
      const std::uint64_t row = all * sample.count / wanted;
      if (row >= before + view.count) break;
      row_floats(shape.type, view.block->vector(static_cast<std::uint32_t>(row - before)),
                 shape.dim, &sample.rows[std::size_t{sample.count} * shape.dim]);
    }
    before += view.count;
  }
  return sample;
}

// A lower bound of the squared distance of two mapped points, but for errors.
double sketch_distance(const SketchPoint& a, const SketchPoint& b, std::uint32_t count) {
  double sum = (a.left - b.left) * (a.left - b.left) + (a.extra - b.extra) * (a.extra - b.extra);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto difference = static_cast<double>(a.along[i] - b.along[i]);
    sum += difference * difference;
  }
  return sum;
}

// The squared distance of mapped rows, from their products.
double mapped_distance(Metric metric, const float* a, const float* b, std::uint32_t dim,
                       double largest) {
  double aa = 0.0;
  double bb = 0.0;
  double ab = 0.0;
  for (std::uint32_t i = 0; i < dim; ++i) {
    aa += static_cast<double>(a[i]) * static_cast<double>(a[i]);
    bb += static_cast<double>(b[i]) * static_cast<double>(b[i]);
    ab += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  if (metric == Metric::l2) return aa + bb - 2.0 * ab;
  if (metric == Metric::cosine) return aa * bb > 0.0 ? 2.0 - 2.0 * ab / std::sqrt(aa * bb) : 0.0;
  // A row as a query: scaled to the largest, without the additional coordinate.
  return aa > 0.0 ? 2.0 * largest * largest - 2.0 * ab * largest / std::sqrt(aa) : 0.0;
}

// What share of the sample a search for one of its rows would have left after the sketches, when it
// wants the nearest other row.
double share_that_passes(const RowShape& shape, const AxesSample& sample, const SketchAxes& axes) {
  std::vector<float> scratch(axes.scratch_floats());
  std::vector<SketchPoint> points(sample.count);
  for (std::uint32_t r = 0; r < sample.count; ++r) {
    axes.see_row(&sample.rows[std::size_t{r} * shape.dim], scratch.data(), points[r]);
  }
  std::uint64_t passed = 0;
  for (std::uint32_t p = 0; p < kProbes; ++p) {
    const std::uint32_t row = sample.count / kProbes * p;
    const float* const vector = &sample.rows[std::size_t{row} * shape.dim];
    double nearest = std::numeric_limits<double>::infinity();
    for (std::uint32_t r = 0; r < sample.count; ++r) {
      if (r == row) continue;
      nearest = std::min(
          nearest, mapped_distance(shape.metric, vector, &sample.rows[std::size_t{r} * shape.dim],
                                   shape.dim, sample.largest));
    }
    SketchPoint point;
    axes.see_query(vector, scratch.data(), point);
    if (!point.served) return 1.0;
    for (std::uint32_t r = 0; r < sample.count; ++r) {
      if (!points[r].served || sketch_distance(point, points[r], axes.count()) <= nearest) {
        ++passed;
      }
    }
  }
  return static_cast<double>(passed) / (double{kProbes} * sample.count);
}

double mean_reach(const SketchPlane& plane) {
  double sum = 0.0;
  for (std::uint32_t r = 0; r < plane.count(); ++r) {
    sum += std::min(1e30, static_cast<double>(plane.reaches()[r]));
  }
  return plane.count() == 0 ? 0.0 : sum / plane.count();
}

bool due(const CollectionCore& core, const RowSet& rows) {
  const std::uint64_t count = rows.row_count();
  const bool forced = core.runtime->options.planes == Planes::sketch;
  if (count < kSketchSampleMin ||
      (!forced && count * CoarsePlane::bytes_per_row(core.shape) < kCoarseBytesMin)) {
    return false;
  }
  const double times = core.sketching.elsewhere ? kOutgrownElsewhere : kOutgrown;
  return static_cast<double>(count) >= times * static_cast<double>(core.sketching.rows_then);
}

// New axes for all blocks, or none when they would not pay.
Status learn(CollectionCore& core, const RowSet& rows, const std::function<bool()>& stopping) {
  const AxesSample sample = take_sample(core.shape, rows);
  std::shared_ptr<const SketchAxes> axes = learn_axes(core.shape, sample, stopping);
  if (stopping()) return {};
  const bool forced = core.runtime->options.planes == Planes::sketch;
  if (axes != nullptr && !forced && share_that_passes(core.shape, sample, *axes) > kPassesMax) {
    axes = nullptr;
  }
  // Axes that do not pay are tried again when the collection has outgrown this sample.
  core.sketching = {std::move(axes), rows.row_count(), 0.0, false};
  return {};
}

Status publish(CollectionCore& core, const std::vector<Sketched>& made) {
  return core.runtime->committer.exclusively([&]() -> Status {
    VECSERVE_TRY(core.usable());
    RowSetEditor editor(core.snapshot());
    bool any = false;
    for (const Sketched& sketched : made) {
      any = editor.set_sketch(*sketched.block, sketched.plane) || any;
    }
    if (!any) return {};
    const std::unique_lock lock(core.publication_mutex);
    core.version.fetch_add(1, std::memory_order_acq_rel);
    core.publish(editor.finish(core.runtime->sequence.load(std::memory_order_relaxed)));
    core.version.fetch_add(1, std::memory_order_acq_rel);
    return {};
  });
}

Status keep(CollectionCore& core, const RowSet& rows, const std::function<bool()>& stopping) {
  CollectionCore::Sketching& sketching = core.sketching;
  if (due(core, rows)) {
    VECSERVE_TRY(learn(core, rows, stopping));
  }
  if (sketching.axes == nullptr) return {};
  std::vector<Sketched> made;
  for (std::size_t b = 0; b < rows.block_count(); ++b) {
    const BlockView& view = rows.view(b);
    if (!lacks(view, *sketching.axes)) continue;
    if (stopping()) return {};
    made.push_back({view.block.get(),
                    std::make_shared<const SketchPlane>(sketching.axes, *view.block, view.count)});
  }
  if (made.empty()) return {};
  const double reach = mean_reach(*made.back().plane);
  if (sketching.reach_then == 0.0) {
    sketching.reach_then = mean_reach(*made.front().plane);
  } else {
    sketching.elsewhere = reach > kElsewhere * sketching.reach_then;
  }
  return publish(core, made);
}

}  // namespace

Status keep_sketches(const std::shared_ptr<CollectionCore>& core,
                     const std::function<bool()>& stopping) {
  VECSERVE_TRY(core->usable());
  // Held to the end, so that the blocks that are being sketched live until then.
  const std::shared_ptr<const RowSet> rows = core->snapshot();
  const Planes planes = core->runtime->options.planes;
  if ((planes == Planes::automatic || planes == Planes::sketch) && core->shape.coarse &&
      SketchAxes::serves(core->shape)) {
    VECSERVE_TRY(keep(*core, *rows, stopping));
  }
  core->tallies.rows_surveyed.store(rows->row_count(), std::memory_order_relaxed);
  return {};
}

}  // namespace vecserve::engine
