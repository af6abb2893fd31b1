// See graph_keeper.h.
// The graph's background thread, or a caller of maintenance in tests; one pass at a time for each
// collection. Always holds: rows are linked in the order of their slots; nothing is repaired while
// rows are being linked.
#include "engine/graph_keeper.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>
#include <utility>
#include <vector>

#include "engine/graph/entries.h"
#include "engine/graph/graph_search.h"
#include "engine/graph_cache.h"
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
// A round over all nodes for those that walks do not find, at 20 us each: when one in eight has
// changed, or one in a thousand and there was nothing else to do for so many passes. And nodes of
// one step.
constexpr std::uint64_t kStrayShare = 8;
constexpr std::uint64_t kStrayIdleShare = 1'024;
constexpr std::uint32_t kStrayIdlePasses = 20;
constexpr std::uint32_t kStrayNodes = 256;
constexpr std::uint32_t kStrayRounds = 3;  // one after the other, while each finds some
// While a sweep is on its way so many rows are linked at most, a part of the nodes: the nodes of
// dead rows come free at its end, and a graph that grew instead would never shrink again. The rows
// that wait meanwhile are scanned, and writers wait when they are too many.
constexpr std::uint32_t kLinkedInSweepShare = 48;
constexpr std::uint32_t kLinkedInSweepMin = 32;
// A copy is written when a quarter has changed since the last: what a crash costs is to link that
// much again, and what copies cost is a few times what the rows cost.
constexpr std::uint64_t kSaveShare = 4;
// While there are many rows to link, only when there are twice as many nodes, and many.
constexpr std::uint64_t kSaveTail = 256;
constexpr std::uint64_t kSaveGrowing = 65'536;
// At the end, when linking what has changed would take longer than writing all.
constexpr std::uint64_t kSaveAtEndShare = 100;

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

// It is of no use, and must not be looked at again.
void drop_copy(CollectionCore& core) {
  core.graphs.restored.store(0, std::memory_order_relaxed);
  if (core.runtime->writable().ok()) {
    static_cast<void>(core.runtime->store->remove_cache(core.id));
  }
}

// Once, when the collection was opened: somebody has wanted a graph before, if there is a copy.
void look_for_copy(CollectionCore& core) {
  GraphState::Keeping& keeping = core.graphs.keeping;
  if (keeping.looked) return;
  keeping.looked = true;
  Result<std::shared_ptr<GraphRestore>> begun = GraphRestore::begin(core);
  if (!begun.ok() && begun.status().code() == StatusCode::not_found) return;
  core.graphs.wanted.store(true, std::memory_order_relaxed);
  if (begun.ok()) {
    keeping.restoring = std::move(*begun);
  } else {
    drop_copy(core);
  }
}

