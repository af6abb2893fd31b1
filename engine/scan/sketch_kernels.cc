// The choice among the sketch kernels. Called when a scanner is made, which keeps what it gets.
// Any thread; pure.
// Always holds: the generic table is last and is what any machine falls back to.
#include "engine/scan/sketch_kernels.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "engine/scan/sketch_tables.h"

namespace vecserve::engine {

namespace {

constexpr const SketchKernels* kTables[] = {
#if defined(__x86_64__)
    &kVnniSketchKernels,
    &kAvx2SketchKernels,
#endif
    &kGenericSketchKernels,
};
constexpr std::size_t kLast = std::size(kTables) - 1;

std::size_t first_allowed(std::string_view float_table) {
  if (float_table.starts_with("avx512")) return 0;
  return float_table == "avx2" ? std::min<std::size_t>(1, kLast) : kLast;
}

}  // namespace

std::span<const SketchKernels* const> sketch_kernel_tables() {
  return kTables;
}

const SketchKernels& sketch_kernels_for(const char* float_table) {
  for (const SketchKernels* table : sketch_kernel_tables().subspan(first_allowed(float_table))) {
    if (table->supported()) return *table;
  }
  return kGenericSketchKernels;
}

}  // namespace vecserve::engine
