// A query as the sketch kernels read it, and from a threshold on the distance to what they compare
// with. Comes between the sketch's axes and its kernels. Pure, any thread. Always holds: no row
// whose reference distance is within the threshold is turned away; the derivation stands in
// sketch_bounds.cc.
#pragma once

#include "engine/rows/sketch_axes.h"
#include "engine/scan/sketch_kernels.h"

namespace vecserve::engine {

struct SketchQuery {
  SketchProbe probe;
  double reach_first = 0.0;  // what the query adds to the reach of either test
  double reach_all = 0.0;
  double shift = 0.0;  // squared distance between sketches = shift + factor * distance
  double factor = 1.0;
  bool served = false;  // false: sketches say nothing about this query
};

// `f32` as in ScanQuery, `norm` its length; `scratch` has axes.scratch_floats() floats.
void make_sketch_query(const SketchAxes& axes, const float* f32, double norm, float* scratch,
                       SketchQuery& query);

// What the tests compare with, so that rows that are surely further than `threshold` do not
// survive.
[[nodiscard]] SketchReach reach_of(const SketchQuery& query, float threshold);

}  // namespace vecserve::engine
