// See rewrite.h.
// Runs on the background thread, or on a caller of maintenance in tests; one pass at a time.
// Always holds: the last block, which is still being filled, is never part of a run.
#include "engine/rewrite.h"

#include <bit>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "engine/mirror_keeper.h"
#include "engine/payload_rows.h"

namespace vecserve::engine {

namespace {

using Blocks = std::vector<std::shared_ptr<RowBlock>>;

// Adjacent blocks with room to spare whose live rows fit into one.
struct Run {
  std::size_t first = 0;
  std::size_t last = 0;  // one past
  std::uint64_t live = 0;
  std::uint64_t rows = 0;
};

bool below(std::uint64_t live, double share, std::uint64_t of) {
  return static_cast<double>(live) < share * static_cast<double>(of);
}

// The first run at or after block `from` that is worth copying: its rows are mostly dead, or it has
// several blocks (small ones, left by earlier passes) that become one.
std::optional<Run> find_run(const RowSet& rows, std::size_t from, double share,
                            std::uint32_t capacity) {
  const auto worth = [&](const Run& run) {
    return run.last - run.first > 1 || (run.last > run.first && below(run.live, share, run.rows));
  };
  Run run{from, from};
  for (std::size_t b = from; b + 1 < rows.block_count(); ++b) {
    const BlockView& view = rows.view(b);
    const bool spare = below(view.live->live, share, capacity);
    // Slots of one block span less than 2^32.
    const std::uint64_t span =
        view.block->slot(view.count - 1) - rows.view(run.first).block->slot(0);
    if (!spare || run.live + view.live->live > capacity || span > UINT32_MAX) {
      if (worth(run)) {
        return run;
      }
      run = {b, b};
    }
    if (!spare) {
      run = {b + 1, b + 1};
      continue;
    }
    run.last = b + 1;
    run.live += view.live->live;
    run.rows += view.count;
  }
  return worth(run) ? std::optional<Run>(run) : std::nullopt;
}

// What takes the place of a run.
struct Fresh {
  Blocks blocks;                             // one, or none when all rows are dead
  std::vector<gpu::Mirror::Origin> origins;  // of its rows
};

void copy_rows(const BlockView& from, std::span<FieldValue> fields, Fresh& fresh) {
  RowBlock& to = *fresh.blocks.front();
  for (std::size_t w = 0; w < (std::size_t{from.count} + 63) / 64; ++w) {
    for (std::uint64_t rest = from.live->words[w]; rest != 0; rest &= rest - 1) {
      const auto position =
          static_cast<std::uint32_t>(w * 64 + static_cast<std::size_t>(std::countr_zero(rest)));
      const RowBlock& block = *from.block;
      payload_fields(block, position, fields);
      append_payload(to, payload_text(block, position), fields);
      to.append(block.slot(position), block.id(position), block.vector(position),
                block.expires_at_ms(position));
      fresh.origins.push_back({block.serial(), position});
    }
  }
}

Fresh make_fresh(const CollectionCore& core, const RowSet& rows, const Run& run) {
  Fresh fresh;
  std::vector<FieldValue> fields(core.options.fields.size());
  for (std::size_t b = run.first; b < run.last; ++b) {
    const BlockView& view = rows.view(b);
    if (view.live->live == 0) {
      continue;
    }
    if (fresh.blocks.empty()) {
      fresh.blocks.push_back(
          make_payload_block(core.shape, core.options.fields, AlignedBuffer::Use::sparse));
    }
    copy_rows(view, fields, fresh);
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
  const OpenedGpu& gpu = core->runtime->gpu;
  gpu::Mirror* const mirror = gpu.device == nullptr ? nullptr : &gpu.device->mirror();
  std::uint64_t given_back = 0;
  std::size_t from = 0;
  for (;;) {
    VECSERVE_TRY(core->usable());
    // Pinned anew for each run, or the old blocks of all of them would stay until the end.
    const std::shared_ptr<const RowSet> rows = core->snapshot();
    const std::optional<Run> run = find_run(*rows, from, share, core->shape.capacity);
    if (!run.has_value()) {
      return given_back;
    }
    Blocks old_blocks;
    for (std::size_t b = run->first; b < run->last; ++b) {
      old_blocks.push_back(rows->view(b).block);
    }
    const Fresh fresh = make_fresh(*core, *rows, *run);
    std::optional<MirrorAhead> ahead;
    if (!fresh.blocks.empty()) ahead.emplace(mirror, *fresh.blocks.front(), fresh.origins);
    VECSERVE_TRY(core->runtime->committer.exclusively(
        [&] { return swap_in(*core, old_blocks, fresh.blocks); }));
    if (ahead.has_value()) ahead->published();
    core->tallies.blocks_rewritten.fetch_add(old_blocks.size(), std::memory_order_relaxed);
    given_back += old_blocks.size();
    from = run->first + fresh.blocks.size();
  }
}

}  // namespace vecserve::engine
