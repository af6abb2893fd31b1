// Checks the generic graph kernels, which the conformance test holds all others to: what a score
// is, from numbers that can be added up by hand. The test's thread.
// Always holds: expected values are written out here.
#include <catch2/catch.hpp>
#include <cstring>

#include "engine/base/aligned_buffer.h"
#include "engine/scan/graph_kernels.h"

namespace {

using namespace vecserve::engine;

TEST_CASE("generic graph kernels: a score is the square less the scaled products") {
  AlignedBuffer record(kGraphLineBytes);
  AlignedBuffer codes(kGraphLineBytes);
  auto* const bytes = reinterpret_cast<std::uint8_t*>(record.data());
  auto* const query = reinterpret_cast<std::int8_t*>(codes.data());
  std::memset(bytes, 128, kGraphLineBytes);
  bytes[0] = 128 + 10;
  bytes[51] = 128 - 127;
  query[0] = 3;
  query[51] = -2;
  const float tail[3] = {1000.0f, 0.5f, 8.0f};  // square, scale, left
  std::memcpy(bytes + kGraphLineBytes - kGraphTailBytes, tail, sizeof(tail));
  const GraphProbe probe{query, 1, 128 * (3 - 2), 2.0f, 0.25f};
  const std::uint8_t* const records[] = {bytes};
  float score = 0.0f;
  graph_kernels_for("generic").score(probe, records, 1, &score);
  CHECK(score == 1000.0f - 2.0f * 0.5f * (30.0f + 254.0f) - 0.25f * 8.0f);
}

}  // namespace
