// See graph_keeper.h.
// The graph's background thread, or a caller of maintenance in tests; one pass at a time for each
// collection. Always holds: rows are linked in the order of their slots; nothing is repaired while
// rows are being linked.
#include "engine/graph_keeper.h"

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>
#include <vector>

#include "engine/graph/entries.h"
#include "engine/graph/graph_search.h"
#include "engine/graph_effort.h"
#include "engine/rows/row_floats.h"
#include "engine/scan/kernels.h"

namespace vecserve::engine {

namespace {

// Rows of one slice: about 10 ms of one core at 100 us each, so that a search that wants the core
// never waits longer.
constexpr std::uint32_t kSliceRows = 96;
constexpr std::uint32_t kSliceRowsEach = 256;  // for each thread, where there are several
// The first nodes are linked one after another, or they would not know of each other.
constexpr std::uint32_t kAloneNodes = 1'000;
// Lists that one step of a repair looks at; most need nothing.
constexpr std::uint32_t kRepairNodes = 512;
// Nodes of which the rows may be dead before a sweep begins: one in fifty.
constexpr std::uint64_t kDeadShare = 50;

struct Due {
  const RowBlock* block = nullptr;
  std::uint32_t position = 0;
};

std::vector<float> take_sample(const RowShape& shape, const RowSet& rows, std::uint32_t& count) {
  const std::uint64_t all = rows.row_count();
  count = static_cast<std::uint32_t>(std::min<std::uint64_t>(all, kAxesSampleMax));
  std::vector<float> sample(std::size_t{count} * shape.dim);
  std::uint64_t before = 0;
  std::uint32_t taken = 0;
  for (std::size_t b = 0; b < rows.block_count(); ++b) {
    const BlockView& view = rows.view(b);
    for (; taken < count; ++taken) {
      const std::uint64_t row = all * taken / count;
      if (row >= before + view.count) break;
      row_floats(shape.type, view.block->vector(static_cast<std::uint32_t>(row - before)),
                 shape.dim, &sample[std::size_t{taken} * shape.dim]);
    }
    before += view.count;
  }
  return sample;
}

class Pass {
 public:
  Pass(CollectionCore& core, std::uint32_t threads, const std::function<bool()>& stopping)
      : core_(core),
        state_(core.graphs),
        keeping_(core.graphs.keeping),
        threads_(threads),
        stopping_(stopping),
        rows_(core.snapshot()) {}

  Result<bool> run() {
    graph_ = state_.graph();
    if (graph_ != nullptr) {
      state_.set_tail(rows_from(*rows_, graph_->watermark.load(std::memory_order_relaxed)));
    }
    if (graph_ == nullptr && !begin()) return false;
    const bool linked = link();
    const bool repaired = repair();
    if (linked || repaired) {
      spread();
      return true;
    }
    spread();
    return keep_effort(core_, *graph_, stopping_);
  }

 private:
  bool begin() {
    if (rows_->live_count() < kGraphRowsMin || !CodeAxes::serves(core_.shape)) return false;
    std::uint32_t count = 0;
    const std::vector<float> sample = take_sample(core_.shape, *rows_, count);
    std::shared_ptr<const CodeAxes> axes = CodeAxes::learn(
        core_.shape, graph_kernels_for(core_.runtime->kernels.name), sample, count, stopping_);
    if (axes == nullptr) return false;
    graph_ = std::make_shared<Graph>(std::move(axes));
    keeping_ = {};
    keeping_.repair = std::make_unique<Repair>(*graph_);
    state_.set_graph(graph_);
    return true;
  }

  // Live rows from the watermark on, and the slot that it may move to when they are nodes.
  std::uint64_t gather(std::vector<Due>& due, std::size_t most) const {
    const std::uint64_t from = graph_->watermark.load(std::memory_order_relaxed);
    std::uint64_t to = from;
    for (std::size_t b = first_block(from); b < rows_->block_count(); ++b) {
      const BlockView& view = rows_->view(b);
      for (std::uint32_t r = 0; r < view.count; ++r) {
        const std::uint64_t slot = view.block->slot(r);
        if (slot < from) continue;
        if (due.size() == most) return to;
        if (view.live->test(r)) due.push_back({view.block.get(), r});
        to = slot + 1;
      }
    }
    return to;
  }

