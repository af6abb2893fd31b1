// The tables of sketch kernels, each defined in the file of its instruction set. Comes between
// those files and the choice in sketch_kernels.cc. Always holds: constant data, so that no code of
// an instruction set runs before its table is chosen.
#pragma once

#include "engine/scan/sketch_kernels.h"

namespace vecserve::engine {

extern const SketchKernels kGenericSketchKernels;
#if defined(__x86_64__)
extern const SketchKernels kVnniSketchKernels;
extern const SketchKernels kAvx2SketchKernels;
#endif

}  // namespace vecserve::engine
