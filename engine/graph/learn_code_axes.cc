// How the axes of a graph are learned: the leading eigenvectors of the sample's covariance, as many
// as fit a whole number of cache lines and hold nine tenths of what the rows differ by. The
// background thread. Always holds: where a few lines do not hold that much (random data), or the
// covariance would take too long, the codes are the coordinates themselves.
#include <algorithm>
#include <cmath>
#include <random>

#include "engine/graph/code_axes.h"

namespace vecserve::engine {

namespace {

// Of the squares of the sample, what the axes must hold.
constexpr double kHeld = 0.9;
// The covariance of more coordinates takes seconds.
constexpr std::uint32_t kTurnedDimMax = 1536;
constexpr std::uint32_t kPasses = 8;
constexpr std::uint32_t kSpare = 8;

constexpr std::uint32_t axes_of(std::uint32_t lines) {
  return lines * kGraphLineBytes - kGraphTailBytes;
}

using Lanes [[gnu::vector_size(64)]] = float;

void add_scaled(const float* x, float weight, std::uint32_t count, float* sum) {
  for (std::uint32_t i = 0; i < count; i += 16) {
    Lanes a;
    Lanes b;
    __builtin_memcpy(&a, x + i, sizeof(a));
    __builtin_memcpy(&b, sum + i, sizeof(b));
    b += a * weight;
    __builtin_memcpy(sum + i, &b, sizeof(b));
  }
}

double product(const float* a, const float* b, std::uint32_t count) {
  Lanes sum = {};
  for (std::uint32_t i = 0; i < count; i += 16) {
    Lanes x;
    Lanes y;
    __builtin_memcpy(&x, a + i, sizeof(x));
    __builtin_memcpy(&y, b + i, sizeof(y));
    sum += x * y;
  }
  double total = 0.0;
  for (std::uint32_t lane = 0; lane < 16; ++lane) total += static_cast<double>(sum[lane]);
  return total;
}

}  // namespace

class AxesLearner {
 public:
  AxesLearner(const RowShape& shape, const GraphKernels& kernels, const std::vector<float>& rows,
              std::uint32_t count)
      : axes_(new CodeAxes(shape, kernels)), rows_(rows), count_(count) {}

  std::shared_ptr<const CodeAxes> learn(const std::function<bool()>& stopping) {
    find_largest();
    centre();
    bool turned = false;
    const std::uint32_t untouched =
        (axes_->mapped_ + kGraphTailBytes + kGraphLineBytes - 1) / kGraphLineBytes;
    if (untouched > 1 && axes_->mapped_ <= kTurnedDimMax) {
      if (!find_directions(stopping)) return nullptr;
      turned = choose(untouched);
    }
    if (!turned) {
      axes_->lines_ = untouched;
      axes_->count_ = axes_->mapped_;
    }
    return axes_;
  }

 private:
  void find_largest() {
    if (axes_->metric_ != Metric::dot) return;
    for (std::uint32_t r = 0; r < count_; ++r) {
      double square = 0.0;
      for (std::uint32_t i = 0; i < axes_->dim_; ++i) {
        const auto value = static_cast<double>(rows_[std::size_t{r} * axes_->dim_ + i]);
        square += value * value;
      }
      axes_->largest_ = std::max(axes_->largest_, std::sqrt(square));
    }
  }

  void centre() {
    const std::uint32_t padded = axes_->padded_;
    axes_->mean_.assign(padded, 0.0f);
    points_.assign(std::size_t{count_} * padded, 0.0f);
    std::vector<double> sums(padded, 0.0);
    for (std::uint32_t r = 0; r < count_; ++r) {
      float* const y = &points_[std::size_t{r} * padded];
      if (!axes_->map(&rows_[std::size_t{r} * axes_->dim_], false, y)) {
        std::fill_n(y, padded, 0.0f);  // says nothing
      }
      for (std::uint32_t i = 0; i < padded; ++i) sums[i] += static_cast<double>(y[i]);
    }
    for (std::uint32_t i = 0; i < padded; ++i) {
      axes_->mean_[i] = static_cast<float>(sums[i] / count_);
    }
    for (std::uint32_t r = 0; r < count_; ++r) {
      add_scaled(axes_->mean_.data(), -1.0f, padded, &points_[std::size_t{r} * padded]);
    }
    // Directions do not depend on the unit; squares of squares must fit into floats.
    float most = 0.0f;
    for (const float value : points_) most = std::max(most, std::fabs(value));
    for (float& value : points_) value = most > 0.0f ? value / most : 0.0f;
  }

