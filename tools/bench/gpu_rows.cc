// See gpu_rows.h.
// Blocks are filled side by side by all cores, before anything is measured.
// Always holds: block b holds the rows from b * capacity on.
#include "tools/bench/gpu_rows.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/rows/learn_axes.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/spread.h"

namespace vecserve::bench {

using namespace engine;

GpuRows::GpuRows(const GpuRowsRequest& request)
    : request_(request), shape_(RowShape::make(Metric::l2, ScalarType::f32, request.dim)) {
  shape_.coarse = true;
  const std::size_t blocks = (std::size_t{request.rows} + shape_.capacity - 1) / shape_.capacity;
  held_.resize(blocks);
  spread(blocks, [&](std::size_t b) {
    held_[b] = std::make_unique<RowBlock>(shape_, AlignedBuffer::Use::full);
    const std::uint64_t first = std::uint64_t{b} * shape_.capacity;
    const std::uint64_t end = std::min<std::uint64_t>(first + shape_.capacity, request.rows);
    for (std::uint64_t r = first; r < end; ++r) {
      const std::vector<float> row = vector(r);
      held_[b]->append(r, IdView(r), reinterpret_cast<const std::byte*>(row.data()), 0);
    }
  });
  for (const auto& block : held_) blocks_.push_back({block.get(), block->size(), nullptr});
  if (request.decaying) learn();
}

std::vector<float> GpuRows::vector(std::uint64_t number) const {
  std::vector<float> vector = random_floats(request_.dim, request_.seed + number);
  double norm = 0.0;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    if (request_.decaying) vector[i] /= std::sqrt(static_cast<float>(1 + i));
    norm += static_cast<double>(vector[i]) * static_cast<double>(vector[i]);
  }
  for (float& x : vector) x = static_cast<float>(static_cast<double>(x) / std::sqrt(norm));
  return vector;
}

void GpuRows::learn() {
  if (!SketchAxes::serves(shape_)) return;
  AxesSample sample;
  sample.largest = 1.0;
  const std::uint64_t step = std::max<std::uint64_t>(request_.rows / kSketchSampleMax, 1);
  for (std::uint64_t r = 0; r < request_.rows && sample.count < kSketchSampleMax; r += step) {
    const std::vector<float> row = vector(r);
    sample.rows.insert(sample.rows.end(), row.begin(), row.end());
    ++sample.count;
  }
  const auto axes = learn_axes(shape_, sample, [] { return false; });
  require(axes != nullptr, "nothing to learn axes from");
  sketches_.resize(blocks_.size());
  spread(blocks_.size(), [&](std::size_t b) {
    sketches_[b] = std::make_shared<const SketchPlane>(axes, *held_[b], blocks_[b].count);
  });
  for (std::size_t b = 0; b < blocks_.size(); ++b) blocks_[b].sketch = sketches_[b].get();
}

GpuMask::GpuMask(const std::vector<ScanBlock>& blocks, std::uint64_t one_in, std::uint64_t seed) {
  std::uint64_t state = seed;
  for (const ScanBlock& block : blocks) {
    std::vector<std::uint64_t>& bits = words.emplace_back(block.block->shape().capacity / 64, 0);
    std::uint32_t eligible = 0;
    for (std::uint32_t r = 0; r < block.count; ++r) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      if ((state >> 33) % one_in != 0) continue;
      bits[r / 64] |= std::uint64_t{1} << (r % 64);
      ++eligible;
    }
    mask.words.push_back(bits.data());
    mask.eligible.push_back(eligible);
  }
}

void GpuMask::remove(std::size_t block, std::uint32_t position) {
  std::uint64_t& word = words[block][position / 64];
  const std::uint64_t bit = std::uint64_t{1} << (position % 64);
  if ((word & bit) != 0) --mask.eligible[block];
  word &= ~bit;
}

GpuQueries::GpuQueries(const GpuRows& rows, std::uint32_t count, std::uint32_t k)
    : padded_((std::size_t{rows.shape().dim} + 15) / 16 * 16),
      floats_(count * padded_ * sizeof(float)),
      views_(count) {
  for (std::uint32_t q = 0; q < count; ++q) {
    views_[q].f32 = reinterpret_cast<const float*>(floats_.data()) + q * padded_;
    views_[q].norm = 1.001;
    views_[q].want = k + 8;
    views_[q].k = k;
    put(q, rows.vector(std::uint64_t{1'000'000'007} + q));
  }
}

void GpuQueries::put(std::size_t query, const std::vector<float>& vector) {
  std::memcpy(reinterpret_cast<float*>(floats_.data()) + query * padded_, vector.data(),
              vector.size() * sizeof(float));
}

void GpuQueries::aim_at(const GpuRows& rows, std::uint64_t number) {
  put(0, rows.vector(number));
}

}  // namespace vecserve::bench
