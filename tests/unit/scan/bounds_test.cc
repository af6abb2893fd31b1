// Checks engine/scan/bounds at the ends of the float range, where sums are infinite, lost or not a
// number. Ordinary and adversarial data are in tests/conformance/kernels_test.cc. Single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/bounds.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

ScoreBound bound_of(Metric metric, double norm) {
  return make_bound(RowShape::make(metric, ScalarType::f32, 128), generic_kernels(), norm);
}

TEST_CASE("bounds: sums of squares stay near below and never negative", "[scan]") {
  const ScoreBound bound = bound_of(Metric::l2, 1.0);
  CHECK(lower_bound(bound, 1.0f, 0.0f) == 0.0f);
  CHECK(lower_bound(bound, 1.0f, 1.0f) < 1.0f);
  CHECK(lower_bound(bound, 1.0f, 1.0f) > 0.99999f);
  // An infinite sum proves that the distance is large.
  CHECK(lower_bound(bound, 1.0f, kInf) > 3.4e38f);
  CHECK(lower_bound(bound, 1.0f, kInf) < kInf);
}

TEST_CASE("bounds: a product that is not finite proves nothing", "[scan]") {
  const ScoreBound bound = bound_of(Metric::dot, 1.0);
  CHECK(lower_bound(bound, 1.0f, 0.5f) < -0.5f);
  CHECK(lower_bound(bound, 1.0f, 0.5f) > -0.50002f);
  for (const float sum : {kInf, -kInf, kNan}) CHECK(lower_bound(bound, 1.0f, sum) == -kInf);
  CHECK(lower_bound(bound, kInf, 0.5f) == -kInf);
  CHECK(lower_bound(bound_of(Metric::dot, 0.0), kInf, 0.0f) == -kInf);
  CHECK(lower_bound(bound_of(Metric::dot, 1e60), 1.0f, 0.5f) == -kInf);
}

TEST_CASE("bounds: a cosine that cannot be trusted is bounded by 0", "[scan]") {
  const ScoreBound bound = bound_of(Metric::cosine, 2.0);
  CHECK(lower_bound(bound, 3.0f, 3.0f) == Approx(0.5).margin(2e-5));
  CHECK(lower_bound(bound, 3.0f, 3.0f) < 0.5f);
  CHECK(lower_bound(bound, 3.0f, 6.0f) == 0.0f);
  CHECK(lower_bound(bound, 3.0f, -6.0f) == Approx(2.0).margin(2e-5));
  for (const float sum : {kInf, -kInf, kNan}) CHECK(lower_bound(bound, 1.0f, sum) == 0.0f);
  for (const float norm : {0.0f, 0x1p-130f, kInf}) CHECK(lower_bound(bound, norm, 0.0f) == 0.0f);
  CHECK(lower_bound(bound_of(Metric::cosine, 1e-40), 1.0f, 0.0f) == 0.0f);
  CHECK(lower_bound(bound_of(Metric::cosine, 1e35), 1.0f, 0.0f) == 0.0f);
}

TEST_CASE("bounds: from above they are as near as from below", "[scan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    const ScoreBound bound = bound_of(metric, 2.0);
    for (const float sum : {0.0f, 1.0f, 3.0f, 5.9f}) {
      CAPTURE(to_string(metric), sum);
      const float lower = lower_bound(bound, 3.0f, sum);
      const float upper = upper_bound(bound, 3.0f, sum);
      const float exact = metric == Metric::l2 ? sum : metric == Metric::dot ? -sum : 1 - sum / 6;
      CHECK(upper >= exact);
      CHECK(upper > lower);
      CHECK(upper - exact <= 1.01f * (exact - lower) + 4 * 0x1p-24f);
      CHECK(upper - exact < 3e-5f);
    }
  }
}

TEST_CASE("bounds: from above nothing is proven of what is lost, infinite or not a number",
          "[scan]") {
  CHECK(upper_bound(bound_of(Metric::l2, 1.0), 1.0f, 0.0f) > 0.0f);
  CHECK(upper_bound(bound_of(Metric::l2, 1.0), 1.0f, kInf) == kInf);
  for (const float sum : {kInf, -kInf, kNan}) {
    CHECK(upper_bound(bound_of(Metric::dot, 1.0), 1.0f, sum) == kInf);
    CHECK(upper_bound(bound_of(Metric::cosine, 2.0), 1.0f, sum) == 2.0f);
  }
  CHECK(upper_bound(bound_of(Metric::dot, 1.0), kInf, 0.5f) == kInf);
  CHECK(upper_bound(bound_of(Metric::dot, 1e60), 1.0f, 0.5f) == kInf);
  for (const float norm : {0.0f, 0x1p-130f, kInf}) {
    CHECK(upper_bound(bound_of(Metric::cosine, 2.0), norm, 0.0f) == 2.0f);
  }
  CHECK(upper_bound(bound_of(Metric::cosine, 1e-40), 1.0f, 0.0f) == 2.0f);
  CHECK(upper_bound(bound_of(Metric::cosine, 1e35), 1.0f, 0.0f) == 2.0f);
  CHECK(upper_bound(bound_of(Metric::cosine, 2.0), 3.0f, -6.0f) == 2.0f);
}

TEST_CASE("bounds: more dimensions and fewer lanes make them wider", "[scan]") {
  const auto slack = [](std::uint32_t dim, std::uint32_t lanes) {
    KernelTable table;
    table.lanes = lanes;
    const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, dim);
    return 1.0f - lower_bound(make_bound(shape, table, 1.0), 1.0f, 1.0f);
  };
  CHECK(slack(65'536, 4) > slack(65'536, 16));
  CHECK(slack(65'536, 16) > slack(128, 16));
  CHECK(slack(65'536, 4) >= 65'536 / 4 * 0x1p-24f);
}

}  // namespace
