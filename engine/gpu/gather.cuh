// Moves rows from wherever they are into one place, by Thrust: on the insert stream of a device,
// and by Thrust's host back end in the place of one. Comes below cuda_driver and the emulated
// driver. Always holds: takes no memory of its own, waits for nothing that the policy does not wait
// for, and gives the bytes that were there, in the order asked for.
#pragma once

#include <thrust/iterator/counting_iterator.h>
#include <thrust/system/cpp/execution_policy.h>
#include <thrust/transform.h>

#include "engine/gpu/moved_rows.h"

namespace vecserve::engine::gpu {

struct MovedChunk {
  const MovedRow* from;
  std::uint32_t chunks;
  _CCCL_HOST_DEVICE RowChunk operator()(std::uint32_t i) const {
    return from[i / chunks].codes[i % chunks];
  }
};

struct MovedNumbers {
  const MovedRow* from;
  _CCCL_HOST_DEVICE DeviceRow operator()(std::uint32_t i) const { return *from[i].row; }
};

template <typename Policy>
void gather(const Policy& policy, const RowMove& move) {
  const thrust::counting_iterator<std::uint32_t> first(0);
  thrust::transform(policy, first, first + move.count * move.chunks, move.codes,
                    MovedChunk{move.from, move.chunks});
  if (move.rows == nullptr) return;
  thrust::transform(policy, first, first + move.count, move.rows, MovedNumbers{move.from});
}

}  // namespace vecserve::engine::gpu
