// Kernels in plain C++: what is left when no instruction set is known, and the ones to compare
// with. Called by the scanner for each tile. Any thread; pure. Always holds: 16 sums side by side,
// which a compiler may keep in vector registers; so no term takes part in more than dim / 16 + 1 +
// 4 additions.
#include <bit>
#include <cmath>

#include "engine/base/half.h"
#include "engine/rows/scalar.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {
namespace {

constexpr std::uint32_t kLanes = 16;

template <ScalarType type>
float load(const std::byte* row, std::uint32_t index) {
  if constexpr (type == ScalarType::f32) {
    return load_as<float>(row + std::size_t{index} * 4);
  } else if constexpr (type == ScalarType::f16) {
    return float_from_f16(load_as<std::uint16_t>(row + std::size_t{index} * 2));
  } else if constexpr (type == ScalarType::bf16) {
    return float_from_bf16(load_as<std::uint16_t>(row + std::size_t{index} * 2));
  } else if constexpr (type == ScalarType::i8) {
    return static_cast<float>(load_as<std::int8_t>(row + index));
  } else {
    return static_cast<float>(load_as<std::uint8_t>(row + index));
  }
}

template <SumKind kind>
float term(float q, float x) {
  if constexpr (kind == SumKind::square) {
    return (q - x) * (q - x);
  } else if constexpr (kind == SumKind::product) {
    return q * x;
  } else {
    return std::fabs(q - x);
  }
}

template <SumKind kind, ScalarType type>
float sum_row(const float* query, const std::byte* row, std::uint32_t dim) {
  float sums[kLanes] = {};
  std::uint32_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += term<kind>(query[i + lane], load<type>(row, i + lane));
    }
  }
  for (std::uint32_t lane = 0; i < dim; ++i, ++lane) {
    sums[lane] += term<kind>(query[i], load<type>(row, i));
  }
  for (std::uint32_t width = kLanes / 2; width != 0; width /= 2) {
    for (std::uint32_t lane = 0; lane < width; ++lane) sums[lane] += sums[lane + width];
  }
  return sums[0];
}

template <SumKind kind, ScalarType type>
void sum_tile(const FloatTile& tile) {
  for (std::uint32_t r = 0; r < tile.row_count; ++r) {
    const std::byte* row = tile.rows + r * tile.stride;
    for (std::uint32_t q = 0; q < tile.query_count; ++q) {
      tile.sums[q * kTileRows + r] = sum_row<kind, type>(tile.queries[q], row, tile.dim);
    }
  }
}

void hamming_tile(const BitTile& tile) {
  for (std::uint32_t r = 0; r < tile.row_count; ++r) {
    const std::byte* row = tile.rows + r * tile.stride;
    for (std::uint32_t q = 0; q < tile.query_count; ++q) {
      int count = 0;
      for (std::uint32_t w = 0; w < tile.words; ++w) {
        const auto word = load_as<std::uint64_t>(row + std::size_t{w} * 8);
        count += std::popcount(word ^ tile.queries[q][w]);
      }
      tile.counts[q * kTileRows + r] = static_cast<std::uint32_t>(count);
    }
  }
}

template <SumKind kind>
void fill(FloatKernel (&row)[5]) {
  row[0] = sum_tile<kind, ScalarType::f32>;
  row[1] = sum_tile<kind, ScalarType::f16>;
  row[2] = sum_tile<kind, ScalarType::bf16>;
  row[3] = sum_tile<kind, ScalarType::i8>;
  row[4] = sum_tile<kind, ScalarType::u8>;
}

KernelTable make_table() {
  KernelTable table;
  table.name = "generic";
  table.supported = [] { return true; };
  table.lanes = kLanes;
  fill<SumKind::square>(table.sums[0]);
  fill<SumKind::product>(table.sums[1]);
  fill<SumKind::absolute>(table.sums[2]);
  table.hamming = hamming_tile;
  return table;
}

}  // namespace

const KernelTable& generic_kernels() {
  static const KernelTable table = make_table();
  return table;
}

}  // namespace vecserve::engine
