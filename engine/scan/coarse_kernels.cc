// The choice among the coarse kernels, and queries laid out as the batch kernels read them. Called
// when a database is opened and once for each batch of queries. Any thread; pure. Always holds: the
// generic table is last and is what any machine falls back to.
#include "engine/scan/coarse_kernels.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string_view>

#include "engine/scan/coarse_tables.h"

namespace vecserve::engine {

namespace {

constexpr const CoarseKernels* kTables[] = {
#if defined(__x86_64__)
    &kVnniCoarseKernels,
    &kAvx2CoarseKernels,
#endif
    &kGenericCoarseKernels,
};
constexpr std::size_t kLast = std::size(kTables) - 1;

// How far a float table lets the coarse table go: an index into kTables.
std::size_t first_allowed(std::string_view float_table) {
  if (float_table.starts_with("avx512")) return 0;
  return float_table == "avx2" ? std::min<std::size_t>(1, kLast) : kLast;
}

}  // namespace

void pack_queries(const std::int8_t* codes, std::size_t stride, std::uint32_t query_count,
                  std::int8_t* packed) {
  constexpr std::uint32_t kPanel = 16;
  const std::uint32_t panels = (query_count + kPanel - 1) / kPanel;
  for (std::uint32_t q = 0; q < panels * kPanel; ++q) {
    std::int8_t* const lane = packed + q / kPanel * kPanel * stride + std::size_t{q % kPanel} * 4;
    for (std::size_t i = 0; i < stride; i += 4) {
      if (q < query_count) {
        std::memcpy(lane + i * kPanel, codes + q * stride + i, 4);
      } else {
        std::memset(lane + i * kPanel, 0, 4);
      }
    }
  }
}

std::span<const CoarseKernels* const> coarse_kernel_tables() {
  return kTables;
}

const CoarseKernels& coarse_kernels_for(const char* float_table) {
  const std::span<const CoarseKernels* const> tables = coarse_kernel_tables();
  for (const CoarseKernels* table : tables.subspan(first_allowed(float_table))) {
    if (table->supported()) return *table;
  }
  return kGenericCoarseKernels;
}

}  // namespace vecserve::engine
