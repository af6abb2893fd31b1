// The tables of coarse kernels, each defined in the file of its instruction set. Comes between
// those files and the choice in coarse_kernels.cc. Always holds: constant data, so that no code of
// an instruction set runs before its table is chosen.
#pragma once

#include "engine/scan/coarse_kernels.h"

namespace vecserve::engine {

extern const CoarseKernels kGenericCoarseKernels;
#if defined(__x86_64__)
extern const CoarseKernels kVnniCoarseKernels;
extern const CoarseKernels kAvx2CoarseKernels;
#endif

}  // namespace vecserve::engine
