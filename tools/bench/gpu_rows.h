// Rows that bench_gpu scans, in blocks as a collection has them, with masks and queries for them.
// Part of bench_support. Made by all cores, then constant but for what append() adds at the end.
// Always holds: a vector follows from the seed and its number alone; rows are unit vectors.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/rows/sketch_plane.h"
#include "engine/scan/scanner.h"

namespace vecserve::bench {

struct GpuRowsRequest {
  std::uint32_t rows = 0;
  std::uint32_t dim = 0;
  // Coordinate i of a vector is uniform between -1 and 1, then divided by sqrt(1 + i), so that the
  // variances fall as 1 / i: about as those of text embeddings along their principal axes do.
  // Blocks get sketches along learned axes then. Otherwise all directions are alike, the worst
  // case, and there are none.
  bool decaying = false;
  std::uint64_t seed = 1;
};

class GpuRows {
 public:
  explicit GpuRows(const GpuRowsRequest& request);

  [[nodiscard]] const engine::RowShape& shape() const { return shape_; }
  [[nodiscard]] std::uint64_t count() const { return request_.rows; }
  [[nodiscard]] const std::vector<engine::ScanBlock>& blocks() const { return blocks_; }
  [[nodiscard]] std::shared_ptr<const engine::SketchPlane> sketch(std::size_t block) const {
    return sketches_.empty() ? nullptr : sketches_[block];
  }
  [[nodiscard]] std::vector<float> vector(std::uint64_t number) const;

 private:
  void learn();

  const GpuRowsRequest request_;
  engine::RowShape shape_;
  std::vector<std::unique_ptr<engine::RowBlock>> held_;
  std::vector<engine::ScanBlock> blocks_;
  std::vector<std::shared_ptr<const engine::SketchPlane>> sketches_;
};

// A mask with its words. `one_in`: about as many rows are eligible, spread evenly; 1: all of them.
struct GpuMask {
  GpuMask(const std::vector<engine::ScanBlock>& blocks, std::uint64_t one_in, std::uint64_t seed);
  void remove(std::size_t block, std::uint32_t position);

  std::vector<std::vector<std::uint64_t>> words;
  engine::ScanMask mask;
};

// Queries that are not among the rows, or one that is.
class GpuQueries {
 public:
  GpuQueries(const GpuRows& rows, std::uint32_t count, std::uint32_t k);
  void aim_at(const GpuRows& rows, std::uint64_t number);
  [[nodiscard]] const std::vector<engine::ScanQuery>& views() const { return views_; }

 private:
  void put(std::size_t query, const std::vector<float>& vector);
  std::size_t padded_;
  engine::AlignedBuffer floats_;
  std::vector<engine::ScanQuery> views_;
};

}  // namespace vecserve::bench
