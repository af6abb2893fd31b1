// The coarse plane of a block: every coordinate in eight bits with one scale per row, and a proven
// bound on what that leaves out. A quarter of the f32 vectors; scans read it first and the full
// plane only for the rows that it cannot rule out. Filled by the committing thread together with
// the row. Comes beside the full plane in RowBlock, read by the coarse kernels and the cascade.
//
// A row x (for cosine: x / |x|) is approximated by x^ = scale * c with integers c in [-127, 127],
// stored as c + 128 in an unsigned byte, since the dot-product instructions of x86 multiply
// unsigned by signed bytes. Rows are padded with code 128, that is c = 0. Always holds, in real
// numbers:
//   residual >= |x - x^|;  norm >= |x| (cosine: 1);
//   |square - |x^|^2| <= kSquareError * |x^|^2 + kSquareFloor, square finite;
// or, for a row that floats cannot do this for (norm above kNormMax, for cosine also below
// kUnitNormMin): scale = square = 0 and residual = norm = +infinity, which no scan can rule out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/base/aligned_buffer.h"
#include "engine/rows/row_shape.h"

namespace vecserve::engine {

class CoarsePlane {
 public:
  static constexpr float kNormMax = 1e15f;  // squares and their sums stay finite in floats
  static constexpr float kUnitNormMin =
      1e-10f;  // what float squares leave out is nothing beside it
  static constexpr float kSquareError = 0x1p-23f;
  static constexpr float kSquareFloor = 0x1p-126f;  // squares below this have fewer bits
  static constexpr std::uint32_t kRowAlignment = 64;

  // Whether the bounds of the cascade are proven for it: l2, dot and cosine over all but bits.
  [[nodiscard]] static bool serves(const RowShape& shape);

  // May throw std::bad_alloc. Requires serves(shape).
  explicit CoarsePlane(const RowShape& shape, AlignedBuffer::Use use = AlignedBuffer::Use::sparse);

  // The committing thread only; `row` has shape.row_bytes bytes. Never fails.
  void set(std::uint32_t position, const std::byte* row);

  // Any thread, for published positions.
  [[nodiscard]] const std::uint8_t* codes() const {
    return reinterpret_cast<const std::uint8_t*>(codes_.data());
  }
  [[nodiscard]] std::uint32_t stride() const { return stride_; }  // bytes from row to row
  [[nodiscard]] const float* scales() const { return scales_.get(); }
  [[nodiscard]] const float* squares() const { return squares_.get(); }
  [[nodiscard]] const float* residuals() const { return residuals_.get(); }
  [[nodiscard]] const float* norms() const { return norms_.get(); }

  [[nodiscard]] static std::size_t bytes_per_row(const RowShape& shape);

 private:
  Metric metric_;
  ScalarType type_;
  std::uint32_t dim_;
  std::uint32_t stride_;
  AlignedBuffer codes_;
  std::unique_ptr<float[]> scales_;
  std::unique_ptr<float[]> squares_;
  std::unique_ptr<float[]> residuals_;
  std::unique_ptr<float[]> norms_;
  std::unique_ptr<float[]> scratch_;  // the row as floats; the committing thread only
};

// The same of one query: its codes are signed, and what they leave out is bounded likewise.
struct CoarseQuery {
  float scale = 0.0f;
  float residual = 0.0f;      // >= |q - q^|
  float norm = 0.0f;          // >= |q|
  float coarse_norm = 0.0f;   // >= |q^|
  float square = 0.0f;        // |q^|^2 within kSquareError
  std::int32_t code_sum = 0;  // of the codes: sum((c + 128) d) - 128 * sum(d) = sum(c d)
  bool served = false;        // false: the norm is out of the range of floats; use the full plane
};

// Codes into out[0, dim); the rest of the stride is the caller's to zero. For cosine the unit
// vector of q is meant. `floats` is the query as query_floats gives it.
[[nodiscard]] CoarseQuery make_coarse_query(Metric metric, const float* floats, std::uint32_t dim,
                                            std::int8_t* out);

}  // namespace vecserve::engine
