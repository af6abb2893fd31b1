// See sketch_bounds.h.
//
// From a distance to the squared distance of mapped points (sketch_axes.h). l2: the same. cosine:
// |u - v|^2 = 2 - 2 u.v = 2 distance. dot: with q' = q largest / |q| and the additional coordinate,
// |q' - x'|^2 = largest^2 + |x|^2 - 2 q'.x + largest^2 - |x|^2 = 2 largest^2 + 2 largest / |q|
// times distance. Sketches are nearer than the points, so a row within the threshold has |s_q -
// s_x| <= sqrt(shift + factor threshold) =: root, and with x^ as stored and s^ as computed |s^ -
// x^| <= root + reach_x + reach_q, where reach_q is the error of the point and of what it leaves
// out. The kernel's score is |s^ - x^|^2 but for roundings, which kScoreError covers as in
// coarse_kernels.h, and for the query's codes: the dot product with codes of at most 127 in size is
// off by at most 127 sum |y - step Y|, twice that in the score.
//
// The reference rounds too: relative to the distance (l2), or by 2^-36 of one (cosine) or of
// largest |q| (dot); kDoubleSlack and kShiftSlack are larger.
#include "engine/scan/sketch_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/rows/row_norm.h"

namespace vecserve::engine {

namespace {

constexpr double kDoubleSlack = 0x1p-34;
constexpr double kShiftSlack = 0x1p-30;
constexpr double kCodeMax = 16256.0;  // 127 * 128
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float round_up(double value) {
  const auto rounded = static_cast<float>(value);
  return static_cast<double>(rounded) >= value ? rounded : std::nextafter(rounded, kInfinity);
}

// Codes of the axes [from, to); returns what their rounding can do to the score.
double put_codes(const SketchAxes& axes, const SketchPoint& point, std::uint32_t from,
                 std::uint32_t to, SketchProbe& probe, std::uint32_t stripe) {
  double weights[kSketchAxesMax];
  double most = 0.0;
  for (std::uint32_t axis = from; axis < to; ++axis) {
    weights[axis] =
        static_cast<double>(point.along[axis]) * static_cast<double>(axes.steps()[axis]);
    most = std::max(most, std::fabs(weights[axis]));
  }
  const auto step = static_cast<float>(most / kCodeMax);
  const auto unit = static_cast<double>(step);
  double off = 0.0;
  std::int32_t sum = 0;
  for (std::uint32_t axis = from; axis < to; ++axis) {
    const double code =
        unit > 0.0 ? std::clamp(std::nearbyint(weights[axis] / unit), -kCodeMax, kCodeMax) : 0.0;
    off += std::fabs(weights[axis] - code * unit);
    const auto whole = static_cast<std::int32_t>(code);
    const auto high = static_cast<std::int32_t>(std::nearbyint(code / 128.0));
    probe.high[axis] = static_cast<std::int8_t>(high);
    probe.low[axis] = static_cast<std::int8_t>(whole - 128 * high);
    sum += whole;
  }
  probe.steps[stripe] = 2.0f * step;
  probe.bias[stripe] = 128 * sum;
  return 2.0 * 127.0 * off * (1.0 + kDoubleSlack);
}

// Fills in the limit and returns what the query adds to its reach.
double put_limit(double squares, double left_middle, double left_error, double slack,
                 SketchLimit& limit) {
  const auto left = static_cast<float>(left_middle);
  const auto kept = static_cast<double>(left);
  const double base = (squares + kept * kept) * (1.0 - static_cast<double>(kScoreError)) - slack -
                      static_cast<double>(kScoreFloor);
  limit.base = -round_up(-base);
  limit.twice_left = 2.0f * left;
  return left_error + std::fabs(left_middle - kept);
}

}  // namespace

void make_sketch_query(const SketchAxes& axes, const float* f32, double norm, float* scratch,
                       SketchQuery& query) {
  SketchPoint point;
  axes.see_query(f32, scratch, point);
  query.served = point.served;
  if (!point.served) return;
  query.probe = SketchProbe();
  const std::uint32_t count = axes.count();
  const double first_slack = put_codes(axes, point, 0, kSketchFirst, query.probe, 0);
  const double fine_slack = put_codes(axes, point, kSketchFirst, count, query.probe, 1);
  query.reach_first =
      point.error + put_limit(square_of(point.along, kSketchFirst), point.left_first,
                              point.left_first_error, first_slack, query.probe.first);
  query.reach_all =
      point.error + put_limit(square_of(point.along, count), point.left, point.left_error,
                              first_slack + fine_slack, query.probe.all);
  query.shift = 0.0;
  query.factor = 1.0;
  if (axes.metric() == Metric::cosine) {
    query.shift = kShiftSlack;
    query.factor = 2.0;
  } else if (axes.metric() == Metric::dot) {
    const double square = axes.largest() * axes.largest();
    query.shift = 2.0 * square * (1.0 + kShiftSlack);
    query.factor = 2.0 * axes.query_scale(norm);
  }
}

SketchReach reach_of(const SketchQuery& query, float threshold) {
  const double square = query.shift + query.factor * static_cast<double>(threshold);
  const double root = std::sqrt(std::max(square, 0.0)) * (1.0 + kDoubleSlack);
  return {round_up((root + query.reach_first) * (1.0 + kBoundSlack)),
          round_up((root + query.reach_all) * (1.0 + kBoundSlack))};
}

}  // namespace vecserve::engine
