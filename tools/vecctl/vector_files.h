// Readers of the binary formats: NumPy's .npy (one array, two dimensions) and .fvecs/.bvecs (each
// row a little-endian int32 dimension, then its coordinates). Comes below row_reader; one thread.
// Always holds: shape and dimension agree with the file's size before the first row is read.
#pragma once

#include <memory>
#include <string>

#include "tools/vecctl/row_reader.h"

namespace vecserve::vecctl {

// Types f2 f4 f8 i1 u1, little-endian, C order. f8 is rounded to f32.
[[nodiscard]] Result<std::unique_ptr<RowReader>> open_npy(const std::string& path,
                                                          const ReadOptions& options);

// `type` f32 for .fvecs, u8 for .bvecs.
[[nodiscard]] Result<std::unique_ptr<RowReader>> open_vecs(const std::string& path, ScalarType type,
                                                           const ReadOptions& options);

// What the header of a .npy file says. For tests; open_npy checks it further.
struct NpyHeader {
  std::string type;  // such as "<f4"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
};

[[nodiscard]] Result<NpyHeader> parse_npy_header(std::string_view text);

}  // namespace vecserve::vecctl
