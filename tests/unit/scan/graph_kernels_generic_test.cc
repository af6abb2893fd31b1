// Checks the generic graph kernels, which the conformance test holds all others to: what a score
// and a product are, from numbers that can be added up by hand. The test's thread.
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

TEST_CASE("generic graph kernels: products of all axes with one vector") {
  AlignedBuffer memory(5 * 16 * sizeof(float));
  auto* const floats = reinterpret_cast<float*>(memory.data());
  for (int a = 0; a < 4; ++a) floats[a * 16 + a] = static_cast<float>(a + 1);
  float* const y = floats + 4 * 16;
  for (int i = 0; i < 16; ++i) y[i] = static_cast<float>(10 * (i + 1));
  float out[4] = {};
  graph_kernels_for("generic").products(floats, 4, y, 16, out);
  CHECK(out[0] == 10.0f);
  CHECK(out[1] == 40.0f);
  CHECK(out[2] == 90.0f);
  CHECK(out[3] == 160.0f);
}

}  // namespace
