// See write.h.
// Runs on the callers' threads. Always holds: an op lives on the stack of its caller until its
// status is set.
#include "engine/write.h"

#include <bit>
#include <utility>

#include "engine/base/limits.h"
#include "engine/eligible.h"
#include "engine/payload/filter.h"
#include "engine/prepare_write.h"

namespace vecserve::engine {

namespace {

Status begin(const std::shared_ptr<CollectionCore>& core, WriteOp::Kind kind,
             const WriteOptions& options, WriteOp& op) {
  VECSERVE_TRY(core->usable());
  VECSERVE_TRY(options.validate());
  VECSERVE_TRY(core->runtime->writable());
  op.kind = kind;
  op.core = core;
  op.options = options;
  op.now_ms = core->runtime->clock.unix_ms();
  return {};
}

Result<WriteResult> submit(WriteOp& op) {
  Runtime& runtime = *op.core->runtime;
  if (op.rows.empty() && op.erases.empty() && op.options.request_id.empty()) {
    WriteResult nothing;
    nothing.sequence = runtime.sequence.load(std::memory_order_acquire);
    nothing.durability = runtime.options.durability;
    return nothing;
  }
  static_cast<void>(op.core->graphs.slow_writer());
  static_cast<void>(op.core->mirrored.slow_writer(op.core->slots.load(std::memory_order_relaxed)));
  runtime.committer.submit(op);
  if (!op.status.ok()) {
    return op.status;
  }
  return op.result;
}

void collect(const BlockView& view, const EligibleRows& rows, std::vector<SlotToErase>& slots) {
  for (std::size_t w = 0; rows.words != nullptr && w < (std::size_t{view.count} + 63) / 64; ++w) {
    for (std::uint64_t rest = rows.words[w]; rest != 0; rest &= rest - 1) {
      const auto position =
          static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      const IdView id = view.block->id(position);
      slots.push_back({id, hash_id(id), view.block->slot(position)});
    }
  }
}

}  // namespace

Result<WriteResult> write_rows(const std::shared_ptr<CollectionCore>& core, WriteOp::Kind kind,
                               std::span<const RowInput> rows, const WriteOptions& options) {
  WriteOp op;
  VECSERVE_TRY(begin(core, kind, options, op));
  VECSERVE_TRY(prepare_rows(rows, op));
  return submit(op);
}

Result<WriteResult> erase_rows(const std::shared_ptr<CollectionCore>& core,
                               std::span<const RowId> ids, const WriteOptions& options) {
  WriteOp op;
  VECSERVE_TRY(begin(core, WriteOp::Kind::erase, options, op));
  VECSERVE_TRY(prepare_erases(ids, op));
  return submit(op);
}

Result<WriteResult> erase_slots(const std::shared_ptr<CollectionCore>& core,
                                std::vector<SlotToErase> slots, const WriteOptions& options) {
  WriteOp op;
  VECSERVE_TRY(begin(core, WriteOp::Kind::erase_slots, options, op));
  op.erases = std::move(slots);
  op.bytes = op.erases.size() * 32;
  return submit(op);
}

Result<WriteResult> erase_matching(const std::shared_ptr<CollectionCore>& core,
                                   std::string_view filter_text, const WriteOptions& options) {
  VECSERVE_TRY(core->usable());
  if (filter_text.size() > limits::filter_bytes_max) {
    return Status::invalid_argument("filter", "longer than 1 MiB");
  }
  const Result<Filter> filter = Filter::parse(filter_text);
  VECSERVE_TRY(filter.status());
  const std::shared_ptr<const RowSet> rows = core->snapshot();
  const std::uint64_t now_ms = core->runtime->clock.unix_ms();
  std::vector<std::uint64_t> scratch(core->shape.capacity / 64);
  std::vector<SlotToErase> slots;
  FilterRun run(*filter);
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    const BlockView& view = rows->view(b);
    collect(view, eligible_rows(view, now_ms, &run, scratch.data()), slots);
  }
  // The ids point into blocks of `rows`, which outlives the call.
  return erase_slots(core, std::move(slots), options);
}

}  // namespace vecserve::engine
