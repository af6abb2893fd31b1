// Tables of kernels, one per instruction set: plain functions that sum over the coordinates of some
// queries times some rows. Comes below the scanner, which turns sums into bounds (bounds.h). A
// table is chosen once, when a database is opened. Any thread; pure. Always holds: a kernel reads
// no byte past a row's stride, for the next row may be being written; it relies on rows and queries
// being padded with zeros.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vecserve/types.h"

namespace vecserve::engine {

// Rows that one kernel call handles at most: as many as a word of live bits.
inline constexpr std::uint32_t kTileRows = 64;
// Queries that one call handles at most: their sums (8 KiB) and, up to 1,024 dimensions, they
// themselves (128 KiB) stay in the nearest caches.
inline constexpr std::uint32_t kTileQueries = 32;

// What is summed over the coordinates. l2: square; dot and cosine: product; l1: absolute.
enum class SumKind : std::uint8_t { square = 0, product = 1, absolute = 2 };

struct FloatTile {
  const float* const* queries = nullptr;  // 64-byte aligned, zeros up to a multiple of 16 floats
  const std::byte* rows = nullptr;        // 16-byte aligned
  float* sums = nullptr;                  // of query q and row r: sums[q * kTileRows + r]
  std::size_t stride = 0;                 // bytes from row to row, a multiple of 16
  std::uint32_t query_count = 0;
  std::uint32_t row_count = 0;
  std::uint32_t dim = 0;
};

struct BitTile {
  const std::uint64_t* const* queries = nullptr;
  const std::byte* rows = nullptr;
  std::uint32_t* counts = nullptr;  // of query q and row r: counts[q * kTileRows + r]
  std::size_t stride = 0;
  std::uint32_t query_count = 0;
  std::uint32_t row_count = 0;
  std::uint32_t words = 0;  // of 8 bytes, per vector
};

using FloatKernel = void (*)(const FloatTile& tile);
using BitKernel = void (*)(const BitTile& tile);

struct KernelTable {
  const char* name = "";
  bool (*supported)() = nullptr;  // can this machine run it
  // Every sum over dim coordinates is made so that no term takes part in more than
  // dim / lanes + 16 additions: what the error bounds build on.
  std::uint32_t lanes = 1;
  FloatKernel sums[3][5] = {};  // by SumKind and ScalarType (f32, f16, bf16, i8, u8)
  BitKernel hamming = nullptr;
};

[[nodiscard]] inline SumKind sum_kind(Metric metric) {
  if (metric == Metric::l2) return SumKind::square;
  return metric == Metric::l1 ? SumKind::absolute : SumKind::product;
}

// Not for bits.
[[nodiscard]] inline FloatKernel float_kernel(const KernelTable& table, Metric metric,
                                              ScalarType type) {
  return table.sums[static_cast<std::size_t>(sum_kind(metric))][static_cast<std::size_t>(type)];
}

// Plain C++; runs everywhere.
[[nodiscard]] const KernelTable& generic_kernels();

// The tables made through Google Highway, best first, whether or not this machine can run them;
// empty in builds without it.
[[nodiscard]] std::span<const KernelTable* const> highway_kernels();

}  // namespace vecserve::engine
