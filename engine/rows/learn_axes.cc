// See learn_axes.h.
// The background thread. Always holds: the work between two looks at `stopping` is one pass over
// the sample, some tens of milliseconds.
#include "engine/rows/learn_axes.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>

#include "engine/rows/coarse_plane.h"

namespace vecserve::engine {

namespace {

// Directions carried along beside those that are wanted: the iteration converges faster with a few
// to spare.
constexpr std::uint32_t kSpare = 8;
constexpr std::uint32_t kPasses = 6;
// Codes reach this many standard deviations, or the largest of the sample if that is less: what
// lies beyond is cut off and paid for by its own row alone.
constexpr double kDeviations = 4.5;
// Rows that differ by less are all the same for floats.
constexpr float kMostMin = 0x1p-60f;

using Eight [[gnu::vector_size(32)]] = float;

// sum += weight * x, over a multiple of 8 floats.
void add_scaled(const float* x, float weight, std::uint32_t count, float* sum) {
  for (std::uint32_t i = 0; i < count; i += 8) {
    Eight a;
    Eight b;
    __builtin_memcpy(&a, x + i, sizeof(a));
    __builtin_memcpy(&b, sum + i, sizeof(b));
    b += a * weight;
    __builtin_memcpy(sum + i, &b, sizeof(b));
  }
}

float product(const float* a, const float* b, std::uint32_t count) {
  Eight sum = {};
  for (std::uint32_t i = 0; i < count; i += 8) {
    Eight x;
    Eight y;
    __builtin_memcpy(&x, a + i, sizeof(x));
    __builtin_memcpy(&y, b + i, sizeof(y));
    sum += x * y;
  }
  return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

double exact_product(const float* a, const float* b, std::uint32_t count) {
  double sum = 0.0;
  for (std::uint32_t i = 0; i < count; ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

// The sample mapped and centred, each row padded to a multiple of 8, and divided by `unit`, so that
// floats hold its squares.
struct Centred {
  std::uint32_t padded = 0;
  double unit = 1.0;
  std::vector<float> rows;
  std::vector<float> mean;
};

Centred centre(const RowShape& shape, const AxesSample& sample) {
  Centred centred;
  centred.padded = (shape.dim + 7) / 8 * 8;
  centred.rows.assign(std::size_t{sample.count} * centred.padded, 0.0f);
  std::vector<double> sums(shape.dim, 0.0);
  for (std::uint32_t r = 0; r < sample.count; ++r) {
    const float* const row = &sample.rows[std::size_t{r} * shape.dim];
    double scale = 1.0;
    if (shape.metric == Metric::cosine) {
      const double norm = std::sqrt(exact_product(row, row, shape.dim));
      scale = norm > static_cast<double>(CoarsePlane::kUnitNormMin) ? 1.0 / norm : 0.0;
    }
    float* const out = &centred.rows[std::size_t{r} * centred.padded];
    for (std::uint32_t i = 0; i < shape.dim; ++i) {
      out[i] = static_cast<float>(static_cast<double>(row[i]) * scale);
      sums[i] += static_cast<double>(out[i]);
    }
  }
  centred.mean.resize(shape.dim);
  for (std::uint32_t i = 0; i < shape.dim; ++i) {
    centred.mean[i] = static_cast<float>(sums[i] / sample.count);
  }
  float most = 0.0f;
  for (std::uint32_t r = 0; r < sample.count; ++r) {
    float* const row = &centred.rows[std::size_t{r} * centred.padded];
    for (std::uint32_t i = 0; i < shape.dim; ++i) {
      row[i] -= centred.mean[i];
      most = std::max(most, std::fabs(row[i]));
    }
  }
  int exponent = 0;
  std::frexp(most, &exponent);
  centred.unit = std::ldexp(1.0, exponent);
  const auto inverse = static_cast<float>(std::ldexp(1.0, -exponent));
  for (float& value : centred.rows) value *= inverse;
  if (!(most > kMostMin)) centred.rows.clear();
  return centred;
}

// Takes off what lies along the directions before it, and makes it as long as one; false, and not
// to be used, when hardly anything of it is left.
bool make_orthonormal(std::vector<float>& directions, std::uint32_t a, std::uint32_t padded,
                      double left_min) {
  float* const mine = &directions[std::size_t{a} * padded];
  // Twice, since once is not enough for nearly parallel ones.
  for (int round = 0; round < 2; ++round) {
    const double before = std::sqrt(exact_product(mine, mine, padded));
    for (std::uint32_t b = 0; b < a; ++b) {
      const float* const other = &directions[std::size_t{b} * padded];
      add_scaled(other, static_cast<float>(-exact_product(mine, other, padded)), padded, mine);
    }
    const double norm = std::sqrt(exact_product(mine, mine, padded));
    if (!(norm > before * left_min)) return false;
    for (std::uint32_t i = 0; i < padded; ++i) {
      mine[i] = static_cast<float>(static_cast<double>(mine[i]) / norm);
    }
  }
  return true;
}

// A direction that has nothing of its own, as when the rows differ along few, becomes what is left
// of a coordinate: some coordinate keeps at least the root of 1 - a / dim, which is above one half.
void orthonormalize(std::vector<float>& directions, std::uint32_t count, std::uint32_t padded,
                    std::uint32_t dim) {
  for (std::uint32_t a = 0; a < count; ++a) {
    bool done = make_orthonormal(directions, a, padded, 1e-5);
    for (std::uint32_t i = 0; i < dim && !done; ++i) {
      std::fill_n(&directions[std::size_t{a} * padded], padded, 0.0f);
      directions[std::size_t{a} * padded + i] = 1.0f;
      done = make_orthonormal(directions, a, padded, 0.5);
    }
  }
}

// next = (sum over rows r of r r^T) directions.
void multiply(const Centred& centred, std::uint32_t rows, std::uint32_t count,
              const std::vector<float>& directions, std::vector<float>& next) {
  std::fill(next.begin(), next.end(), 0.0f);
  for (std::uint32_t r = 0; r < rows; ++r) {
    const float* const row = &centred.rows[std::size_t{r} * centred.padded];
    for (std::uint32_t a = 0; a < count; ++a) {
      const std::size_t at = std::size_t{a} * centred.padded;
      add_scaled(row, product(row, &directions[at], centred.padded), centred.padded, &next[at]);
    }
  }
}

// The directions along which the sample differs most, most first, and the steps of their codes.
std::vector<float> choose(const Centred& centred, std::uint32_t rows, std::uint32_t kept,
                          std::uint32_t dim, const std::vector<float>& directions,
                          std::uint32_t count, std::vector<float>& steps) {
  struct Spread {
    double square = 0.0;
    double most = 0.0;
    std::uint32_t direction = 0;
  };
  std::vector<Spread> spreads(count);
  for (std::uint32_t a = 0; a < count; ++a) {
    spreads[a].direction = a;
    for (std::uint32_t r = 0; r < rows; ++r) {
      const double along = static_cast<double>(
          product(&centred.rows[std::size_t{r} * centred.padded],
                  &directions[std::size_t{a} * centred.padded], centred.padded));
      spreads[a].square += along * along / rows;
      spreads[a].most = std::max(spreads[a].most, std::fabs(along));
    }
  }
  std::stable_sort(spreads.begin(), spreads.end(),
                   [](const Spread& a, const Spread& b) { return a.square > b.square; });
  std::vector<float> axes(std::size_t{kept} * dim);
  steps.assign(kept, 0.0f);
  for (std::uint32_t a = 0; a < kept; ++a) {
    std::copy_n(&directions[std::size_t{spreads[a].direction} * centred.padded], dim,
                &axes[std::size_t{a} * dim]);
    const double most =
        centred.unit * std::min(spreads[a].most, kDeviations * std::sqrt(spreads[a].square));
    // Sixteen significant bits, and nothing that underflows.
    const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(most / 127.0));
    const float step = std::bit_cast<float>((bits + 0xffu) & ~0xffu);
    steps[a] = step > 0x1p-60f ? step : 0.0f;
  }
  return axes;
}

}  // namespace

std::shared_ptr<const SketchAxes> learn_axes(const RowShape& shape, const AxesSample& sample,
                                             const std::function<bool()>& stopping) {
  if (sample.count < kSketchSampleMin || !SketchAxes::serves(shape)) return nullptr;
  for (const float value : sample.rows) {
    if (!(std::fabs(value) <= CoarsePlane::kNormMax)) return nullptr;
  }
  const Centred centred = centre(shape, sample);
  if (centred.rows.empty()) return nullptr;
  const std::uint32_t kept = SketchAxes::count_for(shape);
  const std::uint32_t count = std::min(shape.dim, kept + kSpare);
  std::vector<float> directions(std::size_t{count} * centred.padded, 0.0f);
  std::mt19937 random(1);
  for (std::uint32_t a = 0; a < count; ++a) {
    for (std::uint32_t i = 0; i < shape.dim; ++i) {
      directions[std::size_t{a} * centred.padded + i] =
          static_cast<float>(random()) * 0x1p-32f - 0.5f;
    }
  }
  std::vector<float> next(directions.size());
  for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
    if (stopping()) return nullptr;
    orthonormalize(directions, count, centred.padded, shape.dim);
    multiply(centred, sample.count, count, directions, next);
    directions.swap(next);
  }
  if (stopping()) return nullptr;
  orthonormalize(directions, count, centred.padded, shape.dim);
  std::vector<float> steps;
  std::vector<float> axes =
      choose(centred, sample.count, kept, shape.dim, directions, count, steps);
  return std::make_shared<const SketchAxes>(shape, kept, centred.mean, std::move(axes),
                                            std::move(steps), sample.largest);
}

}  // namespace vecserve::engine
