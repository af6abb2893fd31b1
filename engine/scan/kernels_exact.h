// The table of the reference's sums on wide registers, each defined in the file of its instruction
// set. Comes between those files and exact_distance, which chooses. Any thread; pure. Always holds:
// constant data, so that no code of an instruction set runs before its table is chosen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecserve::engine {

// The three sums over f32 coordinates, in the order that reference.cc defines.
struct ExactSums {
  bool (*supported)() = nullptr;
  double (*square)(const float* query, const std::byte* row, std::uint32_t dim) = nullptr;
  double (*product)(const float* query, const std::byte* row, std::uint32_t dim) = nullptr;
  double (*absolute)(const float* query, const std::byte* row, std::uint32_t dim) = nullptr;
};

#if defined(__x86_64__)
extern const ExactSums kAvx512ExactSums;
extern const ExactSums kAvx2ExactSums;
#endif

}  // namespace vecserve::engine
