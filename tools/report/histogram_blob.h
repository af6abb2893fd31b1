// A histogram as text: HdrHistogram's V2 form (counts as variable-length numbers with runs of
// zeros), compressed with zlib, in base64. Comes below histogram_log; any thread. Always holds:
// what encode_histogram wrote, decode_histogram reads back count for count; the exact minimum and
// maximum become the ends of their cells, for the form does not carry them.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/histogram.h"
#include "vecserve/status.h"

namespace vecserve::report {

inline constexpr std::size_t kBlobTextBytesMax = std::size_t{4} << 20;  // base64 of one histogram
inline constexpr std::size_t kBlobBytesMax = std::size_t{8} << 20;      // the same, unpacked

[[nodiscard]] std::string encode_histogram(const engine::Histogram& histogram);

// Reads any V2 histogram of integers, also of other digits, units and ranges: counts of cells that
// ours does not have go to the cell of their middle. invalid_argument says what is wrong with it.
[[nodiscard]] Result<engine::Histogram> decode_histogram(std::string_view text);

}  // namespace vecserve::report
