// See commit_group.h.
// Runs on the leading writer's thread. Always holds: next sequence numbers are only taken by a
// group that the store has accepted; every op of the group leaves with its status set.
#include "engine/commit_group.h"

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/collection_core.h"
#include "engine/guard.h"
#include "engine/stage.h"

namespace vecserve::engine {

namespace {

class Group {
 public:
  explicit Group(Runtime& runtime)
      : runtime_(runtime), sequence_(runtime.sequence.load(std::memory_order_relaxed)) {}
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  ~Group() {
    if (!committed_) {
      for (const StoreBatch::Request& request : batch_.requests) {
        runtime_.requests.remove(request.id);
      }
    }
  }

  void stage(WriteOp& op) {
    op.status = writable(op);
    if (!op.status.ok() || replay(op)) {
      return;
    }
    stage_of(*op.core).add(op, batch_);
    if (!op.status.ok()) {
      return;
    }
    op.result.sequence = ++sequence_;
    if (!op.options.request_id.empty()) {
      batch_.requests.push_back({op.options.request_id, {op.result.rows, sequence_}});
    }
    if (op.options.durability == Durability::sync) {
      durability_ = Durability::sync;
    }
    staged_.push_back(&op);
  }

  void commit() {
    if (staged_.empty()) {
      return;
    }
    batch_.sequence = sequence_;
    for (const auto& stage : stages_) {
      stage->make_ready();
      if (stage->changed()) {
        batch_.counters.push_back({stage->core().id, stage->counters()});
      }
    }
    for (const StoreBatch::Request& request : batch_.requests) {
      runtime_.requests.add(request.id, request.outcome);
    }
    const Status stored = runtime_.store->apply(batch_, durability_);
    if (!stored.ok()) {
      refuse(stored);
      return;
    }
    committed_ = true;
    runtime_.requests.trim();
    for (const auto& stage : stages_) {
      if (stage->changed()) {
        stage->publish(sequence_);
      }
    }
    runtime_.sequence.store(sequence_, std::memory_order_release);
    runtime_.commits.fetch_add(1, std::memory_order_relaxed);
    runtime_.commit_writes.fetch_add(staged_.size(), std::memory_order_relaxed);
    for (const auto* ops : {&staged_, &echoes_}) {
      for (WriteOp* op : *ops) {
        op->result.durability = durability_;
      }
    }
  }

 private:
  Status writable(const WriteOp& op) const {
    VECSERVE_TRY(op.core->usable());
    return runtime_.writable();
  }

  // A request id seen before, here or in this very group: the first outcome again. One that was
  // staged in this group shares the fate of the group.
  bool replay(WriteOp& op) {
    const RequestId& id = op.options.request_id;
    if (id.empty()) {
      return false;
    }
    std::optional<RequestOutcome> outcome = runtime_.requests.find(id);
    if (!outcome.has_value()) {
      for (const StoreBatch::Request& request : batch_.requests) {
        if (request.id == id) {
          outcome = request.outcome;
          echoes_.push_back(&op);
        }
      }
    }
    if (!outcome.has_value()) {
      return false;
    }
    op.result = {outcome->rows, outcome->sequence, runtime_.options.durability, true};
    return true;
  }

  Stage& stage_of(CollectionCore& core) {
    for (const auto& stage : stages_) {
      if (&stage->core() == &core) {
        return *stage;
      }
    }
    stages_.push_back(std::make_unique<Stage>(core));
    return *stages_.back();
  }

  void refuse(const Status& why) {
    if (why.code() != StatusCode::resource_exhausted) {
      runtime_.degrade(why.message());
    }
    for (const auto* ops : {&staged_, &echoes_}) {
      for (WriteOp* op : *ops) {
        op->status = why;
      }
    }
  }

  Runtime& runtime_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<WriteOp*> staged_;
  std::vector<WriteOp*> echoes_;  // repeat the request id of a staged one
  StoreBatch batch_;
  Durability durability_ = runtime_.options.durability;
  std::uint64_t sequence_;
  bool committed_ = false;
};

}  // namespace

void commit_group(Runtime& runtime, std::span<WriteOp* const> group) noexcept {
  try {
    if (group.front()->kind == WriteOp::Kind::exclusive) {
      WriteOp& op = *group.front();
      op.status = guarded([&] { return op.exclusive(); });
      return;
    }
    const Status failed = guarded([&] {
      Group work(runtime);
      for (WriteOp* op : group) {
        work.stage(*op);
      }
      work.commit();
      return Status();
    });
    if (!failed.ok()) {
      for (WriteOp* op : group) {
        op->status = failed;
      }
    }
  } catch (...) {
    // Not even the memory for an error could be had.
    for (WriteOp* op : group) {
      op->status = std::move(op->out_of_memory);
    }
  }
}

}  // namespace vecserve::engine
