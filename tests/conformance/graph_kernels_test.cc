// Holds every table of graph kernels to the obvious one: the same scores but for the rounding of
// floats, at every number of lines and records. Seeded, the test's thread. Always
// holds: a table that this machine cannot run is passed over, and generic always runs.
#include "engine/scan/graph_kernels.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "tests/support/dice.h"

namespace {

using namespace vecserve::engine;
using vecserve::test::Dice;

float number(Dice& dice) {
  return static_cast<float>(dice.below(2'000'001)) * 1e-3f - 1'000.0f;
}

struct Records {
  Records(std::uint32_t lines, std::uint32_t count, Dice& dice)
      : bytes(std::size_t{lines} * kGraphLineBytes), memory(bytes * count), codes(bytes) {
    auto* const all = reinterpret_cast<std::uint8_t*>(memory.data());
    for (std::uint32_t r = 0; r < count; ++r) {
      std::uint8_t* const record = all + r * bytes;
      for (std::size_t i = 0; i < bytes; ++i) {
        record[i] = static_cast<std::uint8_t>(dice.between(1, 255));
      }
      const float tail[3] = {std::fabs(number(dice)), 0.01f * std::fabs(number(dice)),
                             std::fabs(number(dice))};
      std::memcpy(record + bytes - kGraphTailBytes, tail, sizeof(tail));
      records.push_back(record);
    }
    auto* const query = reinterpret_cast<std::int8_t*>(codes.data());
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < bytes - kGraphTailBytes; ++i) {
      query[i] = static_cast<std::int8_t>(static_cast<int>(dice.below(255)) - 127);
      sum += query[i];
    }
    probe = {query, lines, 128 * sum, 0.25f, 0.5f};
  }

  std::size_t bytes;
  AlignedBuffer memory;
  AlignedBuffer codes;
  std::vector<const std::uint8_t*> records;
  GraphProbe probe;
};

TEST_CASE("graph kernels: every table gives the scores of the generic one") {
  const std::uint64_t seed = 71;
  CAPTURE(seed);
  Dice dice(seed);
  for (const GraphKernels* table : graph_kernel_tables()) {
    CAPTURE(table->name);
    if (!table->supported()) continue;
    for (const std::uint32_t lines : {1U, 2U, 3U, 5U, 13U}) {
      for (const std::uint32_t count : {0U, 1U, 2U, 3U, 4U, 5U, 7U, 8U, 31U, 64U}) {
        CAPTURE(lines, count);
        const Records data(lines, count, dice);
        std::vector<float> wanted(count + 1, -7.0f);
        std::vector<float> got(count + 1, -7.0f);
        graph_kernel_tables().back()->score(data.probe, data.records.data(), count, wanted.data());
        table->score(data.probe, data.records.data(), count, got.data());
        CHECK(got[count] == -7.0f);
        for (std::uint32_t i = 0; i < count; ++i) {
          const double dot_part = 0.25 * 10.0 * 127.0 * 127.0 * 64.0 * lines;
          CHECK(std::fabs(static_cast<double>(got[i] - wanted[i])) <= 1e-6 * dot_part);
        }
      }
    }
  }
}

TEST_CASE("graph kernels: the choice does not go beyond the float table") {
  CHECK(std::strcmp(graph_kernels_for("generic").name, "generic") == 0);
  CHECK(std::strcmp(graph_kernels_for("avx2").name, "vnni") != 0);
  CHECK(graph_kernels_for("avx512").supported());
}

}  // namespace
