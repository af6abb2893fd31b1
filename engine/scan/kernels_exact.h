// The table of the reference's sums on wide registers, each defined in the file of its instruction
// set. Comes between those files and exact_distance, which chooses. Any thread; pure. Always holds:
// constant data, so that no code of an instruction set runs before its table is chosen.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecserve::engine {

// Rows that are summed side by side; fewer come one by one.
inline constexpr std::uint32_t kExactRows = 4;
// Of a row that is asked for, what follows the first bytes is found by the hardware.
inline constexpr std::uint32_t kExactAskedBytes = 4096;
// They are asked for into the second level cache: it has room for more requests at once than the
// first, which alone holds up what comes from memory.
inline constexpr int kSecondLevel = 2;

// Sums of so many rows, kExactRows at most, to out[0 .. count). Meanwhile the memory of kExactRows
// others is asked for, evenly, so that neither reading nor summing waits for the other: `next`, or
// null. Only where kExactRows are summed.
using ExactSum = void (*)(const float* query, const std::byte* const* rows, std::uint32_t count,
                          std::uint32_t dim, const std::byte* const* next, double* out);

// The sums over f32 coordinates, in the order that reference.cc defines.
struct ExactSums {
  bool (*supported)() = nullptr;
  ExactSum square = nullptr;    // of differences
  ExactSum product = nullptr;   // query times row
  ExactSum absolute = nullptr;  // of differences
  ExactSum own = nullptr;       // the row times itself, whatever the query
};

#if defined(__x86_64__)
extern const ExactSums kAvx512ExactSums;
extern const ExactSums kAvx2ExactSums;
#endif

}  // namespace vecserve::engine
