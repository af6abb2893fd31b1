// What kernels are written against, for the emulator: CUDA's names where CUDA has one, and the few
// of engine/gpu/machine.cuh beside them. Included in place of that file, before a kernel's source.
// Called by emulated threads only. Always holds: whatever a kernel does to shared memory goes
// through Shared, and to device memory through fetch, store and atomics, so that it is checked.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tests/support/simt/simt.h"

// NOLINTBEGIN
#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define VECSERVE_UNROLL
#define VECSERVE_UNROLL_TWICE
#define threadIdx (::vecserve::test::simt::thread_index())
#define blockIdx (::vecserve::test::simt::block_index())
#define blockDim (::vecserve::test::simt::block_dimension())
#define gridDim (::vecserve::test::simt::grid_dimension())

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) {
  return {x, y, z, w};
}
inline float4 make_float4(float x, float y, float z, float w) {
  return {x, y, z, w};
}

inline void __syncthreads() {
  ::vecserve::test::simt::sync_block();
}
inline void __syncwarp() {
  ::vecserve::test::simt::sync_warp();
}
inline void __threadfence() {}

namespace vecserve::test::simt {

inline void need_full(unsigned mask) {
  if (mask != 0xffffffffu) fail("a warp operation without all 32 threads");
}

template <typename T>
T take(const char* operation, T value, unsigned from) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= kSlotBytes);
  const Slots& slots = exchange(operation, &value, sizeof(T));
  T taken;
  std::memcpy(&taken, slots.bytes[from % 32], sizeof(T));
  return taken;
}

}  // namespace vecserve::test::simt

template <typename T>
T __shfl_sync(unsigned mask, T value, unsigned from) {
  ::vecserve::test::simt::need_full(mask);
  return ::vecserve::test::simt::take("__shfl_sync", value, from);
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lanes) {
  ::vecserve::test::simt::need_full(mask);
  return ::vecserve::test::simt::take("__shfl_xor_sync", value, (threadIdx.x % 32) ^ lanes);
}
inline unsigned __ballot_sync(unsigned mask, bool vote) {
  ::vecserve::test::simt::need_full(mask);
  const unsigned mine = vote ? 1 : 0;
  const auto& slots = ::vecserve::test::simt::exchange("__ballot_sync", &mine, sizeof(mine));
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane) {
    unsigned one = 0;
    std::memcpy(&one, slots.bytes[lane], sizeof(one));
    votes |= one << lane;
  }
  return votes;
}
inline bool __any_sync(unsigned mask, bool vote) {
  return __ballot_sync(mask, vote) != 0;
}
inline bool __all_sync(unsigned mask, bool vote) {
  return __ballot_sync(mask, vote) == ~0u;
}

inline int __popc(unsigned value) {
  return std::popcount(value);
}
inline int __popcll(unsigned long long value) {
  return std::popcount(value);
}
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline float __uint_as_float(unsigned value) {
  return std::bit_cast<float>(value);
}
inline float __int2float_rn(int value) {
  return static_cast<float>(value);
}

// Four products of signed bytes, added to `sum`.
inline int __dp4a(int a, int b, int sum) {
  for (int byte = 0; byte < 4; ++byte) {
    sum += static_cast<std::int8_t>(a >> (8 * byte)) * static_cast<std::int8_t>(b >> (8 * byte));
  }
  return sum;
}

template <typename T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  ::vecserve::test::simt::touch_device(::vecserve::test::simt::Access::read, address, sizeof(T));
  const T old = *address;
  *address = old + value;
  return old;
}
template <typename T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  ::vecserve::test::simt::touch_device(::vecserve::test::simt::Access::read, address, sizeof(T));
  const T old = *address;
  *address = std::min(old, value);
  return old;
}
template <typename T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  ::vecserve::test::simt::touch_device(::vecserve::test::simt::Access::read, address, sizeof(T));
  const T old = *address;
  *address = std::max(old, value);
  return old;
}

