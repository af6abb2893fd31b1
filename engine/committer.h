// Group commit: writers queue up, the first in line leads, takes what waits behind it as one group,
// and hands it to commit_group; the others sleep until theirs is done. So one fsync serves all the
// writes that came in during the one before it. Comes after prepare_write, before commit_group.
// Any thread may submit. Always holds: one group at a time; ops are processed in the order in which
// they came; the queue is as long as there are threads waiting in it, and allocates nothing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <vector>

#include "engine/write_op.h"

namespace vecserve::engine {

class Committer {
 public:
  // Processes a group: sets status and result of every op in it. Must not throw.
  using Process = std::function<void(std::span<WriteOp* const> group)>;

  explicit Committer(Process process);

  // Returns when op.status and op.result are set. An exclusive op runs alone, with no commit under
  // way, on whichever thread leads.
  void submit(WriteOp& op);

  // Runs `body` with no commit under way and returns what it returns.
  [[nodiscard]] Status exclusively(std::function<Status()> body);

  // How many ops wait and are not part of the group that is under way. Any thread;
  // walks the queue.
  [[nodiscard]] std::size_t waiting() const;

 private:
  void take_group();

  Process process_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  WriteOp* first_ = nullptr;
  WriteOp* last_ = nullptr;
  bool leading_ = false;
  // The leader's.
  std::vector<WriteOp*> group_;
};

}  // namespace vecserve::engine
