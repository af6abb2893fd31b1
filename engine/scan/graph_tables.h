// The tables of graph kernels, each defined in the file of its instruction set. Comes between those
// files and the choice in graph_kernels.cc. Always holds: constant data, so that no code of an
// instruction set runs before its table is chosen.
#pragma once

#include "engine/scan/graph_kernels.h"

namespace vecserve::engine {

extern const GraphKernels kGenericGraphKernels;
#if defined(__x86_64__)
extern const GraphKernels kVnniGraphKernels;
extern const GraphKernels kAvx2GraphKernels;
#endif

}  // namespace vecserve::engine
