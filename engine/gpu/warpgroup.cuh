// What the kernel for sm_90a is written against beside machine.cuh: mbarriers, called gates here,
// with copies whose end they tell, and the matrix instruction of a warpgroup. The emulator of the
// tests has the same names and checks what the PTX ISA asks of their users. Included by
// cuda_driver.cu after machine.cuh. Device code of sm_90a: for any other target nothing calls these
// functions. Places in shared memory are offsets in bytes. Always holds: waiting for a gate ends,
// if not with its phase then after kGateNs.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/gpu/machine.cuh"

namespace vecserve::engine::gpu {

// No copy takes as long, on any device that will ever answer.
inline constexpr std::uint64_t kGateNs = 2'000'000'000;

// As instructions and matrix descriptors have it.
__device__ __forceinline__ unsigned shared_address(unsigned offset) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared_at<unsigned char>(offset)));
}

// One thread makes it, for so many arrivals in each phase; a fence_async and a barrier come after.
__device__ __forceinline__ void gate_init(unsigned gate, unsigned arrivals) {
  const unsigned at = shared_address(gate);
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(at), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void gate_arrive(unsigned gate) {
  const unsigned at = shared_address(gate);
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(at) : "memory");
}

// Arrives, and has the phase wait for so many bytes besides.
__device__ __forceinline__ void gate_expect(unsigned gate, unsigned bytes) {
  const unsigned at = shared_address(gate);
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(at), "r"(bytes)
               : "memory");
}

// Until the phase of that parity has ended; at once for the odd one of a fresh gate. False: it did
// not end within kGateNs.
__device__ __forceinline__ bool gate_wait(unsigned gate, unsigned parity) {
  const unsigned at = shared_address(gate);
  std::uint64_t begin = 0;
  while (true) {
    unsigned ended = 0;
    std::uint64_t now = 0;
    asm volatile(
        "{.reg .pred p; mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2; "
        "selp.b32 %0, 1, 0, p;}"
        : "=r"(ended)
        : "r"(at), "r"(parity)
        : "memory");
    if (ended != 0) return true;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    if (begin == 0) begin = now;
    if (now - begin > kGateNs) return false;
  }
}

// So many bytes, a multiple of 16, from device memory to shared memory, both at multiples of 16.
__device__ __forceinline__ void copy_beside(unsigned to, const void* from, unsigned bytes,
                                            unsigned gate) {
  const unsigned place = shared_address(to);
  const unsigned at = shared_address(gate);
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(place),
      "l"(from), "r"(bytes), "r"(at)
      : "memory");
}

// What the thread wrote to shared memory before is there for copies and products.
__device__ __forceinline__ void fence_async() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// __syncthreads for so many threads, of whole warps.
__device__ __forceinline__ void sync_threads(unsigned barrier, unsigned threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}

// Four registers of the left matrix, 64 rows by 32 bytes: of the warp's sixteen rows, as a[] of
// multiply_tile.
class RowBytes {
 public:
  __device__ __forceinline__ void set(unsigned i, unsigned value) { bytes[i] = value; }
  unsigned bytes[4];
};

// One thread's share of the sums of 64 rows by 64 columns. With g = lane / 4 and t = lane % 4:
// get(4j) and get(4j + 1) are row g of the warp's sixteen, columns 8j + 2t and 8j + 2t + 1;
// get(4j + 2) and get(4j + 3) are row g + 8, those.
class WideSums {
 public:
  __device__ __forceinline__ void clear() {
    VECSERVE_UNROLL
    for (unsigned i = 0; i < 32; ++i) sums[i] = 0;
  }
  __device__ __forceinline__ int get(unsigned i) const { return sums[i]; }
  int sums[32];
};

#define VECSERVE_EIGHT(c, i)                                                      \
  c(sums.sums[i]), c(sums.sums[i + 1]), c(sums.sums[i + 2]), c(sums.sums[i + 3]), \
      c(sums.sums[i + 4]), c(sums.sums[i + 5]), c(sums.sums[i + 6]), c(sums.sums[i + 7])
#define VECSERVE_SUMS(c) \
  VECSERVE_EIGHT(c, 0), VECSERVE_EIGHT(c, 8), VECSERVE_EIGHT(c, 16), VECSERVE_EIGHT(c, 24)

// After registers were written, before the products that use them. What is named is kept in its
// registers by the compiler's order, too.
template <unsigned kRows>
__device__ __forceinline__ void products_fence(WideSums& sums, RowBytes (&rows)[kRows]) {
  asm volatile("" : VECSERVE_SUMS("+r")::"memory");
  VECSERVE_UNROLL
  for (unsigned i = 0; i < kRows; ++i) {
    asm volatile(""
                 : "+r"(rows[i].bytes[0]), "+r"(rows[i].bytes[1]), "+r"(rows[i].bytes[2]),
                   "+r"(rows[i].bytes[3])::"memory");
  }
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

// Adds the products of 64 rows with the 64 columns that the descriptor finds in shared memory, of
// 32 signed bytes each. All four warps; `sums` and `rows` stay as they are until the wait.
__device__ __forceinline__ void products_multiply(WideSums& sums, const RowBytes& rows,
                                                  std::uint64_t descriptor) {
  asm volatile(
      "{.reg .pred p; setp.ne.b32 p, 1, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k32.s32.s8.s8 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, "
      "%20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
      "{%32, %33, %34, %35}, %36, p;}"
      : VECSERVE_SUMS("+r")
      : "r"(rows.bytes[0]), "r"(rows.bytes[1]), "r"(rows.bytes[2]), "r"(rows.bytes[3]),
        "l"(descriptor));
}

// The products since the last time are one group; then waits for all of them.
__device__ __forceinline__ void products_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void products_wait(WideSums& sums) {
  asm volatile("wgmma.wait_group.sync.aligned 0;" : VECSERVE_SUMS("+r")::"memory");
}

}  // namespace vecserve::engine::gpu
