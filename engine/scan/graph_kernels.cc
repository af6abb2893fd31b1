// The choice among the graph kernels. Called when a graph is made. Any thread; pure.
// Always holds: the generic table is last and is what any machine falls back to; a float table that
// was forced is not gone beyond.
#include "engine/scan/graph_kernels.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "engine/scan/graph_tables.h"

namespace vecserve::engine {

namespace {

constexpr const GraphKernels* kTables[] = {
#if defined(__x86_64__)
    &kVnniGraphKernels,
    &kAvx2GraphKernels,
#endif
    &kGenericGraphKernels,
};
constexpr std::size_t kLast = std::size(kTables) - 1;

std::size_t first_allowed(std::string_view float_table) {
  if (float_table.starts_with("avx512")) return 0;
  return float_table == "avx2" ? std::min<std::size_t>(1, kLast) : kLast;
}

}  // namespace

std::span<const GraphKernels* const> graph_kernel_tables() {
  return kTables;
}

const GraphKernels& graph_kernels_for(const char* float_table) {
  for (const GraphKernels* table : graph_kernel_tables().subspan(first_allowed(float_table))) {
    if (table->supported()) return *table;
  }
  return kGenericGraphKernels;
}

}  // namespace vecserve::engine
