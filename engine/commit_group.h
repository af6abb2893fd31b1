// One group commit: stages every write of the group, makes them durable with one store batch, then
// publishes them. Comes after the committer, before the store; the only place where rows change.
// Runs on whichever writer leads; nothing else changes rows, indexes or counters meanwhile.
// Always holds: durable, then visible, then answered. A write that cannot be applied gets its own
// error and leaves the others alone; when the store fails, none of the group was applied. No
// exception leaves: a leader that dies would leave every waiting writer behind.
#pragma once

#include <span>

#include "engine/runtime.h"
#include "engine/write_op.h"

namespace vecserve::engine {

void commit_group(Runtime& runtime, std::span<WriteOp* const> group) noexcept;

}  // namespace vecserve::engine
