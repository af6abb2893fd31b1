// Bounds of distances with AVX-512, eight survivors at a time. Comes below kernels_vnni_coarse.cc,
// whose table has them, and above nothing. Any thread; pure. Always holds: what bounds_of of
// coarse_bounds.h says, to the bit, whatever the survivors.
#pragma once

#include <cstdint>

#include "engine/scan/coarse_kernels.h"

namespace vecserve::engine {

void vnni_bounds_l2(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                    std::uint32_t count, float* lower, float* upper);
void vnni_bounds_dot(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                     std::uint32_t count, float* lower, float* upper);
void vnni_bounds_cosine(const CoarseRows& rows, const CoarseLimit& limit, const Survivor* survivors,
                        std::uint32_t count, float* lower, float* upper);

}  // namespace vecserve::engine
