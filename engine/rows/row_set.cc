// Snapshots and how the next one is made from the last. Comes after a batch became durable; the
// committing thread edits, the collection publishes what finish() returns, any thread reads it.
// Always holds: until finish() everything the editor changed is its own (fresh views, fresh live
// bits) or invisible (rows past the published count); finish() allocates nothing.
#include "engine/rows/row_set.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace vecserve::engine {
namespace {

using Views = std::vector<std::shared_ptr<const BlockView>>;

// The block of `views` that would hold the slot, and its position there; dead rows too.
std::optional<RowRef> locate(const Views& views, std::uint64_t slot) {
  const auto after =
      std::upper_bound(views.begin(), views.end(), slot,
                       [](std::uint64_t wanted, const std::shared_ptr<const BlockView>& view) {
                         return view->count == 0 || wanted < view->block->slot(0);
                       });
  if (after == views.begin()) return std::nullopt;
  const BlockView& view = **std::prev(after);
  const RowBlock& block = *view.block;
  // Slots rise by at least one per position, so the row cannot stand beyond slot - first.
  const std::uint64_t offset = slot - block.slot(0);
  std::uint32_t low = 0;
  std::uint32_t high = view.count - 1;
  if (offset < high) high = static_cast<std::uint32_t>(offset);
  if (block.slot(high) != slot) {
    while (low < high) {
      const std::uint32_t middle = low + (high - low) / 2;
      if (block.slot(middle) < slot) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (block.slot(high) != slot) return std::nullopt;
  }
  return RowRef{static_cast<std::uint32_t>(after - views.begin() - 1), high};
}

std::optional<RowRef> locate_live(const Views& views, std::uint64_t slot) {
  const std::optional<RowRef> ref = locate(views, slot);
  if (!ref || !views[ref->block]->live->test(ref->position)) return std::nullopt;
  return ref;
}

// Live bits with the first `count` set.
std::shared_ptr<LiveBits> all_live(const RowBlock& block, std::uint32_t count) {
  auto live = std::make_shared<LiveBits>();
  live->words.resize(block.shape().capacity / 64);
  std::fill_n(live->words.begin(), count / 64, ~std::uint64_t{0});
  if (count % 64 != 0) live->words[count / 64] = (std::uint64_t{1} << (count % 64)) - 1;
  live->live = count;
  return live;
}

}  // namespace

std::optional<RowRef> RowSet::find(std::uint64_t slot) const {
  return locate_live(views_, slot);
}

struct RowSetEditor::Edit {
  // The editor's own copies of a view, null while the view is still shared with the base.
  struct Own {
    BlockView* view = nullptr;
    LiveBits* live = nullptr;
  };
  // A block that rows were appended to, and how many it had before.
  struct Appended {
    std::shared_ptr<RowBlock> block;
    std::uint32_t size_before = 0;
  };

  std::shared_ptr<RowSet> next;
  std::vector<Own> own;  // beside next->views_
  std::vector<Appended> appended;

