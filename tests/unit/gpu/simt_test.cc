// The emulator against what a GPU guarantees and forbids: right values for every warp operation it
// knows, and a report for each mistake it is there to find. Comes before all tests of kernels.
// Test thread only. Always holds: each mistake is made once here, by a kernel of a few lines.
#include "tests/support/simt/simt.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "tests/support/simt/machine.h"

namespace {

using namespace vecserve::test;
using vecserve::engine::gpu::fetch;
using vecserve::engine::gpu::multiply_tile;
using vecserve::engine::gpu::Shared;
using vecserve::engine::gpu::shared_at;
using vecserve::engine::gpu::store;

std::string run(unsigned grid, unsigned block, std::size_t shared,
                const std::function<void()>& kernel, std::uint64_t seed = 0) {
  return simt::run({grid, block, shared, seed}, kernel);
}

bool says(const std::string& error, std::string_view what) {
  return error.find(what) != std::string::npos;
}

TEST_CASE("simt: every thread of every block runs once, in whatever order") {
  for (const std::uint64_t seed : {0u, 1u, 5u}) {
    std::vector<int> seen(3 * 64, 0);
    CHECK(run(
              3, 64, 0, [&] { ++seen[blockIdx.x * blockDim.x + threadIdx.x]; }, seed) == "");
    CHECK(seen == std::vector<int>(3 * 64, 1));
  }
  CHECK(says(run(1, 33, 0, [] {}), "warps of 32"));
}

TEST_CASE("simt: shuffles, votes and dot products of bytes give what CUDA defines") {
  std::vector<int> swapped(32);
  std::vector<unsigned> votes(32);
  CHECK(run(1, 32, 0, [&] {
          const unsigned lane = threadIdx.x;
          swapped[lane] = __shfl_xor_sync(~0u, static_cast<int>(lane), 5) +
                          100 * __shfl_sync(~0u, static_cast<int>(lane), 7);
          votes[lane] = __ballot_sync(~0u, lane % 3 == 0);
          if (!__any_sync(~0u, lane == 31) || __all_sync(~0u, lane != 31)) swapped[lane] = -1;
        }) == "");
  unsigned expected = 0;
  for (unsigned lane = 0; lane < 32; lane += 3) expected |= 1u << lane;
  for (int lane = 0; lane < 32; ++lane) {
    CHECK(swapped[static_cast<std::size_t>(lane)] == (lane ^ 5) + 700);
    CHECK(votes[static_cast<std::size_t>(lane)] == expected);
  }
  CHECK(__dp4a(static_cast<int>(0x80ff7f01u), static_cast<int>(0x807f02ffu), 10) ==
        10 + 16384 - 127 + 254 - 1);
}

TEST_CASE("simt: the matrix instruction multiplies 16 rows with 8 columns of 32 signed bytes") {
  std::int8_t rows[16][32];
  std::int8_t columns[8][32];
  std::uint32_t state = 7;
  const auto next = [&] {
    return static_cast<std::int8_t>((state = state * 1664525 + 1013904223) >> 24);
  };
  for (auto& row : rows) std::generate(row, row + 32, next);
  for (auto& column : columns) std::generate(column, column + 32, next);
  int product[16][8];
  const auto word = [](const std::int8_t* bytes) {
    unsigned value = 0;
    std::memcpy(&value, bytes, 4);
    return value;
  };
  CHECK(run(1, 32, 0, [&] {
          const unsigned g = threadIdx.x / 4;
          const unsigned t = threadIdx.x % 4;
          const unsigned a[4] = {word(rows[g] + 4 * t), word(rows[g + 8] + 4 * t),
                                 word(rows[g] + 16 + 4 * t), word(rows[g + 8] + 16 + 4 * t)};
          const unsigned b[2] = {word(columns[g] + 4 * t), word(columns[g] + 16 + 4 * t)};
          int sum[4] = {1, 1, 1, 1};
          multiply_tile(sum, a, b);
          for (unsigned i = 0; i < 4; ++i) product[g + i / 2 * 8][2 * t + i % 2] = sum[i];
        }) == "");
  for (int r = 0; r < 16; ++r) {
    for (int c = 0; c < 8; ++c) {
      CHECK(product[r][c] == std::inner_product(rows[r], rows[r] + 32, columns[c], 1));
    }
  }
}

TEST_CASE("simt: shared memory and barriers carry values between threads") {
  std::vector<int> sums(2, 0);
  CHECK(run(2, 128, 128 * sizeof(int), [&] {
          const Shared<int> values = shared_at<int>(0);
          values[threadIdx.x] = static_cast<int>(threadIdx.x + blockIdx.x);
          __syncthreads();
          for (unsigned step = 64; step > 0; step /= 2) {
            if (threadIdx.x < step)
              values[threadIdx.x] = values[threadIdx.x] + values[threadIdx.x + step];
            __syncthreads();
          }
          if (threadIdx.x == 0) sums[blockIdx.x] = values[0];
        }) == "");
  CHECK(sums == std::vector<int>{127 * 64, 127 * 64 + 128});
}

TEST_CASE("simt: a race between barriers is reported in whatever order the threads ran") {
  const auto without_barrier = [] {
    const Shared<int> values = shared_at<int>(0);
    values[threadIdx.x] = 1;
    const int other = values[(threadIdx.x + 40) % 64];
    static_cast<void>(other);
  };
  CHECK(says(run(1, 64, 256, without_barrier), "nobody wrote"));
  const auto written_twice = [] { shared_at<int>(0)[0] = static_cast<int>(threadIdx.x); };
  CHECK(says(run(1, 32, 4, written_twice), "race"));
  const auto write_after_read = [] {
    const Shared<int> values = shared_at<int>(0);
    values[threadIdx.x] = 1;
    __syncthreads();
    const int other = values[(threadIdx.x + 1) % 64];
    values[threadIdx.x] = other;
  };
  for (const std::uint64_t seed : {0u, 1u}) {
    CHECK(says(run(1, 64, 256, write_after_read, seed), "race"));
  }
  // __syncwarp orders the threads of a warp, and only those.
  const auto within_warp = [] {
    const Shared<int> values = shared_at<int>(0);
    values[threadIdx.x] = 1;
    __syncwarp();
    const int other = values[threadIdx.x ^ 1];
    static_cast<void>(other);
  };
  CHECK(run(1, 64, 256, within_warp) == "");
  const auto across_warps = [] {
    const Shared<int> values = shared_at<int>(0);
    if (threadIdx.x < 32) values[threadIdx.x] = 1;
    __syncwarp();
    if (threadIdx.x >= 32) static_cast<void>(static_cast<int>(values[threadIdx.x - 32]));
  };
  CHECK(says(run(1, 64, 256, across_warps), "race"));
}

TEST_CASE("simt: threads that will never meet are reported") {
  CHECK(says(run(1, 64, 0,
                 [] {
                   if (threadIdx.x < 32) __syncthreads();
                 }),
             "never come"));
  CHECK(says(run(1, 32, 0,
                 [] {
                   if (threadIdx.x != 3) __syncwarp();
                 }),
             "never come"));
  CHECK(says(run(1, 32, 0,
                 [] {
                   if (threadIdx.x % 2 == 0) {
                     static_cast<void>(__ballot_sync(~0u, true));
                   } else {
                     __syncwarp();
                   }
                 }),
             "meets"));
  CHECK(says(run(1, 32, 0, [] { static_cast<void>(__ballot_sync(1u, true)); }), "all 32"));
}

TEST_CASE("simt: device memory is checked for bounds and for reads before writes") {
  simt::DeviceMemory memory(4096);
  auto* const values = static_cast<int*>(memory.allocate(256));
  REQUIRE(values != nullptr);
  CHECK(memory.allocate(8192) == nullptr);
  CHECK(
      says(run(1, 32, 0, [&] { static_cast<void>(fetch(values + threadIdx.x)); }), "nobody wrote"));
  CHECK(run(1, 32, 0, [&] { store(values + threadIdx.x, static_cast<int>(threadIdx.x)); }) == "");
  CHECK(run(1, 32, 0, [&] { static_cast<void>(fetch(values + threadIdx.x)); }) == "");
  CHECK(says(run(1, 32, 0, [&] { store(values + 40 + threadIdx.x, 1); }), "outside"));
  CHECK(run(4, 64, 0, [&] { atomicAdd(values, 1); }) == "");
  CHECK(values[0] == 256);
  CHECK(run(1, 32, 0, [&] { atomicMin(values + 1, -static_cast<int>(threadIdx.x)); }) == "");
  CHECK(values[1] == -31);
  CHECK(memory.used() == 256);
  CHECK(memory.release(values));
  CHECK_FALSE(memory.release(values));
  CHECK(says(run(1, 32, 0, [&] { store(values, 1); }), "outside"));
}

}  // namespace
