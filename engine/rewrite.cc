// See rewrite.h.
// Runs on the background thread, or on a caller of maintenance in tests; one pass at a time.
// Always holds: the last block, which is still being filled, is never part of a run.
#include "engine/rewrite.h"

#include <bit>
#include <mutex>
#include <utility>
#include <vector>

#include "engine/payload_rows.h"

namespace vecserve::engine {

namespace {

using Blocks = std::vector<std::shared_ptr<RowBlock>>;

// Adjacent sparse blocks whose live rows fit into one.
struct Run {
  std::size_t first = 0;
  std::size_t last = 0;  // one past
  std::uint64_t live = 0;
};

bool is_sparse(const BlockView& view, double share) {
  return static_cast<double>(view.live->live) < share * static_cast<double>(view.count);
}

std::vector<Run> find_runs(const RowSet& rows, double share, std::uint32_t capacity) {
  std::vector<Run> runs;
  for (std::size_t b = 0; b + 1 < rows.block_count(); ++b) {
    const BlockView& view = rows.view(b);
    if (!is_sparse(view, share)) {
      continue;
    }
    const bool joins =
        !runs.empty() && runs.back().last == b && runs.back().live + view.live->live <= capacity;
    if (!joins) {
      runs.push_back({b, b, 0});
    }
    runs.back().last = b + 1;
    runs.back().live += view.live->live;
  }
  return runs;
}

void copy_rows(const BlockView& from, std::span<FieldValue> fields, RowBlock& to) {
  for (std::size_t w = 0; w < (std::size_t{from.count} + 63) / 64; ++w) {
    for (std::uint64_t rest = from.live->words[w]; rest != 0; rest &= rest - 1) {
      const auto position =
          static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      const RowBlock& block = *from.block;
      payload_fields(block, position, fields);
      append_payload(to, payload_text(block, position), fields);
      to.append(block.slot(position), block.id(position), block.vector(position),
                block.expires_at_ms(position));
    }
  }
}

Blocks make_fresh(const CollectionCore& core, const RowSet& rows, const Run& run) {
  Blocks fresh;
  std::vector<FieldValue> fields(core.options.fields.size());
  for (std::size_t b = run.first; b < run.last; ++b) {
    const BlockView& view = rows.view(b);
    if (view.live->live == 0) {
      continue;
    }
    // Slots of one block span less than 2^32, but those of a run may not.
    if (fresh.empty() || !fresh.back()->accepts(view.block->slot(view.count - 1))) {
      fresh.push_back(make_payload_block(core.shape, core.options.fields));
    }
    copy_rows(view, fields, *fresh.back());
  }
  return fresh;
}

Status swap_in(CollectionCore& core, const Blocks& old_blocks, const Blocks& fresh) {
  RowSetEditor editor(core.snapshot());
  if (!editor.replace(old_blocks, fresh)) {
    return {StatusCode::failed_precondition, "the blocks have changed"};
  }
  const std::unique_lock lock(core.publication_mutex);
  core.version.fetch_add(1, std::memory_order_acq_rel);
  core.publish(editor.finish(core.runtime->sequence.load(std::memory_order_relaxed)));
  core.version.fetch_add(1, std::memory_order_acq_rel);
  return {};
}

}  // namespace

Result<std::uint64_t> rewrite_sparse_blocks(const std::shared_ptr<CollectionCore>& core) {
  const double share = core->runtime->options.rewrite_below_live_share;
  const std::shared_ptr<const RowSet> rows = core->snapshot();
  std::uint64_t given_back = 0;
  for (const Run& run : find_runs(*rows, share, core->shape.capacity)) {
    VECSERVE_TRY(core->usable());
    Blocks old_blocks;
    for (std::size_t b = run.first; b < run.last; ++b) {
      old_blocks.push_back(rows->view(b).block);
    }
    const Blocks fresh = make_fresh(*core, *rows, run);
    VECSERVE_TRY(
        core->runtime->committer.exclusively([&] { return swap_in(*core, old_blocks, fresh); }));
    given_back += old_blocks.size();
  }
  core->tallies.blocks_rewritten.fetch_add(given_back, std::memory_order_relaxed);
  return given_back;
}

}  // namespace vecserve::engine
