// Seeded vectors, queries and blocks for tests of the scan; used before oracle and match.
// Single-threaded.
// Always holds: see data.h. Rounding to the stored types is done by the product's own conversions.
#include "tests/support/data.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/half.h"
#include "engine/scan/reference.h"

namespace vecserve::test {
namespace {

using engine::RowShape;

float clamp_to(float value, float low, float high) {
  return std::min(std::max(value, low), high);
}

void store(ScalarType type, float value, std::byte* at) {
  if (type == ScalarType::f32) {
    std::memcpy(at, &value, 4);
  } else if (type == ScalarType::f16) {
    const std::uint16_t half = engine::f16_from_float(clamp_to(value, -65'504.0f, 65'504.0f));
    std::memcpy(at, &half, 2);
  } else if (type == ScalarType::bf16) {
    const std::uint16_t brain = engine::bf16_from_float(clamp_to(value, -3.3e38f, 3.3e38f));
    std::memcpy(at, &brain, 2);
  } else if (type == ScalarType::i8) {
    const auto whole = static_cast<std::int8_t>(std::lround(clamp_to(value * 40, -128, 127)));
    std::memcpy(at, &whole, 1);
  } else {
    const auto whole = static_cast<std::uint8_t>(std::lround(clamp_to(value * 40, 0, 255)));
    std::memcpy(at, &whole, 1);
  }
}

}  // namespace

std::vector<DataKind> all_data_kinds() {
  return {DataKind::normal, DataKind::equal,     DataKind::ties,
          DataKind::zeros,  DataKind::near_ties, DataKind::denormal,
          DataKind::huge,   DataKind::enormous,  DataKind::one_giant};
}

std::string_view to_string(DataKind kind) {
  constexpr std::string_view kNames[] = {"normal",   "equal", "ties",     "zeros",    "near_ties",
                                         "denormal", "huge",  "enormous", "one_giant"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::vector<std::uint32_t> awkward_dims() {
  return {1, 3, 15, 16, 17, 64, 127, 128, 1023};
}

std::vector<RowShape> all_shapes(std::uint32_t dim) {
  std::vector<RowShape> shapes;
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine, Metric::l1}) {
    for (const ScalarType type :
         {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8, ScalarType::u8}) {
      shapes.push_back(RowShape::make(metric, type, dim));
    }
  }
  shapes.push_back(RowShape::make(Metric::hamming, ScalarType::bit, dim));
  return shapes;
}

VectorSource::VectorSource(const RowShape& shape, DataKind kind, std::uint64_t seed)
    : shape_(shape), kind_(kind), state_(seed * 2 + 1) {
  for (std::uint32_t i = 0; i < shape.dim; ++i) {
    base_.push_back(static_cast<float>(static_cast<double>(random() >> 11) * 0x1p-52 - 1.0));
  }
}

std::uint64_t VectorSource::random() {
  // SplitMix64.
  state_ += 0x9e3779b97f4a7c15;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

float VectorSource::next_coordinate(std::uint32_t index) {
  // The sum of four uniform numbers is near enough to normal.
  double sum = 0;
  for (int i = 0; i < 4; ++i) sum += static_cast<double>(random() >> 11) * 0x1p-53;
  const auto normal = static_cast<float>((sum - 2.0) * 1.732);
  switch (kind_) {
    case DataKind::normal:
      return normal;
    case DataKind::equal:
      return base_[index];
    case DataKind::ties:
      return static_cast<float>(random() & 1);
    case DataKind::zeros:
      return random() % 16 == 0 && index == 0 ? normal : 0.0f;
    case DataKind::near_ties:
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(base_[index]) ^
                                  static_cast<std::uint32_t>(random() & 1));
    case DataKind::denormal:
      return normal * 0x1p-146f;
    case DataKind::huge: {
      constexpr float kScales[] = {1e18f, 1e20f, 1e25f, 1e30f};
      return normal * kScales[random() % 4];
    }
    case DataKind::enormous:
      return normal * 1e38f;
    case DataKind::one_giant:
      return index == shape_.dim / 2 ? 1e20f + normal * 1e16f : normal;
  }
  return 0.0f;
}

std::vector<std::byte> VectorSource::next_row() {
  std::vector<std::byte> row(shape_.row_bytes);
  if (shape_.type == ScalarType::bit) {
    for (std::uint32_t i = 0; i < shape_.dim; ++i) {
      if (next_coordinate(i) > 0.0f) row[i / 8] |= std::byte{1} << (i % 8);
    }
    return row;
  }
  bool zero = true;
  const std::size_t bytes = shape_.row_bytes / shape_.dim;
  for (std::uint32_t i = 0; i < shape_.dim; ++i) {
    store(shape_.type, next_coordinate(i), row.data() + i * bytes);
    zero = zero && engine::coordinate(shape_.type, row.data(), i) == 0.0;
  }
  if (zero && shape_.metric == Metric::cosine) store(shape_.type, 1.0f, row.data());
  return row;
}

TestQuery::TestQuery(const RowShape& shape, const std::vector<std::byte>& row, float perturb)
    : is_bits_(shape.type == ScalarType::bit) {
  if (is_bits_) {
    memory_ = engine::AlignedBuffer((row.size() + 7) / 8 * 8);
    std::memcpy(memory_.data(), row.data(), row.size());
    return;
  }
  memory_ = engine::AlignedBuffer((shape.dim + 15) / 16 * 64);
  long double squares = 0;
  for (std::uint32_t i = 0; i < shape.dim; ++i) {
    auto x = static_cast<float>(engine::coordinate(shape.type, row.data(), i));
    if (i % 3 == 0 && std::fabs(x) < 1e38f) x *= 1.0f + perturb;
    std::memcpy(memory_.data() + std::size_t{i} * 4, &x, 4);
    squares += static_cast<long double>(x) * static_cast<long double>(x);
  }
  norm_ = static_cast<double>(std::sqrt(squares)) * (1.0 + 0x1p-50);
}

engine::ScanQuery TestQuery::view() const {
  engine::ScanQuery query;
  if (is_bits_) {
    query.bits = reinterpret_cast<const std::uint64_t*>(memory_.data());
  } else {
    query.f32 = reinterpret_cast<const float*>(memory_.data());
  }
  query.norm = norm_;
  query.want = 1;
  return query;
}

const void* TestQuery::vector() const {
  return memory_.data();
}

void TestRows::add(const std::vector<std::byte>& row, const engine::IdView& id,
                   std::uint32_t block_rows) {
  const bool full = blocks_.empty() || !blocks_.back()->accepts(next_slot_) ||
                    (block_rows != 0 && blocks_.back()->size() >= block_rows);
  if (full) blocks_.push_back(std::make_unique<engine::RowBlock>(shape_));
  static_cast<void>(blocks_.back()->append(next_slot_++, id, row.data(), 0));
}

std::vector<engine::ScanBlock> TestRows::scan_blocks() const {
  std::vector<engine::ScanBlock> blocks;
  for (const auto& block : blocks_) blocks.push_back({block.get(), block->size()});
  return blocks;
}

std::vector<std::vector<std::uint64_t>> TestRows::all_bits() const {
  std::vector<std::vector<std::uint64_t>> all;
  for (const auto& block : blocks_) {
    std::vector<std::uint64_t> words(shape_.capacity / 64);
    for (std::uint32_t r = 0; r < block->size(); ++r) words[r / 64] |= std::uint64_t{1} << r % 64;
    all.push_back(std::move(words));
  }
  return all;
}

engine::ScanMask make_mask(const std::vector<std::vector<std::uint64_t>>& words) {
  engine::ScanMask mask;
  for (const auto& block : words) {
    std::uint32_t eligible = 0;
    for (const std::uint64_t word : block)
      eligible += static_cast<std::uint32_t>(std::popcount(word));
    mask.words.push_back(eligible == 0 ? nullptr : block.data());
    mask.eligible.push_back(eligible);
  }
  return mask;
}

}  // namespace vecserve::test
