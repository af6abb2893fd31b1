// The vector kernels: one source, compiled once per instruction set by Google Highway, each result
// a table of its own. Called by the scanner for each tile. Any thread; pure. Always holds: whole
// registers first, then groups of four coordinates, so that nothing is read past the 16-byte unit
// in which a row ends (padding is zero and changes no sum). A term takes part in at most dim /
// lanes + 3 + 5 additions. Scalable SVE is left out, because its registers cannot be held in
// arrays; such machines use NEON.
#define HWY_WANT_AVX3_DL
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_SSE4 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/scan/kernels_highway.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "engine/rows/scalar.h"
#include "engine/scan/kernels.h"

HWY_BEFORE_NAMESPACE();
namespace vecserve::engine {
namespace HWY_NAMESPACE {
#if HWY_TARGET != HWY_SCALAR  // which is what generic_kernels is for

namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::ScalableTag<float>;
using Four = hn::CappedTag<float, 4>;

constexpr std::uint32_t kLanes = static_cast<std::uint32_t>(hn::MaxLanes(Wide()));
// Queries and rows whose sums are kept in registers together: 16 sums where there are 32 registers,
// 8 where there are 16.
constexpr std::uint32_t kRowBlock = 4;
constexpr std::uint32_t kQueryBlock = HWY_TARGET == HWY_AVX2 ? 2 : 4;

template <ScalarType type>
constexpr std::uint32_t scalar_bytes() {
  if constexpr (type == ScalarType::f32) return 4;
  return type == ScalarType::f16 || type == ScalarType::bf16 ? 2 : 1;
}

template <ScalarType type, class D>
HWY_INLINE hn::Vec<D> load_row(D d, const std::byte* at) {
  if constexpr (type == ScalarType::f32) {
    return hn::LoadU(d, reinterpret_cast<const float*>(at));
  } else if constexpr (type == ScalarType::f16) {
    const hn::Rebind<hwy::float16_t, D> narrow;
    return hn::PromoteTo(d, hn::LoadU(narrow, reinterpret_cast<const hwy::float16_t*>(at)));
  } else if constexpr (type == ScalarType::bf16) {
    const hn::Rebind<hwy::bfloat16_t, D> narrow;
    return hn::PromoteTo(d, hn::LoadU(narrow, reinterpret_cast<const hwy::bfloat16_t*>(at)));
  } else if constexpr (type == ScalarType::i8) {
    const hn::Rebind<std::int8_t, D> narrow;
    const hn::RebindToSigned<D> whole;
    const auto bytes = hn::LoadU(narrow, reinterpret_cast<const std::int8_t*>(at));
    return hn::ConvertTo(d, hn::PromoteTo(whole, bytes));
  } else {
    const hn::Rebind<std::uint8_t, D> narrow;
    const hn::RebindToSigned<D> whole;
    const auto bytes = hn::LoadU(narrow, reinterpret_cast<const std::uint8_t*>(at));
    return hn::ConvertTo(d, hn::PromoteTo(whole, bytes));
  }
}

template <SumKind kind, class V>
HWY_INLINE V add_term(V q, V x, V sum) {
  if constexpr (kind == SumKind::square) {
    const V difference = hn::Sub(q, x);
    return hn::MulAdd(difference, difference, sum);
  } else if constexpr (kind == SumKind::product) {
    return hn::MulAdd(q, x, sum);
  } else {
    return hn::Add(sum, hn::Abs(hn::Sub(q, x)));
  }
}

// Adds coordinates [from, to), a whole number of registers of D, of Q queries and R rows.
template <SumKind kind, ScalarType type, std::uint32_t Q, std::uint32_t R, class D>
HWY_INLINE void add_range(D d, const float* const* queries, const std::byte* const* rows,
                          std::uint32_t from, std::uint32_t to, float (&out)[Q][R]) {
  using V = hn::Vec<D>;
  constexpr std::uint32_t step = static_cast<std::uint32_t>(hn::MaxLanes(D()));
  V sums[Q][R];
  for (std::uint32_t q = 0; q < Q; ++q) {
    for (std::uint32_t r = 0; r < R; ++r) sums[q][r] = hn::Zero(d);
  }
  for (std::uint32_t i = from; i < to; i += step) {
    V x[R];
    for (std::uint32_t r = 0; r < R; ++r) {
      x[r] = load_row<type>(d, rows[r] + std::size_t{i} * scalar_bytes<type>());
    }
    for (std::uint32_t q = 0; q < Q; ++q) {
      const V y = hn::LoadU(d, queries[q] + i);
      for (std::uint32_t r = 0; r < R; ++r) sums[q][r] = add_term<kind>(y, x[r], sums[q][r]);
    }
  }
  for (std::uint32_t q = 0; q < Q; ++q) {
    for (std::uint32_t r = 0; r < R; ++r) out[q][r] += hn::GetLane(hn::SumOfLanes(d, sums[q][r]));
  }
}

template <SumKind kind, ScalarType type, std::uint32_t Q, std::uint32_t R>
HWY_INLINE void sum_block(const FloatTile& tile, std::uint32_t query, std::uint32_t row) {
  constexpr std::uint32_t unit = 16 / scalar_bytes<type>();  // coordinates in 16 bytes
  const std::uint32_t padded = (tile.dim + unit - 1) / unit * unit;
  const std::uint32_t whole = padded / kLanes * kLanes;
  const float* queries[Q];
  const std::byte* rows[R];
  float out[Q][R] = {};
  for (std::uint32_t q = 0; q < Q; ++q) queries[q] = tile.queries[query + q];
  for (std::uint32_t r = 0; r < R; ++r) rows[r] = tile.rows + (row + r) * tile.stride;
  add_range<kind, type>(Wide(), queries, rows, 0, whole, out);
  if (whole < padded) add_range<kind, type>(Four(), queries, rows, whole, padded, out);
  for (std::uint32_t q = 0; q < Q; ++q) {
    for (std::uint32_t r = 0; r < R; ++r) {
      tile.sums[(query + q) * kTileRows + row + r] = out[q][r];
    }
  }
}

template <SumKind kind, ScalarType type>
void sum_tile(const FloatTile& tile) {
  std::uint32_t row = 0;
  for (; row + kRowBlock <= tile.row_count; row += kRowBlock) {
    std::uint32_t query = 0;
    for (; query + kQueryBlock <= tile.query_count; query += kQueryBlock) {
      sum_block<kind, type, kQueryBlock, kRowBlock>(tile, query, row);
    }
    // A query alone reads row after row: several at once are a pattern that prefetchers do not
    // foresee (784 floats: 16 GB/s, not 20 to 22, where memory gives 25).
    for (; query < tile.query_count; ++query) {
      for (std::uint32_t r = 0; r < kRowBlock; ++r)
        sum_block<kind, type, 1, 1>(tile, query, row + r);
    }
  }
  for (; row < tile.row_count; ++row) {
    for (std::uint32_t query = 0; query < tile.query_count; ++query) {
      sum_block<kind, type, 1, 1>(tile, query, row);
    }
  }
}

template <std::uint32_t R>
HWY_INLINE void count_block(const BitTile& tile, std::uint32_t query, std::uint32_t row) {
  const hn::ScalableTag<std::uint64_t> d;
  constexpr std::uint32_t step = kLanes / 2;
  const std::uint64_t* y = tile.queries[query];
  const std::byte* rows[R];
  hn::Vec<decltype(d)> sums[R];
  for (std::uint32_t r = 0; r < R; ++r) {
    rows[r] = tile.rows + (row + r) * tile.stride;
    sums[r] = hn::Zero(d);
  }
  std::uint32_t w = 0;
  for (; w + step <= tile.words; w += step) {
    const auto bits = hn::LoadU(d, y + w);
    for (std::uint32_t r = 0; r < R; ++r) {
      const auto x = hn::LoadU(d, reinterpret_cast<const std::uint64_t*>(rows[r]) + w);
      sums[r] = hn::Add(sums[r], hn::PopulationCount(hn::Xor(bits, x)));
    }
  }
  for (std::uint32_t r = 0; r < R; ++r) {
    std::uint64_t count = w != 0 ? hn::GetLane(hn::SumOfLanes(d, sums[r])) : 0;
    for (std::uint32_t rest = w; rest < tile.words; ++rest) {
      const auto x = load_as<std::uint64_t>(rows[r] + std::size_t{rest} * 8);
      count += static_cast<std::uint64_t>(__builtin_popcountll(x ^ y[rest]));
    }
    tile.counts[query * kTileRows + row + r] = static_cast<std::uint32_t>(count);
  }
}

inline void hamming_tile(const BitTile& tile) {
  std::uint32_t row = 0;
  for (; row + kRowBlock <= tile.row_count; row += kRowBlock) {
    for (std::uint32_t q = 0; q < tile.query_count; ++q) count_block<kRowBlock>(tile, q, row);
  }
  for (; row < tile.row_count; ++row) {
    for (std::uint32_t q = 0; q < tile.query_count; ++q) count_block<1>(tile, q, row);
  }
}

template <SumKind kind>
constexpr void fill(KernelTable& table) {
  FloatKernel(&row)[5] = table.sums[static_cast<std::size_t>(kind)];
  row[0] = sum_tile<kind, ScalarType::f32>;
  row[1] = sum_tile<kind, ScalarType::f16>;
  row[2] = sum_tile<kind, ScalarType::bf16>;
  row[3] = sum_tile<kind, ScalarType::i8>;
  row[4] = sum_tile<kind, ScalarType::u8>;
}

// Evaluated by the compiler only: no code of this instruction set runs before it is chosen.
constexpr KernelTable make_table(const char* name, bool (*supported)()) {
  KernelTable table;
  table.name = name;
  table.supported = supported;
  table.lanes = kLanes;
  fill<SumKind::square>(table);
  fill<SumKind::product>(table);
  fill<SumKind::absolute>(table);
  table.hamming = hamming_tile;
  return table;
}

#endif
}  // namespace HWY_NAMESPACE
}  // namespace vecserve::engine
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <iterator>

