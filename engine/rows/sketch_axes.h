// The axes of a sketch: a few orthogonal directions along which the rows of a collection differ
// most, and how a vector is seen from them: its coordinates along the axes, and the length of what
// they leave out. Learned by learn_axes, used to fill sketch planes and to prepare queries. Any
// thread; constant once made.
//
// Every metric that is served becomes the Euclidean one first: a row x is mapped to a point of R^d
// (l2: x; cosine: x / |x|; dot: x with one more coordinate, sqrt(largest^2 - |x|^2), which a query,
// scaled to the length `largest`, has not), the mean is taken off, and of the result y the sketch
// knows (Q y, |y - Q^T Q y|) with Q the orthonormal rows nearest to the axes. That map never
// lengthens a distance, so distances between sketches are lower bounds.
// Always holds: any axes are valid, good ones are merely fast; `defect` is at least the norm of
// A A^T - 1, which is what the axes lack to be orthonormal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "engine/rows/row_shape.h"

namespace vecserve::engine {

inline constexpr std::uint32_t kSketchFirst = 16;     // axes of the first stripe
inline constexpr std::uint32_t kSketchAxesMax = 64;   // with those of the second
inline constexpr std::uint32_t kSketchDimMin = 64;    // below, the coarse plane is as cheap
inline constexpr std::uint32_t kSketchDimMax = 4096;  // above, learning takes too long

// A vector as the sketch sees it. In real numbers, with y as above and `error` as given:
//   | (along, left_first) - (Q16 y, |y - Q16^T Q16 y|) | <= error, and the same with all axes and
//   `left`; | extra - the additional coordinate of dot | <= extra_error.
struct SketchPoint {
  float along[kSketchAxesMax];
  double left_first = 0.0;  // what the first stripe leaves out, and how far that may be off
  double left_first_error = 0.0;
  double left = 0.0;  // what all axes leave out
  double left_error = 0.0;
  double extra = 0.0;
  double extra_error = 0.0;
  double error = 0.0;   // of `along`, and of the vector itself
  bool served = false;  // false: out of the range of floats, or longer than `largest`
};

class SketchAxes {
 public:
  // `axes` are count rows of dim floats, nearly orthonormal; count is 16 or a multiple of 16 up to
  // 64. `steps` says how long one code is along each axis. May throw std::bad_alloc.
  SketchAxes(const RowShape& shape, std::uint32_t count, std::vector<float> mean,
             std::vector<float> axes, std::vector<float> steps, double largest);

  [[nodiscard]] static bool serves(const RowShape& shape);
  // How many axes vectors of this shape get.
  [[nodiscard]] static std::uint32_t count_for(const RowShape& shape);

  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] Metric metric() const { return metric_; }
  [[nodiscard]] double largest() const { return largest_; }
  [[nodiscard]] double defect() const { return defect_; }
  [[nodiscard]] const float* steps() const { return steps_.data(); }

  // `scratch` holds dim floats rounded up to a multiple of 8. A row, or for dot a query.
  void see_row(const float* vector, float* scratch, SketchPoint& point) const;
  void see_query(const float* vector, float* scratch, SketchPoint& point) const;
  // What `see_query` scaled a dot query by; 0 when it cannot be.
  [[nodiscard]] double query_scale(double norm) const { return norm > 0.0 ? largest_ / norm : 0.0; }

  [[nodiscard]] std::uint32_t scratch_floats() const { return padded_; }

 private:
  void see(float* y, double input_error, SketchPoint& point) const;

  Metric metric_;
  std::uint32_t dim_;
  std::uint32_t padded_;
  std::uint32_t count_;
  double largest_;
  double defect_ = 0.0;
  std::vector<float> mean_;   // padded with zeros
  std::vector<float> axes_;   // count rows, each padded with zeros
  std::vector<float> steps_;  // count
};

}  // namespace vecserve::engine
