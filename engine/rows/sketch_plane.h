// The sketch plane of a block: every row as it is seen from a few learned axes, in one byte per
// axis, with a proven bound on what that leaves out. A twelfth of the f32 vectors or less; scans
// read its first stripe for all rows, its second for those that are left, and only then the coarse
// plane. Made by the background thread for full blocks, published with the next row set; constant
// from then on, any thread. Comes beside the coarse plane in BlockView, read by the sketch kernels.
//
// A code is c + 128 with c in [-127, 127], worth c times the step of its axis. First stripe:
// sixteen rows together, four codes of each after one another, so that one instruction multiplies
// four axes of sixteen rows. Second: a record for each row, its codes and then three floats, in one
// cache line.
// Always holds, with `point` the mapped row of sketch_axes.h and x^ what codes, left and extra say:
//   reach >= |point - x^|;  |base - |x^|^2| <= kSquareError |x^|^2 + kSquareFloor;
// or, for a row that is not served: base = left = 0 and reach = +infinity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "engine/base/aligned_buffer.h"
#include "engine/rows/row_block.h"
#include "engine/rows/sketch_axes.h"

namespace vecserve::engine {

class SketchPlane {
 public:
  static constexpr std::uint32_t kStripeRows = 16;
  static constexpr std::uint32_t kStripeBytes = kStripeRows * kSketchFirst;

  // Sketches rows [0, count) of the block. May throw std::bad_alloc. Costs count projections: a few
  // microseconds each.
  SketchPlane(std::shared_ptr<const SketchAxes> axes, const RowBlock& block, std::uint32_t count);

  [[nodiscard]] const SketchAxes& axes() const { return *axes_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }

  // First stripe. Row r: byte (r / 16) * 256 + (axis / 4) * 64 + (r % 16) * 4 + axis % 4.
  [[nodiscard]] const std::uint8_t* first() const {
    return reinterpret_cast<const std::uint8_t*>(first_.data());
  }
  [[nodiscard]] const float* bases() const { return bases_.get(); }
  [[nodiscard]] const float* lefts() const { return lefts_.get(); }
  [[nodiscard]] const float* reaches() const { return reaches_.get(); }

  // Second stripe: of each row fine_codes() bytes, then base, left and reach with all axes.
  [[nodiscard]] std::uint32_t fine_codes() const { return fine_codes_; }  // 0: there is none
  [[nodiscard]] std::uint32_t fine_stride() const { return fine_stride_; }
  [[nodiscard]] const std::uint8_t* fine() const {
    return reinterpret_cast<const std::uint8_t*>(fine_.data());
  }

  [[nodiscard]] std::size_t bytes() const;

 private:
  void set(std::uint32_t row, const SketchPoint& point);
  void set_unserved(std::uint32_t row);
  void put_code(std::uint32_t row, std::uint32_t axis, std::int32_t code);

  std::shared_ptr<const SketchAxes> axes_;
  std::uint32_t count_;
  std::uint32_t fine_codes_;
  std::uint32_t fine_stride_;
  AlignedBuffer first_;
  AlignedBuffer fine_;
  std::unique_ptr<float[]> bases_;
  std::unique_ptr<float[]> lefts_;
  std::unique_ptr<float[]> reaches_;
};

}  // namespace vecserve::engine
