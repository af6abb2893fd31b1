// See coarse_bounds.h.
//
// l2. Let D = |q^ - x^|. By the triangle inequality D - r <= |q - x| <= D + r with r = r_q + r_x,
// so the squared distance lies between max(0, D - r)^2 and (D + r)^2. The kernel's score is D^2
// within error = kScoreError (square_r + square_q) + kScoreFloor.
//
// dot. q.x - q^.x^ = (q - q^).x + q^.(x - x^), at most slack = r_q |x| + |q^| r_x in size. The
// distance is -q.x and the score -q^.x^ within kScoreError (|q^| + r_q) |x|: so it lies within
// score -+ slack
// -+ that. cosine is the same over unit vectors, plus one; what the unit vectors' own rounding adds
// (2^-36, see coarse_plane.cc) the error covers, since their norms are one.
//
// Everything here is done in doubles from floats; kBoundsSlack covers their roundings and those of
// the reference, which adds up to 2^16 terms of at most square_r + square_q (or the product of the
// norms): 2^-36 of it.
#include "engine/scan/coarse_bounds.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vecserve::engine {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A float of at least `value`, one or two steps above it: what is added is more than the conversion
// can take off again, a half of 2^-23 of it or, among the smallest floats, a half of 2^-149.
float round_up(double value) {
  if (std::isinf(value)) return static_cast<float>(value);
  return static_cast<float>(value + (std::fabs(value) * 0x1p-23 + 0x1p-149));
}

float round_down(double value) {
  return -round_up(-value);
}

}  // namespace

CoarseProbe make_probe(Metric metric, const CoarseQuery& query) {
  CoarseProbe probe;
  probe.metric = metric;
  probe.query = query;
  const bool l2 = metric == Metric::l2;
  probe.limit.scale = l2 ? 2.0f * query.scale : query.scale;
  probe.limit.square = query.square;
  probe.limit.residual = query.residual;
  probe.limit.coarse_norm = query.coarse_norm;
  probe.limit.bias = 128 * query.code_sum;
  probe.limit.reach = kInfinity;
  return probe;
}

float reach_of(const CoarseProbe& probe, float threshold) {
  const auto most = static_cast<double>(threshold);
  if (probe.metric == Metric::l2) {
    // A negative threshold (a range search may ask for one) is below every distance.
    const double root = std::sqrt(std::max(most, 0.0)) + static_cast<double>(probe.query.residual);
    return round_up(root * (1.0 + kBoundsSlack));
  }
  // The cosine distance is one more than what the kernel scores.
  const double score = probe.metric == Metric::cosine ? most - 1.0 : most;
  return round_up(score + std::fabs(score) * kBoundsSlack +
                  (probe.metric == Metric::cosine ? kBoundsSlack : 0.0));
}

DistanceBounds bounds_of(const CoarseProbe& probe, const CoarsePlane& plane, std::uint32_t position,
                         float score) {
  const auto residual_r = static_cast<double>(plane.residuals()[position]);
  const auto residual_q = static_cast<double>(probe.query.residual);
  const auto value = static_cast<double>(score);
  const auto unit = static_cast<double>(kScoreError) + kBoundsSlack;
  const auto least = static_cast<double>(kScoreFloor);
  if (!std::isfinite(value) || !std::isfinite(residual_r)) {
    return {-kInfinity, kInfinity};
  }
  if (probe.metric == Metric::l2) {
    const double squares =
        static_cast<double>(plane.squares()[position]) + static_cast<double>(probe.query.square);
    const double error = unit * squares + least;
    const double reach = residual_r + residual_q;
    const double near = std::sqrt(std::max(value - error, 0.0)) - reach;
    const double far = std::sqrt(std::max(value + error, 0.0)) + reach;
    const double lower = near > 0.0 ? near * near * (1.0 - kBoundsSlack) : 0.0;
    return {round_down(lower), round_up(far * far * (1.0 + kBoundsSlack) + least)};
  }
  const auto norm_r = static_cast<double>(plane.norms()[position]);
  const auto coarse_norm = static_cast<double>(probe.query.coarse_norm);
  const double error = coarse_norm * residual_r + residual_q * norm_r +
                       unit * (coarse_norm + residual_q) * norm_r + least;
  if (probe.metric == Metric::cosine) {
    const double lower = std::max(0.0, 1.0 + value - error - kBoundsSlack);
    const double upper = std::min(2.0, 1.0 + value + error + kBoundsSlack);
    return {round_down(lower), round_up(upper)};
  }
  return {round_down(value - error), round_up(value + error)};
}

void bounds_of_some(const CoarseKernels& kernels, const CoarseProbe& probe,
                    const CoarsePlane& plane, std::uint32_t first,
                    std::span<const Survivor> survivors, DistanceBoundsOfSome& bounds) {
  const Metric metric = probe.metric;
  const CoarseBoundsOf wide = metric == Metric::l2    ? kernels.bounds_l2
                              : metric == Metric::dot ? kernels.bounds_dot
                                                      : kernels.bounds_cosine;
  if (wide != nullptr) {
    CoarseRows rows;
    rows.squares = plane.squares() + first;
    rows.residuals = plane.residuals() + first;
    rows.norms = plane.norms() + first;
    wide(rows, probe.limit, survivors.data(), static_cast<std::uint32_t>(survivors.size()),
         bounds.lower, bounds.upper);
    return;
  }
  for (std::size_t i = 0; i < survivors.size(); ++i) {
    const DistanceBounds one =
        bounds_of(probe, plane, first + survivors[i].row, survivors[i].score);
    bounds.lower[i] = one.lower;
    bounds.upper[i] = one.upper;
  }
}

}  // namespace vecserve::engine
