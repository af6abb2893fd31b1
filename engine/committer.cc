// See committer.h. The queue is an intrusive list of ops that live on their callers' stacks.
// Runs on the writers' own threads; there is no committing thread of its own.
// Always holds: `leading_` is true exactly while one thread is outside the lock with group_.
#include "engine/committer.h"

#include <utility>

#include "engine/base/limits.h"

namespace vecserve::engine {

Committer::Committer(Process process) : process_(std::move(process)) {
  group_.reserve(limits::commit_ops_max);
}

void Committer::submit(WriteOp& op) {
  std::unique_lock lock(mutex_);
  (last_ == nullptr ? first_ : last_->next) = &op;
  last_ = &op;
  op.wake.wait(lock, [&] { return op.done || (!leading_ && first_ == &op); });
  if (op.done) {
    return;
  }
  leading_ = true;
  take_group();
  lock.unlock();
  process_(group_);
  lock.lock();
  // The waiters' ops live on their stacks: touch none after its owner may have woken.
  for (WriteOp* member : group_) {
    first_ = member->next;
    member->done = true;
    if (member != &op) {
      member->wake.notify_one();
    }
  }
  if (first_ == nullptr) {
    last_ = nullptr;
  } else {
    first_->wake.notify_one();
  }
  group_.clear();
  leading_ = false;
}

// Guarded by mutex_. A group ends before an exclusive op, at the limits, and at the end of the
// queue.
void Committer::take_group() {
  std::size_t bytes = 0;
  for (WriteOp* op = first_; op != nullptr && group_.size() < limits::commit_ops_max;
       op = op->next) {
    const bool alone = op->kind == WriteOp::Kind::exclusive;
    if (!group_.empty() && (alone || bytes + op->bytes > limits::commit_bytes_max)) {
      break;
    }
    group_.push_back(op);
    bytes += op->bytes;
    if (alone) {
      break;
    }
  }
}

std::size_t Committer::waiting() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const WriteOp* op = first_; op != nullptr; op = op->next) {
    ++count;
  }
  return leading_ ? count - group_.size() : count;
}

Status Committer::exclusively(std::function<Status()> body) {
  WriteOp op;
  op.kind = WriteOp::Kind::exclusive;
  op.exclusive = std::move(body);
  submit(op);
  return std::move(op.status);
}

}  // namespace vecserve::engine
