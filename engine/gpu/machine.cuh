// What kernels are written against beside CUDA's own names, for a real GPU: access to memory and
// the matrix instruction. The emulator of the tests has the same names and checks each access.
// Included by cuda_driver.cu before the kernels. Device code. Always holds: nothing here waits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#define VECSERVE_UNROLL _Pragma("unroll")
#define VECSERVE_UNROLL_TWICE _Pragma("unroll 2")

namespace vecserve::engine::gpu {

// Device memory that no thread of the launch writes.
template <typename T>
__device__ __forceinline__ T fetch(const T* address) {
  if constexpr (sizeof(T) == sizeof(uint4) && alignof(T) == alignof(uint4)) {
    // Read once and never again: not worth a line of the first cache.
    union {
      uint4 bits;
      T value;
    } read;
    asm("ld.global.nc.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
        : "=r"(read.bits.x), "=r"(read.bits.y), "=r"(read.bits.z), "=r"(read.bits.w)
        : "l"(address));
    return read.value;
  } else {
    return *address;
  }
}

// Device memory that other threads of the launch may be writing: some value that was there.
template <typename T>
__device__ __forceinline__ T fetch_fresh(const T* address) {
  return *static_cast<const volatile T*>(address);
}

template <typename T>
__device__ __forceinline__ void store(T* address, T value) {
  *address = value;
}

// A place in the shared memory of the block.
template <typename T>
using Shared = T*;

template <typename T>
__device__ __forceinline__ T* shared_at(std::size_t byte_offset) {
  extern __shared__ uint4 memory[];
  return reinterpret_cast<T*>(reinterpret_cast<unsigned char*>(memory) + byte_offset);
}

template <typename T>
__device__ __forceinline__ T shared_or(T* address, std::type_identity_t<T> value) {
  return atomicOr(address, value);
}

// The matrix instruction m16n8k32 of signed bytes. Lane l holds, with g = l / 4 and t = l % 4:
// a[0] row g, bytes 4t..4t+3; a[1] row g + 8; a[2] row g, bytes 16 + 4t..; a[3] row g + 8, those;
// b[0] column g, bytes 4t..; b[1] column g, bytes 16 + 4t..;
// sum[0], sum[1]: row g, columns 2t and 2t + 1; sum[2], sum[3]: row g + 8, those.
__device__ __forceinline__ void multiply_tile(int (&sum)[4], const unsigned (&a)[4],
                                              const unsigned (&b)[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

}  // namespace vecserve::engine::gpu
