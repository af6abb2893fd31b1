// The emulator's model of what goes on beside the threads, against the PTX ISA: values worked out
// by hand for the matrix descriptor, the sums' places and the phases of a gate, and a report for
// each mistake that a kernel can make with them. Comes before the tests of the kernel of sm_90a.
// Test thread only. Always holds: each mistake is made once here, in a kernel that is right without
// it.
#include "tests/support/simt/beside.h"

#include <catch2/catch.hpp>
#include <functional>
#include <numeric>
#include <vector>

#include "tests/support/simt/simt.h"
#include "tests/support/simt/warpgroup.h"

namespace {

using namespace vecserve::test;
using namespace vecserve::engine::gpu;

bool says(const std::string& error, std::string_view what) {
  return error.find(what) != std::string::npos;
}

// Inside a kernel.
void need(bool holds) {
  if (!holds) simt::fail("the test expects something else");
}

// The others get on, but tell nothing.
void let_time_pass() {
  for (int turn = 0; turn < 3; ++turn) {
    simt::note_progress();
    simt::wait_turn();
  }
}

// -- Gates and copies -----------------------------------------------------------------------------

constexpr unsigned kGate = 0;
constexpr unsigned kBytesAt = 16;

// Device memory of so many bytes 0, 1, 2, ...
struct Source {
  Source() : memory(4'096), bytes(static_cast<std::uint8_t*>(memory.allocate(1'024))) {
    for (unsigned i = 0; i < 1'024; ++i) bytes[i] = static_cast<std::uint8_t>(i);
    CHECK(simt::DeviceMemory::touch(simt::Access::write, bytes, 1'024).empty());
  }
  simt::DeviceMemory memory;
  std::uint8_t* bytes;
};

// Two warps: the second one copies 64 bytes, which all threads of the first one add up. What the
// steps of the right way do can be replaced.
struct Handover {
  std::function<void()> init = [] { gate_init(kGate, 1); };
  std::function<void()> after_init = fence_async;
  std::function<void()> expect = [] { gate_expect(kGate, 64); };
  std::function<void(const void*)> copy = [](const void* from) {
    copy_beside(kBytesAt, from, 64, kGate);
  };
  std::function<void()> wait = [] { need(gate_wait(kGate, 0)); };
  bool lose_copies = false;

  std::string run(const Source& source, unsigned* sum = nullptr) const {
    // With this seed the second warp begins.
    return simt::run({1, 64, 256, 1, lose_copies}, [&] {
      if (threadIdx.x == 0) init();
      if (threadIdx.x == 0) after_init();
      __syncthreads();
      if (threadIdx.x == 32) expect();
      if (threadIdx.x == 32) copy(source.bytes + 16);
      if (threadIdx.x >= 32) return;
      wait();
      const Shared<std::uint32_t> words = shared_at<std::uint32_t>(kBytesAt);
      const unsigned word = words[threadIdx.x % 16];
      if (sum != nullptr && threadIdx.x == 3) *sum = word;
    });
  }
};

TEST_CASE("beside: a copy arrives with the phase of its gate") {
  const Source source;
  unsigned word = 0;
  CHECK(Handover().run(source, &word) == "");
  CHECK(word == 0x1f1e1d1cu);  // the fourth word from byte 16 on
}

TEST_CASE("beside: a gate's phase ends with its last arrival and its last byte, and not before") {
  std::vector<unsigned> phases;
  CHECK(simt::run({1, 32, 64}, [&] {
          if (threadIdx.x != 0) return;
          gate_init(kGate, 2);
          const auto phase = [] { return simt::beside().gates.at(kGate).phase; };
          phases.push_back(phase());
          need(gate_wait(kGate, 1));  // the phase before the first one has ended
          gate_arrive(kGate);
          phases.push_back(phase());
          gate_arrive(kGate);
          phases.push_back(phase());
          need(gate_wait(kGate, 0));
          gate_arrive(kGate);
          gate_arrive(kGate);
          phases.push_back(phase());
          need(gate_wait(kGate, 1));
        }) == "");
  CHECK(phases == std::vector<unsigned>{0, 0, 1, 2});
}

TEST_CASE("beside: bytes that were expected keep a phase open, in whatever order they come") {
  const Source source;
  std::vector<unsigned> phases;
  CHECK(simt::run({1, 32, 256}, [&] {
          if (threadIdx.x != 0) return;
          gate_init(kGate, 1);
          fence_async();
          const auto note = [&] { phases.push_back(simt::beside().gates.at(kGate).phase); };
          copy_beside(kBytesAt, source.bytes, 32, kGate);
          note();
          gate_expect(kGate, 48);
          note();
          copy_beside(kBytesAt + 32, source.bytes, 16, kGate);
          note();
        }) == "");
  CHECK(phases == std::vector<unsigned>{0, 0, 1});
}

TEST_CASE("beside: every mistake with a gate or a copy is reported") {
  const Source source;
  Handover no_wait;
  no_wait.wait = let_time_pass;
  CHECK(says(no_wait.run(source), "race"));
  Handover wrong_phase;  // of the one before the first, which has ended
  wrong_phase.wait = [] {
    need(gate_wait(kGate, 1));
    let_time_pass();
  };
  CHECK(says(wrong_phase.run(source), "race"));
  Handover no_fence;
  no_fence.after_init = [] {};
  CHECK(says(no_fence.run(source), "no fence.proxy.async"));
  Handover too_few;
  too_few.expect = [] { gate_expect(kGate, 80); };
  CHECK(says(too_few.run(source), "never come"));
  Handover not_expected;
  not_expected.expect = [] { gate_expect(kGate, 48); };
  CHECK(says(not_expected.run(source), "never come"));
  Handover unaligned;
  unaligned.copy = [](const void* from) {
    copy_beside(kBytesAt, static_cast<const char*>(from) + 4, 64, kGate);
  };
  CHECK(says(unaligned.run(source), "multiples of 16"));
  Handover outside;
  outside.copy = [](const void* from) { copy_beside(240, from, 64, kGate); };
  CHECK(says(outside.run(source), "shared memory: 64 bytes at 240"));
  Handover unmade;
  unmade.init = [] {};
  CHECK(says(unmade.run(source), "nobody made"));
  Handover into_gate;
  into_gate.copy = [](const void* from) { copy_beside(0, from, 64, kGate); };
  CHECK(says(into_gate.run(source), "race"));
  Handover lost;
  lost.lose_copies = true;
  bool waited = true;
  lost.wait = [&] { waited = gate_wait(kGate, 0); };
  CHECK(says(lost.run(source), "race"));
  CHECK_FALSE(waited);
}

TEST_CASE("beside: a stage may be filled again when those who read it have said so") {
  const Source source;
  for (const bool sync : {true, false}) {
    for (const bool wait : {true, false}) {
      CAPTURE(sync, wait);
      const std::string error = simt::run({1, 64, 256}, [&] {
        constexpr unsigned kEmptied = 8;
        if (threadIdx.x == 0) {
          gate_init(kGate, 1);
          gate_init(kEmptied, 1);
          fence_async();
        }
        __syncthreads();
        for (unsigned round = 0; round < 3; ++round) {
          if (threadIdx.x < 32) {
            need(gate_wait(kGate, round % 2));
            const unsigned word = shared_at<unsigned>(kBytesAt)[threadIdx.x % 16];
            static_cast<void>(word);
            if (sync) __syncwarp();
            if (threadIdx.x == 5) gate_arrive(kEmptied);
          } else if (threadIdx.x == 32) {
            if (wait) need(gate_wait(kEmptied, (round + 1) % 2));
            gate_expect(kGate, 64);
            copy_beside(kBytesAt, source.bytes, 64, kGate);
          }
        }
      });
      CHECK((error == "") == (sync && wait));
      if (!sync) CHECK(says(error, "race"));
    }
  }
}

TEST_CASE("beside: a barrier of some warps orders those, and waits for all of them") {
  for (const unsigned threads : {64u, 96u}) {
    const std::string error = simt::run({1, 96, 384}, [&] {
      if (threadIdx.x >= 64) return;
      shared_at<unsigned>(0)[threadIdx.x] = threadIdx.x;
      sync_threads(3, threads);
      const unsigned other = shared_at<unsigned>(0)[63 - threadIdx.x];
      need(other == 63 - threadIdx.x);
    });
    CHECK((threads == 64 ? error == "" : says(error, "never come")));
  }
  // Those who did not come to it are told nothing.
  CHECK(says(simt::run({1, 96, 384},
                       [&] {
                         if (threadIdx.x < 64) {
                           shared_at<unsigned>(0)[threadIdx.x] = 1;
                           sync_threads(1, 64);
                         } else {
                           __syncwarp();
                           const unsigned other = shared_at<unsigned>(0)[0];
                           static_cast<void>(other);
                         }
                       }),
             "shared memory"));
}

// -- Products -------------------------------------------------------------------------------------

TEST_CASE("beside: a matrix descriptor is taken apart as the ISA lays it out") {
  // Start 0x12340 (bits 0-13 hold it without its last four), 1,024 along K, 128 along N, base 5,
  // swizzling mode 2.
  const std::uint64_t descriptor = std::uint64_t{2} << 62 | std::uint64_t{5} << 49 |
                                   std::uint64_t{8} << 32 | 64u << 16 | 0x1234u;
  const simt::MatrixPlace place = simt::MatrixPlace::decode(descriptor);
  CHECK(place.start == 0x12340);
  CHECK(place.leading == 1'024);
  CHECK(place.stride == 128);
  CHECK(place.base == 5);
  CHECK(place.swizzle == 2);
  // Core matrices of eight columns of sixteen bytes, each of 128 bytes side by side.
  CHECK(place.at(0, 0) == 0x12340);
  CHECK(place.at(0, 15) == 0x12340 + 15);
  CHECK(place.at(1, 0) == 0x12340 + 16);
  CHECK(place.at(7, 3) == 0x12340 + 7 * 16 + 3);
  CHECK(place.at(8, 0) == 0x12340 + 128);
  CHECK(place.at(0, 16) == 0x12340 + 1'024);
  CHECK(place.at(63, 31) == 0x12340 + 7 * 128 + 1'024 + 7 * 16 + 15);
}

// Columns in shared memory as a kernel may put them: [half of the 32 bytes][column][16 bytes].
constexpr unsigned kColumns = 64 * 32;
constexpr std::uint64_t kDescriptor = std::uint64_t{128 >> 4} << 32 | std::uint64_t{1'024 >> 4}
                                                                          << 16;

// One product of 64 rows and 64 columns: value(r, k) and value(c, k) are given. The steps of the
// right way can be replaced.
struct Product {
  std::function<int(unsigned, unsigned)> row = [](unsigned r, unsigned k) {
    return static_cast<int>(r * 7 + k * 3) % 256 - 128;
  };
  std::function<int(unsigned, unsigned)> column = [](unsigned c, unsigned k) {
    return static_cast<int>(c * 5 + k * 11 + 40) % 256 - 128;
  };
  std::function<void()> publish = fence_async;
  std::function<void(WideSums&, RowBytes (&)[1])> fence = products_fence<1>;
  std::function<std::uint64_t()> descriptor = [] { return kDescriptor; };
  std::function<void()> commit = products_commit;
  std::function<void(WideSums&)> wait = products_wait;
  std::function<void(WideSums&, RowBytes&)> meanwhile = [](WideSums&, RowBytes&) {};
  unsigned threads = 128;

  std::string run(std::vector<int>* sums = nullptr) const {
    return simt::run({1, threads, 2 * kColumns}, [&] {
      for (unsigned i = threadIdx.x; i < kColumns; i += threads) {
        const unsigned k = i / 1'024 * 16 + i % 16;
        const int value = column(i / 16 % 64, k);
        if (i % 4 != 0) continue;
        unsigned word = 0;
        for (unsigned b = 0; b < 4; ++b) {
          word |= (static_cast<unsigned>(b == 0 ? value : column(i / 16 % 64, k + b)) & 255)
                  << (8 * b);
        }
        shared_at<unsigned>(0)[i / 4] = word;
      }
      publish();
      __syncthreads();
      const unsigned lane = threadIdx.x % 32;
      const unsigned first = threadIdx.x / 32 * 16 + lane / 4;
      RowBytes rows[1];
      for (unsigned i = 0; i < 4; ++i) {
        unsigned word = 0;
        for (unsigned b = 0; b < 4; ++b) {
          const unsigned k = i / 2 * 16 + lane % 4 * 4 + b;
          word |= (static_cast<unsigned>(row(first + i % 2 * 8, k)) & 255) << (8 * b);
        }
        rows[0].set(i, word);
      }
      WideSums mine;
      mine.clear();
      fence(mine, rows);
      products_multiply(mine, rows[0], descriptor());
      commit();
      meanwhile(mine, rows[0]);
      wait(mine);
      for (unsigned i = 0; i < 32; ++i) {
        const int sum = mine.get(i);
        if (sums == nullptr) continue;
        (*sums)[(first + i / 2 % 2 * 8) * 64 + i / 4 * 8 + lane % 4 * 2 + i % 2] = sum;
      }
    });
  }
};

TEST_CASE("beside: the products of a warpgroup are those of 64 rows and 64 columns") {
  std::vector<int> sums(64 * 64, -1);
  const Product product;
  REQUIRE(product.run(&sums) == "");
  for (unsigned r = 0; r < 64; ++r) {
    for (unsigned c = 0; c < 64; ++c) {
      int sum = 0;
      for (unsigned k = 0; k < 32; ++k) sum += product.row(r, k) * product.column(c, k);
      REQUIRE(sums[r * 64 + c] == sum);
    }
  }
  // By hand: one byte of row 37 and of column 22 that meet, and one that does not.
  Product one;
  one.row = [](unsigned r, unsigned k) { return r == 37 && k == 19 ? -128 : 0; };
  one.column = [](unsigned c, unsigned k) {
    return c == 22 && k == 19 ? 127 : (c == 23 && k == 18 ? 1 : 0);
  };
  REQUIRE(one.run(&sums) == "");
  CHECK(sums[37 * 64 + 22] == -16'256);
  CHECK(std::count(sums.begin(), sums.end(), 0) == 64 * 64 - 1);
}

TEST_CASE("beside: every mistake with the products of a warpgroup is reported") {
  Product no_wait;
  no_wait.wait = [](WideSums&) {};
  CHECK(says(no_wait.run(), "looked at before the wait"));
  Product no_commit;  // a wait waits for groups
  no_commit.commit = [] {};
  CHECK(says(no_commit.run(), "looked at before the wait"));
  Product no_fence;
  no_fence.fence = [](WideSums&, RowBytes(&)[1]) {};
  CHECK(says(no_fence.run(), "after the last wgmma.fence"));
  Product not_published;
  not_published.publish = [] {};
  CHECK(says(not_published.run(), "no fence.proxy.async"));
  Product swizzled;
  swizzled.descriptor = [] { return kDescriptor | std::uint64_t{1} << 62; };
  CHECK(says(swizzled.run(), "without swizzling"));
  Product different;
  different.descriptor = [] { return kDescriptor | (threadIdx.x / 32 == 2 ? 1u : 0u); };
  CHECK(says(different.run(), "differ within the warpgroup"));
  Product row_changes;
  row_changes.meanwhile = [](WideSums&, RowBytes& rows) { rows.set(2, 0); };
  CHECK(says(row_changes.run(), "left matrix changes before the wait"));
  Product sums_change;
  sums_change.meanwhile = [](WideSums& sums, RowBytes&) { sums.clear(); };
  CHECK(says(sums_change.run(), "looked at before the wait"));
  Product column_changes;
  column_changes.meanwhile = [](WideSums&, RowBytes&) {
    if (threadIdx.x == 0) shared_at<unsigned>(0)[11] = 0;
  };
  CHECK(says(column_changes.run(), "changes before the wait"));
  Product too_small;
  too_small.threads = 64;
  CHECK(says(too_small.run(), "four warps"));
  Product some_warps;
  some_warps.threads = 256;
  some_warps.commit = [] {
    if (threadIdx.x < 128) products_commit();
  };
  CHECK(says(some_warps.run(), "looked at before the wait"));
}

TEST_CASE("beside: what products read may change when all of their warps have waited") {
  for (const bool barrier : {true, false}) {
    CAPTURE(barrier);
    Product product;
    product.wait = [&](WideSums& sums) {
      products_wait(sums);
      if (barrier) __syncthreads();
      if (threadIdx.x == 127) shared_at<unsigned>(0)[11] = 0;
    };
    const std::string error = product.run();
    if (barrier) CHECK(error == "");
    if (!barrier) CHECK((says(error, "race") || says(error, "changes before the wait")));
  }
}

}  // namespace
