// A vector as the graph sees it while it walks: its coordinates along the directions in which the
// rows of a collection differ most, a byte each, and how long it is. Learned from a sample when a
// graph is begun, constant from then on; used by the linker for rows and by searches for queries.
// Any thread. Always holds: any axes are valid, good ones lead a walk to its end sooner.
//
// Every metric becomes the Euclidean one first: l2 as it is; cosine scaled to length one; dot with
// one more coordinate, sqrt(largest^2 - |x|^2), which a query has not. The mean is taken off. Of
// the result y a record keeps c, the codes of A y, |c|^2 + t^2, and t = |y - A^T A y|. Of two
// vectors the distance is then about |c_y - c_z|^2 + t_y^2 + t_z^2 - 2 kLikeness t_y t_z: what the
// axes leave out of near vectors is somewhat alike. What codes round off stands at a right angle to
// what they say, by the choice of what one is worth, and the square is theirs and not that of y:
// else that error would grow with how far a row lies from the mean, and rows of a dense crowd would
// be in no order at all.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/coding.h"
#include "engine/rows/row_shape.h"
#include "engine/scan/graph_kernels.h"
#include "vecserve/status.h"

namespace vecserve::engine {

// Wider codes would make sums that 32 bits do not hold, and take long to learn.
inline constexpr std::uint32_t kGraphDimMax = 4096;
// Rows to learn from at most; more would make the axes hardly better.
inline constexpr std::uint32_t kAxesSampleMax = 4096;
// Lines of a record with learned axes; one of more costs as much as it saves.
inline constexpr std::uint32_t kTurnedLinesMax = 4;

class CodeAxes {
 public:
  // Learns from `count` rows of shape.dim floats. Costs about count * dim^2 multiplications where
  // axes pay; null only when `stopping` said so. Requires serves(shape), count > 0. May throw
  // std::bad_alloc.
  [[nodiscard]] static std::shared_ptr<const CodeAxes> learn(const RowShape& shape,
                                                             const GraphKernels& kernels,
                                                             const std::vector<float>& rows,
                                                             std::uint32_t count,
                                                             const std::function<bool()>& stopping);

  [[nodiscard]] static bool serves(const RowShape& shape);

  // As bytes, appended to `out`, and back: data_loss for what save() could not have written for
  // this shape, so that whatever comes back is as safe to use as what was learned.
  void save(std::string& out) const;
  [[nodiscard]] static Result<std::shared_ptr<const CodeAxes>> restore(const RowShape& shape,
                                                                       const GraphKernels& kernels,
                                                                       ByteReader& in);

  [[nodiscard]] const GraphKernels& kernels() const { return kernels_; }
  [[nodiscard]] std::uint32_t dim() const { return dim_; }
  [[nodiscard]] std::uint32_t lines() const { return lines_; }
  [[nodiscard]] std::uint32_t record_bytes() const { return lines_ * kGraphLineBytes; }
  [[nodiscard]] std::uint32_t axis_count() const { return count_; }
  // Floats of scratch memory that the calls below need.
  [[nodiscard]] std::size_t scratch_floats() const;

  // A row as floats into its record of record_bytes().
  void encode(const float* row, float* scratch, std::uint8_t* record) const;
  // A query; `codes` has record_bytes() and is 64-byte aligned. Returns its square: score + that
  // is about the squared distance.
  float make_probe(const float* query, float* scratch, std::int8_t* codes, GraphProbe& probe) const;
  // The node of a record as a query. Returns its square.
  float make_probe(const std::uint8_t* record, std::int8_t* codes, GraphProbe& probe) const;

 private:
  friend class AxesLearner;
  bool read(ByteReader& in);
  CodeAxes(const RowShape& shape, const GraphKernels& kernels);
  // The axes as they are used, from axes_. May throw std::bad_alloc.
  void make_turns();
  // y of padded_ floats; false when it is out of the range of floats.
  bool map(const float* vector, bool query, float* y) const;
  // The coordinates that become codes, within scratch, and |y|^2.
  float* see(const float* vector, bool query, float* scratch, double& square) const;
  // What axes at those places see of the codes of y, which go to `code_place`; y is what these
  // round off then.
  void turn(float* y, float* code_place, std::span<const std::uint8_t* const> places,
            float* along) const;
  // What the axes see of a vector of that square, as record_bytes() of codes and the tail of a
  // record: square, scale and left.
  void code(const float* along, double square, std::int8_t* codes, float (&tail)[3]) const;
  void fill_probe(const std::int8_t* codes, const float (&tail)[3], GraphProbe& probe) const;

  const GraphKernels& kernels_;
  Metric metric_;
  std::uint32_t dim_;
  std::uint32_t mapped_;     // dim, and one more for dot
  std::uint32_t padded_;     // to a multiple of 16
  std::uint32_t count_ = 0;  // codes of a record
  std::uint32_t lines_ = 0;
  bool turned_ = false;   // false: codes are the coordinates themselves
  double largest_ = 0.0;  // for dot
  std::vector<float> mean_;
  std::vector<float> axes_;  // count_ rows of padded_ floats, as they were learned
  // What turns a vector, if turned_: the axes coded like rows, so that the kernel that scores
  // records is the one that multiplies with them. What that rounds off is little beside what the
  // codes of the result do; of the axes of which it is not, it is coded likewise behind the others.
  std::uint32_t turn_lines_ = 0;
  AlignedBuffer turns_;
  std::vector<const std::uint8_t*> turn_places_;
  std::vector<std::uint32_t> peaked_;
};

}  // namespace vecserve::engine
