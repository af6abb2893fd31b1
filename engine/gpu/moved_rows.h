// Rows that change places on the device: what host and device tell each other about it. Comes
// between mirror_rewrite, which fills it in, and gather.cuh, which moves them. Plain structs.
// Always holds: addresses are the device's; a row is a whole number of chunks.
#pragma once

#include <cstdint>

#include "engine/gpu/scan_types.h"

namespace vecserve::engine::gpu {

struct alignas(16) RowChunk {
  std::uint32_t words[4];
};

// Where a row is now.
struct MovedRow {
  const RowChunk* codes;
  const DeviceRow* row;  // of bits: null
};

// Row i of the new place is *from[i].
struct RowMove {
  const MovedRow* from;
  RowChunk* codes;  // of the new place, row after row
  DeviceRow* rows;  // likewise; of bits: null
  std::uint32_t count;
  std::uint32_t chunks;  // of a row
};

}  // namespace vecserve::engine::gpu
