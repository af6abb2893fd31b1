// Stands in for kernels_highway.cc where the build has no Google Highway: no further tables.
// Chosen by CMake; used by kernels_select.
// Any thread. Always holds: the generic table alone remains.
#include "engine/scan/kernels.h"

namespace vecserve::engine {

std::span<const KernelTable* const> highway_kernels() {
  return {};
}

}  // namespace vecserve::engine