  bool find_covariance(const std::function<bool()>& stopping) {
    const std::uint32_t padded = axes_->padded_;
    covariance_.assign(std::size_t{padded} * padded, 0.0f);
    for (std::uint32_t r = 0; r < count_; ++r) {
      if (r % 256 == 0 && stopping()) return false;
      const float* const y = &points_[std::size_t{r} * padded];
      for (std::uint32_t i = 0; i < axes_->mapped_; ++i) {
        const float weight = y[i] / static_cast<float>(count_);
        if (weight != 0.0f) {
          add_scaled(y, weight, padded, &covariance_[std::size_t{i} * padded]);
        }
      }
    }
    return true;
  }

  // Subspace iteration.
  bool find_directions(const std::function<bool()>& stopping) {
    if (!find_covariance(stopping)) return false;
    const std::uint32_t padded = axes_->padded_;
    wanted_ = std::min(axes_->mapped_, axes_of(kTurnedLinesMax) + kSpare);
    directions_.assign(std::size_t{wanted_} * padded, 0.0f);
    std::mt19937 random(1);
    for (std::uint32_t a = 0; a < wanted_; ++a) {
      for (std::uint32_t i = 0; i < axes_->mapped_; ++i) {
        directions_[std::size_t{a} * padded + i] = static_cast<float>(random()) * 0x1p-32f - 0.5f;
      }
    }
    std::vector<float> next(directions_.size());
    for (std::uint32_t pass = 0; pass < kPasses; ++pass) {
      if (stopping()) return false;
      orthonormalize();
      std::fill(next.begin(), next.end(), 0.0f);
      for (std::uint32_t a = 0; a < wanted_; ++a) {
        const float* const from = &directions_[std::size_t{a} * padded];
        float* const to = &next[std::size_t{a} * padded];
        for (std::uint32_t i = 0; i < axes_->mapped_; ++i) {
          add_scaled(&covariance_[std::size_t{i} * padded], from[i], padded, to);
        }
      }
      directions_.swap(next);
    }
    orthonormalize();
    return true;
  }

  // A direction that has nothing of its own becomes zero, and sees nothing.
  void orthonormalize() {
    const std::uint32_t padded = axes_->padded_;
    for (std::uint32_t a = 0; a < wanted_; ++a) {
      float* const mine = &directions_[std::size_t{a} * padded];
      const double before = std::sqrt(product(mine, mine, padded));
      for (int round = 0; round < 2; ++round) {
        for (std::uint32_t b = 0; b < a; ++b) {
          const float* const other = &directions_[std::size_t{b} * padded];
          add_scaled(other, static_cast<float>(-product(mine, other, padded)), padded, mine);
        }
      }
      const double norm = std::sqrt(product(mine, mine, padded));
      const double scale = norm > before * 1e-6 ? 1.0 / norm : 0.0;
      for (std::uint32_t i = 0; i < padded; ++i) {
        mine[i] = static_cast<float>(static_cast<double>(mine[i]) * scale);
      }
    }
  }

  // Takes as many directions as needed; false when they do not pay.
  bool choose(std::uint32_t untouched) {
    const std::uint32_t padded = axes_->padded_;
    double all = 0.0;
    for (std::uint32_t i = 0; i < axes_->mapped_; ++i) {
      all += static_cast<double>(covariance_[std::size_t{i} * padded + i]);
    }
    std::vector<float> image(padded);
    double held = 0.0;
    std::uint32_t lines = 1;
    std::uint32_t used = 0;
    for (std::uint32_t a = 0; a < wanted_; ++a) {
      if (a == axes_of(lines)) {
        if (held >= kHeld * all) break;
        if (lines == kTurnedLinesMax || lines + 1 == untouched) return false;
        ++lines;
      }
      const float* const direction = &directions_[std::size_t{a} * padded];
      std::fill(image.begin(), image.end(), 0.0f);
      for (std::uint32_t i = 0; i < axes_->mapped_; ++i) {
        add_scaled(&covariance_[std::size_t{i} * padded], direction[i], padded, image.data());
      }
      held += product(direction, image.data(), padded);
      used = a + 1;
    }
    if (held < kHeld * all) return false;
    axes_->turned_ = true;
    axes_->lines_ = lines;
    axes_->count_ = used / 4 * 4;
    const auto used_floats = static_cast<std::ptrdiff_t>(std::size_t{axes_->count_} * padded);
    axes_->axes_.assign(directions_.begin(), directions_.begin() + used_floats);
    axes_->make_turns();
    return true;
  }

  std::shared_ptr<CodeAxes> axes_;
  const std::vector<float>& rows_;
  std::uint32_t count_;
  std::uint32_t wanted_ = 0;
  std::vector<float> points_;
  std::vector<float> covariance_;
  std::vector<float> directions_;
};

std::shared_ptr<const CodeAxes> CodeAxes::learn(const RowShape& shape, const GraphKernels& kernels,
                                                const std::vector<float>& rows, std::uint32_t count,
                                                const std::function<bool()>& stopping) {
  return AxesLearner(shape, kernels, rows, count).learn(stopping);
}

}  // namespace vecserve::engine
