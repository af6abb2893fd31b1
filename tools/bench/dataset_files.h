// Reads and writes the files that vectors come in: idx (gzip), npy and fvecs. Comes below dataset.
// Main thread. Always holds: what a file says of its size is checked against what it holds; an
// error is a std::runtime_error that names the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vecserve::bench {

struct FileVectors {
  std::uint32_t dim = 0;
  std::vector<float> values;
};

// The idx format of MNIST: bytes, of which all dimensions but the first make one vector.
[[nodiscard]] FileVectors read_idx_gz(const std::string& path);
// A numpy array of two dimensions, little-endian f32 in C order.
[[nodiscard]] FileVectors read_npy(const std::string& path);
// Per vector its dimension as int32, then f32 coordinates.
[[nodiscard]] FileVectors read_fvecs(const std::string& path);

void write_npy(const std::string& path, std::span<const float> values, std::size_t columns);
void write_npy(const std::string& path, std::span<const std::uint32_t> values, std::size_t columns);

}  // namespace vecserve::bench