namespace vecserve::engine::gpu {

// Device memory that no thread of the launch writes.
template <typename T>
T fetch(const T* address) {
  ::vecserve::test::simt::touch_device(::vecserve::test::simt::Access::read, address, sizeof(T));
  return *address;
}
// Device memory that other threads of the launch may be writing: some value that was there.
template <typename T>
T fetch_fresh(const T* address) {
  return fetch(address);
}
template <typename T>
void store(T* address, std::type_identity_t<T> value) {
  ::vecserve::test::simt::touch_device(::vecserve::test::simt::Access::write, address, sizeof(T));
  *address = value;
}

// A place in shared memory, used like a pointer.
template <typename T>
class Shared {
 public:
  class Place {
   public:
    explicit Place(std::size_t offset) : offset_(offset) {}
    operator T() const {  // NOLINT: reads like the value
      ::vecserve::test::simt::touch_shared(::vecserve::test::simt::Access::read, offset_,
                                           sizeof(T));
      T value;
      std::memcpy(&value, ::vecserve::test::simt::shared_memory() + offset_, sizeof(T));
      return value;
    }
    void operator=(T value) const {  // NOLINT: nothing is chained
      ::vecserve::test::simt::touch_shared(::vecserve::test::simt::Access::write, offset_,
                                           sizeof(T));
      std::memcpy(::vecserve::test::simt::shared_memory() + offset_, &value, sizeof(T));
    }

   private:
    std::size_t offset_;
  };
  explicit Shared(std::size_t offset) : offset_(offset) {}
  Place operator[](std::size_t index) const { return Place(offset_ + index * sizeof(T)); }
  Shared operator+(std::size_t count) const { return Shared(offset_ + count * sizeof(T)); }
  [[nodiscard]] std::size_t offset() const { return offset_; }

 private:
  std::size_t offset_;
};

template <typename T>
Shared<T> shared_at(std::size_t byte_offset) {
  return Shared<T>(byte_offset);
}

template <typename T>
T shared_or(Shared<T> address, std::type_identity_t<T> value) {
  ::vecserve::test::simt::touch_shared(::vecserve::test::simt::Access::atomic, address.offset(),
                                       sizeof(T));
  T old;
  std::byte* const place = ::vecserve::test::simt::shared_memory() + address.offset();
  std::memcpy(&old, place, sizeof(T));
  const T fresh = old | value;
  std::memcpy(place, &fresh, sizeof(T));
  return old;
}

// The matrix instruction m16n8k32 of signed bytes. Lane l holds, with g = l / 4 and t = l % 4:
// a[0] row g, bytes 4t..4t+3; a[1] row g + 8; a[2] row g, bytes 16 + 4t..; a[3] row g + 8, those;
// b[0] column g, bytes 4t..; b[1] column g, bytes 16 + 4t..;
// sum[0], sum[1]: row g, columns 2t and 2t + 1; sum[2], sum[3]: row g + 8, those.
inline void multiply_tile(int (&sum)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  const unsigned mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]};
  const auto& slots = ::vecserve::test::simt::exchange("mma.m16n8k32.s8", mine, sizeof(mine));
  // Bytes 4t.. of the first register and 16 + 4t.. of the second one of four lanes, side by side.
  const auto line = [&](std::int8_t* bytes, unsigned first_lane, unsigned low, unsigned high) {
    for (unsigned t = 0; t < 4; ++t) {
      std::memcpy(bytes + 4 * t, slots.bytes[first_lane + t] + 4 * low, 4);
      std::memcpy(bytes + 16 + 4 * t, slots.bytes[first_lane + t] + 4 * high, 4);
    }
  };
  const unsigned lane = threadIdx.x % 32;
  std::int8_t rows[2][32];
  std::int8_t columns[2][32];
  for (unsigned i = 0; i < 2; ++i) {
    line(rows[i], lane / 4 * 4, i, i + 2);  // a[0], a[2] for the row g; a[1], a[3] for g + 8
    line(columns[i], (lane % 4 * 2 + i) * 4, 4, 5);
  }
  for (unsigned i = 0; i < 4; ++i) {
    int products = 0;
    for (unsigned k = 0; k < 32; ++k) products += int{rows[i / 2][k]} * int{columns[i % 2][k]};
    sum[i] += products;
  }
}

}  // namespace vecserve::engine::gpu
// NOLINTEND
