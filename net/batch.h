// A batch: works that are served together, and what the device tells about serving them. Closed by
// the Batcher when a lane is free, run by a Device, completed by the Dispatch.
// Belongs to one lane and is used again for its next batch, so that a warm lane allocates nothing.
// Always holds: works, statuses have one entry per work, in the order of queueing.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "net/work.h"

namespace vecserve::net {

// A work that was taken out without being served.
struct Dropped {
  enum class Why : std::uint8_t { expired, shed };
  std::shared_ptr<Work> work;
  Why why = Why::expired;
};

struct Batch {
  std::vector<std::shared_ptr<Work>> works;
  std::vector<Status> statuses;  // per work, ok until the device says otherwise
  GroupId group = kAlone;
  std::uint32_t weight = 0;           // of all works
  std::uint32_t lane = 0;             // 0 to lanes - 1, lanes: a guest's; set once by the owner
  Deadline deadline = kNoDeadline;    // when the last of the works expires
  std::shared_ptr<CancelToken> stop;  // cancelled: nobody wants any of the answers
  TimePoint closed{};                 // when it was taken from the queue
  TimePoint started{};                // when the device began; unset: when it was closed
  std::vector<Dropped> dropped;       // the core's, while it closes the batch
  std::uint32_t slot = 0;             // the core's: which of the running batches it is
  Stages stages;                      // what the device tells; queue and batch are the core's
};

}  // namespace vecserve::net
