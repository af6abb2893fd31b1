// Kernels of the graph: how near the nodes of a short list seem to be to a query, judged by their
// codes. Comes below engine/graph, which lays out the records and prepares probes; a table is
// chosen together with the float kernels. Any thread; pure.
//
// A record has codes of one byte (c + 128) and, at its end, three floats: square, scale and left.
// With the exact integer dot = sum(c_r y_p) over the codes:
//   score = square_r - twice_scale_p scale_r dot - twice_left_p left_r
// in floats, in any order of operations: an estimate, which promises nothing.
// Always holds: records are read in whole lines of 64 bytes and no further; a probe's codes are
// zero where a record has its floats.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vecserve::engine {

inline constexpr std::uint32_t kGraphLineBytes = 64;
inline constexpr std::uint32_t kGraphTailBytes = 12;  // three floats at the end of a record

struct GraphProbe {
  const std::int8_t* codes = nullptr;  // lines * 64 of them, 64-byte aligned, zero padded
  std::uint32_t lines = 0;             // of a record
  std::int32_t bias = 0;               // 128 times the sum of the codes
  float twice_scale = 0.0f;
  float twice_left = 0.0f;
  // Not for kernels. What a score may be less, where what is left of both is the same:
  // rest_left left_r. And the score of the probe itself, as a record.
  float rest_left = 0.0f;
  float own_score = 0.0f;
};

struct GraphKernels {
  const char* name = "";
  bool (*supported)() = nullptr;
  // scores[i] of records[i], 64-byte aligned, for i in [0, count).
  void (*score)(const GraphProbe&, const std::uint8_t* const* records, std::uint32_t count,
                float* scores) = nullptr;
};

// Best first; "generic" is the last and runs everywhere. Includes tables that this machine cannot
// run.
[[nodiscard]] std::span<const GraphKernels* const> graph_kernel_tables();

// As coarse_kernels_for.
[[nodiscard]] const GraphKernels& graph_kernels_for(const char* float_table);

}  // namespace vecserve::engine
