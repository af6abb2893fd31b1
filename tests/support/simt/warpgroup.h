// The names of engine/gpu/warpgroup.cuh for the emulator: gates, copies and products that go on
// beside the threads. Included in place of that file, after machine.h. Called by emulated threads
// only. Always holds: registers that products use are classes here, so that looking at a sum, or
// changing a register, before the wait ends the launch.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/support/simt/beside.h"
#include "tests/support/simt/machine.h"

// NOLINTBEGIN
namespace vecserve::engine::gpu {

// As matrix descriptors have it.
inline unsigned shared_address(unsigned offset) {
  return offset;
}

inline void gate_init(unsigned gate, unsigned arrivals) {
  ::vecserve::test::simt::gate_init(gate, arrivals);
}
inline void gate_arrive(unsigned gate) {
  ::vecserve::test::simt::gate_arrive(gate, 0);
}
inline void gate_expect(unsigned gate, unsigned bytes) {
  ::vecserve::test::simt::gate_arrive(gate, bytes);
}
inline bool gate_wait(unsigned gate, unsigned parity) {
  return ::vecserve::test::simt::gate_wait(gate, parity);
}
inline void copy_beside(unsigned to, const void* from, unsigned bytes, unsigned gate) {
  ::vecserve::test::simt::copy_beside(to, from, bytes, gate);
}
inline void fence_async() {
  ::vecserve::test::simt::fence_async();
}
inline void sync_threads(unsigned barrier, unsigned threads) {
  ::vecserve::test::simt::sync_threads(barrier, threads);
}

// Four registers of the left matrix.
class RowBytes {
 public:
  void set(unsigned i, unsigned value) {
    if (!::vecserve::test::simt::product_done(product_)) {
      ::vecserve::test::simt::fail("wgmma: a register of the left matrix changes before the wait");
    }
    bytes_[i] = value;
    changed_ = ::vecserve::test::simt::moment().event;
  }

 private:
  friend void products_multiply(class WideSums& sums, RowBytes& rows, std::uint64_t descriptor);
  unsigned bytes_[4] = {};
  std::uint64_t changed_ = 0;
  std::uint64_t product_ = 0;  // the last that used it
};

// One thread's share of the sums.
class WideSums {
 public:
  void clear() {
    look();
    for (int& sum : sums_) sum = 0;
    changed_ = ::vecserve::test::simt::moment().event;
  }
  int get(unsigned i) const {
    look();
    return sums_[i];
  }

 private:
  friend void products_multiply(WideSums& sums, RowBytes& rows, std::uint64_t descriptor);
  void look() const {
    if (!::vecserve::test::simt::product_done(product_)) {
      ::vecserve::test::simt::fail("wgmma: a sum is looked at before the wait");
    }
  }
  int sums_[32] = {};
  std::uint64_t changed_ = 0;
  std::uint64_t product_ = 0;
};

template <unsigned kRows>
void products_fence(WideSums&, RowBytes (&)[kRows]) {
  ::vecserve::test::simt::products_fence();
}
inline void products_multiply(WideSums& sums, RowBytes& rows, std::uint64_t descriptor) {
  const std::uint64_t fence = ::vecserve::test::simt::last_fence();
  if (fence <= sums.changed_ || fence <= rows.changed_) {
    ::vecserve::test::simt::fail("wgmma: a register changed after the last wgmma.fence");
  }
  sums.product_ = rows.product_ =
      ::vecserve::test::simt::multiply_beside(rows.bytes_, descriptor, sums.sums_);
}
inline void products_commit() {
  ::vecserve::test::simt::products_commit();
}
inline void products_wait(WideSums&) {
  ::vecserve::test::simt::products_wait(0);
}

}  // namespace vecserve::engine::gpu
// NOLINTEND