namespace vecserve::engine {
namespace {

template <std::int64_t target>
bool runs_here() {
  return (hwy::SupportedTargets() & target) != 0;
}

#if HWY_TARGETS & HWY_AVX3_DL
constexpr KernelTable kAvx512Dl = N_AVX3_DL::make_table("avx512_dl", runs_here<HWY_AVX3_DL>);
#endif
#if HWY_TARGETS & HWY_AVX3
constexpr KernelTable kAvx512 = N_AVX3::make_table("avx512", runs_here<HWY_AVX3>);
#endif
#if HWY_TARGETS & HWY_AVX2
constexpr KernelTable kAvx2 = N_AVX2::make_table("avx2", runs_here<HWY_AVX2>);
#endif
#if HWY_TARGETS & HWY_NEON
constexpr KernelTable kNeon = N_NEON::make_table("neon", runs_here<HWY_NEON>);
#endif

// Best first.
constexpr const KernelTable* kTables[] = {
#if HWY_TARGETS & HWY_AVX3_DL
    &kAvx512Dl,
#endif
#if HWY_TARGETS & HWY_AVX3
    &kAvx512,
#endif
#if HWY_TARGETS & HWY_AVX2
    &kAvx2,
#endif
#if HWY_TARGETS & HWY_NEON
    &kNeon,
#endif
    nullptr,  // an array cannot be empty
};

}  // namespace

std::span<const KernelTable* const> highway_kernels() {
  return {kTables, std::size(kTables) - 1};
}

}  // namespace vecserve::engine
#endif
