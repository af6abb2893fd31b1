// Seeded vectors for tests of the scan: ordinary ones and those that break careless arithmetic.
// Comes before oracle and match. Single-threaded. Always holds: the same seed gives the same bytes,
// and every stored value is finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/rows/row_block.h"
#include "engine/rows/row_shape.h"
#include "engine/scan/scanner.h"

namespace vecserve::test {

enum class DataKind : std::uint8_t {
  normal,     // standard normal coordinates
  equal,      // all vectors the same
  ties,       // coordinates 0 or 1: many equal distances
  zeros,      // most vectors zero
  near_ties,  // one vector, differing in the last bits
  denormal,   // magnitudes around the smallest float
  huge,       // magnitudes 1e18 to 1e30
  enormous,   // magnitudes near the largest float: squares and products overflow
  one_giant,  // one coordinate of 1e20 among ordinary ones
};

[[nodiscard]] std::vector<DataKind> all_data_kinds();
[[nodiscard]] std::string_view to_string(DataKind kind);

// Dimensions on and around what registers hold.
[[nodiscard]] std::vector<std::uint32_t> awkward_dims();

// Every metric and type that go together.
[[nodiscard]] std::vector<engine::RowShape> all_shapes(std::uint32_t dim);

// Makes stored vectors and queries of one shape. For types of few values, magnitudes are cut to
// what the type can hold.
class VectorSource {
 public:
  VectorSource(const engine::RowShape& shape, DataKind kind, std::uint64_t seed);

  // row_bytes of a stored vector. Never the zero vector under cosine.
  [[nodiscard]] std::vector<std::byte> next_row();

 private:
  [[nodiscard]] float next_coordinate(std::uint32_t index);
  [[nodiscard]] std::uint64_t random();

  engine::RowShape shape_;
  DataKind kind_;
  std::uint64_t state_;
  std::vector<float> base_;  // the vector that equal and near_ties repeat
};

// A query in the form that scanners take, with its memory.
class TestQuery {
 public:
  // From a stored vector: exactly the same point. `perturb` moves it (not for bits).
  TestQuery(const engine::RowShape& shape, const std::vector<std::byte>& row, float perturb = 0.0f);
  [[nodiscard]] engine::ScanQuery view() const;
  [[nodiscard]] const void* vector() const;

 private:
  bool is_bits_ = false;
  engine::AlignedBuffer memory_;
  double norm_ = 0.0;
};

// Rows in blocks with ids, as a search sees them.
class TestRows {
 public:
  explicit TestRows(const engine::RowShape& shape) : shape_(shape) {}

  // Appends; block_rows > 0 starts a new block after so many rows.
  void add(const std::vector<std::byte>& row, const engine::IdView& id, std::uint32_t block_rows);
  [[nodiscard]] const engine::RowShape& shape() const { return shape_; }
  [[nodiscard]] std::vector<engine::ScanBlock> scan_blocks() const;
  // Words of live bits per block, all set.
  [[nodiscard]] std::vector<std::vector<std::uint64_t>> all_bits() const;

 private:
  engine::RowShape shape_;
  std::vector<std::unique_ptr<engine::RowBlock>> blocks_;
  std::uint64_t next_slot_ = 0;
};

// A mask over the words; those must outlive it.
[[nodiscard]] engine::ScanMask make_mask(const std::vector<std::vector<std::uint64_t>>& words);

}  // namespace vecserve::test