// Enough has changed since strays were last looked for.
bool may_have_strays(const GraphState::Keeping& keeping, const Graph& graph, std::uint64_t share) {
  return keeping.strayed != 0 && keeping.strayed * share >= graph.live();
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
    if (keeping_.restoring != nullptr) return restore();
    graph_ = state_.graph();
    if (graph_ != nullptr) {
      state_.set_tail(rows_from(*rows_, graph_->watermark.load(std::memory_order_relaxed)));
    }
    if (graph_ == nullptr && !begin()) return false;
    const bool linked = link();
    const bool saved = save();
    const bool repaired = keeping_.saving == nullptr && repair();
    if (linked || saved || repaired) {
      keeping_.idle_passes = 0;
      return true;
    }
    const Result<bool> measured = keep_effort(core_, *graph_, stopping_);
    if (!measured.ok() || *measured) return measured;
    if (look_for_strays()) return true;
    return save_due() && begin_saving();
  }

  // Only what brings the copy up to date; false when that is done or not to be done.
  bool finish() {
    graph_ = state_.graph();
    if (graph_ == nullptr || keeping_.restoring != nullptr) return false;
    if (keeping_.saving != nullptr) return save();
    if (keeping_.repair->busy()) return finish_repair();
    const std::uint64_t enough = graph_->live() / kSaveAtEndShare;
    const bool learned = keeping_.from_queries && !keeping_.saved_queries;
    return (keeping_.changed > enough || learned) && begin_saving();
  }

 private:
  // What was saved comes back; whatever is wrong with it, the graph is made anew.
  bool restore() {
    const Result<bool> more = keeping_.restoring->step(core_, threads_);
    if (more.ok() && *more) {
      state_.restored.store(keeping_.restoring->nodes(), std::memory_order_relaxed);
      return true;
    }
    const std::shared_ptr<GraphRestore> restored = std::move(keeping_.restoring);
    keeping_.restoring = nullptr;
    if (!more.ok()) {
      drop_copy(core_);
      return true;
    }
    graph_ = restored->graph();
    start_keeping();
    keeping_.entries->spread();
    const std::uint32_t nodes = graph_->live();
    keeping_.tried_nodes = nodes;
    keeping_.measured_nodes = nodes;
    keeping_.from_queries = restored->from_queries();
    keeping_.saved_queries = restored->from_queries();
    state_.restored.store(nodes, std::memory_order_relaxed);
    state_.saved.store(nodes, std::memory_order_relaxed);
    state_.set_effort(restored->effort());
    state_.set_graph(graph_, rows_from(*rows_, graph_->watermark.load(std::memory_order_relaxed)));
    return true;
  }

  void start_keeping() {
    keeping_ = {};
    keeping_.looked = true;
    keeping_.repair = std::make_unique<Repair>(*graph_);
    keeping_.strays = std::make_unique<Strays>(*graph_);
    keeping_.entries = std::make_unique<EntrySpreader>(*graph_);
  }

  bool save() {
    // The first copy is to have the effort with it, which is measured when there is time.
    if (keeping_.saving == nullptr) {
      return (growing() || state_.effort() != nullptr) && save_due() && begin_saving();
    }
    const Result<bool> more = step_saving();
    if (more.ok() && *more) return true;
    // When it failed the copy of before is still there, and it is tried again after more changes.
    if (more.ok()) state_.saved.store(keeping_.saving->nodes(), std::memory_order_relaxed);
    keeping_.changed -= keeping_.changed_then;
    keeping_.saving = nullptr;
    return true;
  }

  // Too little memory for a copy is no reason to lose the graph.
  Result<bool> step_saving() {
    try {
      return keeping_.saving->step(core_);
    } catch (const std::bad_alloc&) {
      return Status(StatusCode::resource_exhausted, "no memory for a copy of the graph");
    }
  }

  [[nodiscard]] bool save_due() const {
    if (keeping_.changed == 0 || keeping_.repair->busy()) return false;
    if (core_.runtime->save_graphs_often) return true;
    if (!growing()) return keeping_.changed * kSaveShare >= keeping_.tried_nodes;
    return graph_->live() >= kSaveGrowing && keeping_.changed >= keeping_.tried_nodes;
  }

  [[nodiscard]] bool growing() const { return state_.tail() > kSaveTail; }

  bool begin_saving() {
    if (!core_.runtime->store->keeps_rows() || !core_.runtime->writable().ok()) return false;
    keeping_.changed_then = keeping_.changed;
    keeping_.tried_nodes = graph_->live();
    try {
      Result<std::shared_ptr<GraphSave>> begun = GraphSave::begin(core_, graph_);
      if (begun.ok()) keeping_.saving = std::move(*begun);
    } catch (const std::bad_alloc&) {
      // As when the disk is full.
    }
    keeping_.saved_queries = keeping_.from_queries;
    if (keeping_.saving == nullptr) keeping_.changed = 0;
    return keeping_.saving != nullptr;
  }

  bool finish_repair() {
    const bool waited = keeping_.repair->waiting();
    step_repair();
    return !waited || !keeping_.repair->busy();
  }

  bool begin() {
    if (rows_->live_count() < kGraphRowsMin || !CodeAxes::serves(core_.shape)) return false;
    std::uint32_t count = 0;
    const std::vector<float> sample = take_sample(core_.shape, *rows_, count);
    std::shared_ptr<const CodeAxes> axes = CodeAxes::learn(
        core_.shape, graph_kernels_for(core_.runtime->kernels.name), sample, count, stopping_);
    if (axes == nullptr) return false;
    graph_ = std::make_shared<Graph>(std::move(axes));
    start_keeping();
    state_.restored.store(0, std::memory_order_relaxed);
    state_.set_graph(graph_, rows_->row_count());
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

  // Rows that may be linked before a sweep that is on its way has ended.
  [[nodiscard]] std::uint32_t room() const {
    if (!keeping_.repair->busy()) return std::numeric_limits<std::uint32_t>::max();
    const std::uint32_t most = std::max(graph_->live() / kLinkedInSweepShare, kLinkedInSweepMin);
    return most - std::min(most, keeping_.linked_in_sweep);
  }

  bool link() {
    const bool alone = graph_->live() < kAloneNodes || threads_ == 1;
    const std::uint32_t threads = alone ? 1 : threads_;
    const std::uint32_t most = std::min(alone ? kSliceRows : kSliceRowsEach * threads, room());
    if (most == 0) return false;
    std::vector<Due> due;
    const std::uint64_t to = gather(due, most);
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
    keeping_.changed += due.size();
    keeping_.strayed += due.size();
    keeping_.linked_in_sweep += static_cast<std::uint32_t>(due.size());
    // Before anybody is told that these rows are linked: walks must have a way to them.
    keeping_.entries->changed(due.size());
    keeping_.entries->spread_if_due(rows_from(*rows_, to) == 0);
    graph_->watermark.store(to, std::memory_order_release);
    state_.set_tail(rows_from(*core_.snapshot(), to));
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
      keeping_.linked_in_sweep = 0;
      if (repair.busy()) {
        // Entries that are dying were taken away: walks need others at once.
        keeping_.entries->spread();
      }
    }
    return step_repair();
  }

  bool step_repair() {
    Repair& repair = *keeping_.repair;
    const std::uint32_t dying = repair.dying();
    const bool more = repair.step(kRepairNodes);
    if (!repair.busy()) {
      keeping_.changed += dying;
      keeping_.strayed += dying;
      keeping_.entries->changed(dying);
      keeping_.entries->spread_if_due(true);
    }
    return more;
  }

  // When nothing else is to be done, and enough has changed since the last round.
  bool look_for_strays() {
    Strays& strays = *keeping_.strays;
    if (!strays.busy()) {
      const bool idle = ++keeping_.idle_passes >= kStrayIdlePasses;
      if (!may_have_strays(keeping_, *graph_, idle ? kStrayIdleShare : kStrayShare)) return false;
      keeping_.strayed = 0;
      keeping_.stray_rounds = 0;
      // From then on they stay as they are until something changes, and so does what walks find.
      keeping_.entries->spread();
      strays.begin();
    }
    // An edge that one node got may be one that another lost.
    const bool more = strays.step(kStrayNodes);
    if (!more && strays.found() != 0 && ++keeping_.stray_rounds < kStrayRounds) strays.begin();
    return true;
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
  const std::lock_guard lock(core->graphs.keeping_mutex);
  try {
    look_for_copy(*core);
    if (!core->graphs.wanted.load(std::memory_order_relaxed)) return false;
    return Pass(*core, threads, stopping).run();
  } catch (const std::bad_alloc&) {
    // A row may have got in halfway: begin again when there is memory.
    core->graphs.keeping.restoring = nullptr;
    core->graphs.keeping.saving = nullptr;
    core->graphs.keeping.measuring = nullptr;
    core->graphs.set_graph(nullptr, 0);
    core->graphs.set_effort(nullptr);
    return Status(StatusCode::resource_exhausted, "no memory for the graph");
  }
}

bool is_graph_at_rest(CollectionCore& core) {
  const std::lock_guard lock(core.graphs.keeping_mutex);
  const GraphState::Keeping& keeping = core.graphs.keeping;
  const std::shared_ptr<Graph> graph = core.graphs.graph();
  return graph != nullptr && keeping.restoring == nullptr && !keeping.repair->busy() &&
         !keeping.strays->busy() && !may_have_strays(keeping, *graph, kStrayIdleShare) &&
         rows_from(*core.snapshot(), graph->watermark.load(std::memory_order_relaxed)) == 0;
}

void save_graph(CollectionCore& core, const std::function<bool()>& late) {
  const std::lock_guard lock(core.graphs.keeping_mutex);
  try {
    Pass pass(core, 1, late);
    while (!late() && pass.finish()) {
    }
  } catch (const std::bad_alloc&) {
    // What there is of it is given up below.
  }
  core.graphs.keeping.saving = nullptr;
}

}  // namespace vecserve::engine
