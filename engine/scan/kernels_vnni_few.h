// Coarse kernels for a few queries at once with AVX-512 VNNI: what the batch kernels of that table
// use below sixteen queries or so, where packed panels would be half empty. Comes below
// kernels_vnni_coarse.cc. Any thread; pure. Always holds: the contract of CoarseBatch, whose
// `codes` must be given.
#pragma once

#include <cstdint>

#include "engine/scan/coarse_kernels.h"

namespace vecserve::engine {

// At most so many at once. Up to how many it pays depends on the length of the rows.
inline constexpr std::uint32_t kVnniFewQueries = 16;

void vnni_few_l2(const CoarseRows& rows, const CoarseBatch& queries);
void vnni_few_dot(const CoarseRows& rows, const CoarseBatch& queries);

}  // namespace vecserve::engine
