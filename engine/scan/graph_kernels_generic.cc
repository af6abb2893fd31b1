// Graph kernels in portable C++: what the others are tested against, and what runs where nothing
// better does. Called by engine/graph. Any thread; pure.
// Always holds: the integer part is exact, so that tables differ by the rounding of floats alone.
#include <cstddef>
#include <cstring>

#include "engine/scan/graph_tables.h"

namespace vecserve::engine {

namespace {

bool supported() {
  return true;
}

void score(const GraphProbe& probe, const std::uint8_t* const* records, std::uint32_t count,
           float* scores) {
  const std::uint32_t bytes = probe.lines * kGraphLineBytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t* const record = records[i];
    std::int32_t dot = -probe.bias;
    for (std::uint32_t b = 0; b < bytes; ++b) dot += record[b] * probe.codes[b];
    float tail[3];
    std::memcpy(tail, record + bytes - kGraphTailBytes, sizeof(tail));
    scores[i] = tail[0] - probe.twice_scale * tail[1] * static_cast<float>(dot) -
                probe.twice_left * tail[2];
  }
}

}  // namespace

const GraphKernels kGenericGraphKernels = {"generic", supported, score};

}  // namespace vecserve::engine