  std::size_t first_block(std::uint64_t from) const {
    std::size_t block = 0;
    while (block < rows_->block_count()) {
      const BlockView& view = rows_->view(block);
      if (view.block->slot(view.count - 1) >= from) break;
      ++block;
    }
    return block;
  }

  bool link() {
    const bool alone = graph_->live() < kAloneNodes || threads_ == 1;
    const std::uint32_t threads = alone ? 1 : threads_;
    std::vector<Due> due;
    const std::uint64_t to = gather(due, alone ? kSliceRows : kSliceRowsEach * threads);
    if (to == graph_->watermark.load(std::memory_order_relaxed)) return false;
    while (keeping_.linkers.size() < threads) {
      keeping_.linkers.push_back(std::make_unique<Linker>(*graph_));
    }
    std::vector<std::vector<float>> floats(threads, std::vector<float>(core_.shape.dim));
    std::atomic<bool> failed{false};
    core_.runtime->pool.parallel_for(due.size(), threads, [&](std::size_t i, std::uint32_t worker) {
      try {
        const Due& row = due[i];
        row_floats(core_.shape.type, row.block->vector(row.position), core_.shape.dim,
                   floats[worker].data());
        if (!keeping_.linkers[worker]->link(row.block->slot(row.position), floats[worker].data())) {
          failed.store(true, std::memory_order_relaxed);
        }
      } catch (const std::bad_alloc&) {
        failed.store(true, std::memory_order_relaxed);
      }
    });
    if (failed.load(std::memory_order_relaxed)) throw std::bad_alloc();
    graph_->watermark.store(to, std::memory_order_release);
    state_.set_tail(rows_from(*rows_, to));
    return true;
  }

  bool repair() {
    Repair& repair = *keeping_.repair;
    if (!repair.busy()) {
      const std::uint64_t tail =
          rows_from(*rows_, graph_->watermark.load(std::memory_order_relaxed));
      const std::uint64_t alive = rows_->live_count() - std::min(tail, rows_->live_count());
      const std::uint64_t nodes = graph_->live();
      if (nodes <= alive || (nodes - alive) * kDeadShare < nodes) return false;
      repair.begin([this](std::uint64_t slot) { return rows_->find(slot).has_value(); }, false);
      if (repair.busy()) {
        // Entries that are dying were taken away: walks need others at once, and again afterwards.
        spread_entries(*graph_);
        keeping_.spread_at = 0;
      }
    }
    return repair.step(kRepairNodes);
  }

  void spread() {
    const std::uint32_t nodes = graph_->live();
    if (nodes == 0 || nodes < 2 * keeping_.spread_at || keeping_.repair->busy()) return;
    spread_entries(*graph_);
    keeping_.spread_at = nodes;
  }

  CollectionCore& core_;
  GraphState& state_;
  GraphState::Keeping& keeping_;
  std::uint32_t threads_;
  const std::function<bool()>& stopping_;
  // Held to the end, so that the blocks that rows are linked from live until then.
  const std::shared_ptr<const RowSet> rows_;
  std::shared_ptr<Graph> graph_;
};

}  // namespace

Result<bool> keep_graph(const std::shared_ptr<CollectionCore>& core, std::uint32_t threads,
                        const std::function<bool()>& stopping) {
  VECSERVE_TRY(core->usable());
  if (!core->graphs.wanted.load(std::memory_order_relaxed)) return false;
  const std::lock_guard lock(core->graphs.keeping_mutex);
  try {
    return Pass(*core, threads, stopping).run();
  } catch (const std::bad_alloc&) {
    // A row may have got in halfway: begin again when there is memory.
    core->graphs.set_graph(nullptr);
    core->graphs.set_effort(nullptr);
    return Status(StatusCode::resource_exhausted, "no memory for the graph");
  }
}

}  // namespace vecserve::engine
