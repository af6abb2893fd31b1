// What goes on beside the emulated threads of a block, after the PTX ISA: gates (mbarriers) with
// phases, arrivals and expected bytes, copies that such a gate tells the end of, and the products
// of a warpgroup, which read shared memory and registers after the instruction that asked for them.
// Comes between warpgroup.h, whose names kernels call, and the emulator's memory. Called by
// emulated threads. Always holds: a copy nobody was told of is a race for whoever looks at its
// bytes; shared memory that products read must not change before every warp of theirs has waited.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/simt/shadow.h"

namespace vecserve::test::simt {

// An mbarrier. A phase ends when all arrivals have come and as many bytes as were expected.
struct Gate {
  std::uint32_t number = 0;  // in the order in which they were made
  std::uint32_t arrivals = 0;
  std::uint32_t missing = 0;  // arrivals
  std::int64_t bytes = 0;     // expected less those that came
  std::uint32_t phase = 0;    // the one that has not ended
  Clock coming{};             // what those who have arrived know
  Clock told{};               // what those knew who ended the phase before
};

// A 64-bit matrix descriptor, decoded.
struct MatrixPlace {
  std::size_t start = 0;
  std::size_t leading = 0;  // bytes from a core matrix to the next along K
  std::size_t stride = 0;   // and along N
  std::uint32_t base = 0;
  std::uint32_t swizzle = 0;

  [[nodiscard]] static MatrixPlace decode(std::uint64_t descriptor);
  // Of byte k of column n, without swizzling: core matrices are eight columns of sixteen bytes.
  [[nodiscard]] std::size_t at(unsigned n, unsigned k) const {
    return start + n / 8 * stride + k / 16 * leading + n % 8 * 16 + k % 16;
  }
};

// Products of a warpgroup, in its order.
struct Multiplication {
  std::uint64_t descriptor = 0;
  unsigned warps = 0;    // that have asked for it
  unsigned waiting = 0;  // threads that have not waited for it yet
};

// One thread's view of its warpgroup's products.
struct Asking {
  std::uint64_t asked = 0;            // products
  std::uint64_t committed = 0;        // of them, the first so many are in groups
  std::uint64_t done = 0;             // and the first so many were waited for
  std::uint64_t fenced = 0;           // event of the last wgmma.fence
  std::vector<std::uint64_t> groups;  // committed and not waited for: where each ends
};

struct Beside {
  std::map<std::size_t, Gate> gates;                         // by offset
  std::map<unsigned, std::vector<Multiplication>> products;  // by warpgroup
  std::map<unsigned, Asking> asking;                         // by thread

  // "" or which bytes of [offset, offset + size) products that are under way read.
  [[nodiscard]] std::string in_use(std::size_t offset, std::size_t size) const;
  // "" or what the block left unfinished.
  [[nodiscard]] std::string unfinished() const;
};

void gate_init(std::size_t offset, unsigned arrivals);
// `bytes`: expected from now on, before the arrival.
void gate_arrive(std::size_t offset, unsigned bytes);
// Waits for the end of the phase of that parity; false when the launch loses copies.
[[nodiscard]] bool gate_wait(std::size_t offset, unsigned parity);
// From device memory to shared memory; the gate is told.
void copy_beside(std::size_t to, const void* from, std::size_t bytes, std::size_t gate);
void fence_async();

void products_fence();
// m64n64k32 of signed bytes: `rows` are four registers of A, `sums` 32 of D. Both arguments stay
// in use until a wait. Says in which product of the thread.
[[nodiscard]] std::uint64_t multiply_beside(const unsigned (&rows)[4], std::uint64_t descriptor,
                                            int (&sums)[32]);
void products_commit();
// Until at most so many groups are still under way.
void products_wait(unsigned groups);
// Whether the thread has waited for that product, and when it fenced last.
[[nodiscard]] bool product_done(std::uint64_t product);
[[nodiscard]] std::uint64_t last_fence();

}  // namespace vecserve::test::simt