  Own& own_view(std::size_t index) {
    Own& mine = own[index];
    if (mine.view == nullptr) {
      auto view = std::make_shared<BlockView>(*next->views_[index]);
      auto live = std::make_shared<LiveBits>(*view->live);
      mine = {view.get(), live.get()};
      view->live = std::move(live);
      next->views_[index] = std::move(view);
    }
    return mine;
  }
  void remember(const std::shared_ptr<RowBlock>& block) {
    if (appended.empty() || appended.back().block != block) {
      appended.push_back({block, block->size()});
    }
  }
};

RowSetEditor::RowSetEditor(const std::shared_ptr<const RowSet>& base)
    : edit_(std::make_unique<Edit>()) {
  edit_->next = base != nullptr ? std::make_shared<RowSet>(*base) : std::make_shared<RowSet>();
  edit_->own.resize(edit_->next->views_.size());
}

RowSetEditor::~RowSetEditor() {
  if (edit_ == nullptr) return;
  for (const Edit::Appended& entry : edit_->appended) entry.block->truncate(entry.size_before);
}

RowBlock* RowSetEditor::open_block(std::uint64_t slot) {
  const auto& views = edit_->next->views_;
  if (views.empty() || !views.back()->block->accepts(slot)) return nullptr;
  return views.back()->block.get();
}

void RowSetEditor::add_block(std::shared_ptr<RowBlock> block) {
  RowSet& next = *edit_->next;
  // Only the last view may be without rows, or slots could not be found by bisection.
  if (!next.views_.empty() && next.views_.back()->count == 0) {
    next.views_.pop_back();
    edit_->own.pop_back();
  }
  const std::uint32_t rows = block->size();
  auto live = all_live(*block, rows);
  auto view = std::make_shared<BlockView>();
  const Edit::Own mine{view.get(), live.get()};
  *view = {std::move(block), std::move(live), rows, nullptr};
  edit_->own.reserve(next.views_.size() + 1);
  next.views_.push_back(std::move(view));
  edit_->own.push_back(mine);
  next.live_ += rows;
  next.rows_ += rows;
}

std::uint32_t RowSetEditor::append(std::uint64_t slot, const IdView& id, const std::byte* vector,
                                   std::uint64_t expires_at_ms) {
  RowSet& next = *edit_->next;
  const Edit::Own& mine = edit_->own_view(next.views_.size() - 1);
  edit_->remember(mine.view->block);
  const std::uint32_t position = mine.view->block->append(slot, id, vector, expires_at_ms);
  VECSERVE_DCHECK(position == mine.view->count);
  mine.live->words[position / 64] |= std::uint64_t{1} << (position % 64);
  ++mine.live->live;
  ++mine.view->count;
  ++next.live_;
  ++next.rows_;
  return position;
}

bool RowSetEditor::kill(std::uint64_t slot) {
  const std::optional<RowRef> ref = find(slot);
  if (!ref) return false;
  const Edit::Own& mine = edit_->own_view(ref->block);
  mine.live->words[ref->position / 64] &= ~(std::uint64_t{1} << (ref->position % 64));
  --mine.live->live;
  --edit_->next->live_;
  return true;
}

std::optional<RowRef> RowSetEditor::find(std::uint64_t slot) const {
  return locate_live(edit_->next->views_, slot);
}

const BlockView& RowSetEditor::view(std::size_t block) const {
  return *edit_->next->views_[block];
}

bool RowSetEditor::replace(std::span<const std::shared_ptr<RowBlock>> old_blocks,
                           std::span<const std::shared_ptr<RowBlock>> fresh) {
  Views& views = edit_->next->views_;
  if (old_blocks.empty()) return false;
  const auto begin = std::find_if(views.begin(), views.end(), [&](const auto& view) {
    return view->block == old_blocks.front();
  });
  const auto from = static_cast<std::size_t>(begin - views.begin());
  // Strictly less: the last block is the open one.
  if (old_blocks.size() >= views.size() - from) return false;
  for (std::size_t i = 0; i < old_blocks.size(); ++i) {
    if (views[from + i]->block != old_blocks[i]) return false;
  }

  // Everything that may throw goes into these, before anything is changed.
  Views new_views;
  std::vector<Edit::Own> new_own;
  std::uint64_t live = 0;
  std::uint64_t rows = 0;
  for (const std::shared_ptr<RowBlock>& block : fresh) {
    const std::uint32_t count = block->size();
    if (count == 0) continue;
    auto bits = all_live(*block, count);
    for (std::uint32_t position = 0; position < count; ++position) {
      if (!find(block->slot(position))) {
        bits->words[position / 64] &= ~(std::uint64_t{1} << (position % 64));
        --bits->live;
      }
    }
    live += bits->live;
    rows += count;
    auto view = std::make_shared<BlockView>();
    new_own.push_back({view.get(), bits.get()});
    *view = {block, std::move(bits), count, nullptr};
    new_views.push_back(std::move(view));
  }
  views.reserve(views.size() + new_views.size());
  edit_->own.reserve(edit_->own.size() + new_own.size());

  const auto at = static_cast<std::ptrdiff_t>(from);
  const auto end = at + static_cast<std::ptrdiff_t>(old_blocks.size());
  for (std::ptrdiff_t i = at; i < end; ++i) {
    edit_->next->live_ -= views[static_cast<std::size_t>(i)]->live->live;
    edit_->next->rows_ -= views[static_cast<std::size_t>(i)]->count;
  }
  edit_->next->live_ += live;
  edit_->next->rows_ += rows;
  views.erase(views.begin() + at, views.begin() + end);
  views.insert(views.begin() + at, std::make_move_iterator(new_views.begin()),
               std::make_move_iterator(new_views.end()));
  edit_->own.erase(edit_->own.begin() + at, edit_->own.begin() + end);
  edit_->own.insert(edit_->own.begin() + at, new_own.begin(), new_own.end());
  return true;
}

bool RowSetEditor::set_sketch(const RowBlock& block, std::shared_ptr<const SketchPlane> sketch) {
  Views& views = edit_->next->views_;
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (views[i]->block.get() != &block) continue;
    edit_->own_view(i).view->sketch = std::move(sketch);
    return true;
  }
  return false;
}

std::shared_ptr<const RowSet> RowSetEditor::finish(std::uint64_t sequence) {
  RowSet& next = *edit_->next;
  // A block without rows has no first slot to be found by, and nothing to say.
  if (!next.views_.empty() && next.views_.back()->count == 0) next.views_.pop_back();
  next.sequence_ = sequence;
  std::shared_ptr<const RowSet> made = std::move(edit_->next);
  edit_.reset();
  return made;
}

}  // namespace vecserve::engine
