// Checks engine/rows/row_set: snapshots stay as they were, edits, finding, replacing blocks, and an
// allocation that fails at every possible place. One case has a reader and a writer at once (TSan).
// Always holds: a model, a plain map from slot to value, says what a set must hold.
#include "engine/rows/row_set.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <mutex>
#include <new>
#include <random>
#include <thread>

#include "tests/support/failing_new.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

using Set = std::shared_ptr<const RowSet>;
using Model = std::map<std::uint64_t, std::uint64_t>;  // slot to id

// Blocks of 64 rows.
RowShape small_shape() {
  return RowShape::make(Metric::l2, ScalarType::u8, 65'536);
}

void append_row(RowSetEditor& editor, std::uint64_t slot, std::uint64_t id) {
  static const std::vector<std::byte> vector(65'536, std::byte{1});
  if (editor.open_block(slot) == nullptr) {
    editor.add_block(std::make_shared<RowBlock>(small_shape()));
  }
  static_cast<void>(editor.append(slot, IdView(id), vector.data(), 0));
}

Set with_rows(const Set& base, std::uint64_t from, std::uint64_t to) {
  RowSetEditor editor(base);
  for (std::uint64_t slot = from; slot < to; ++slot) append_row(editor, slot, slot);
  return editor.finish(to);
}

void check_equals(const RowSet& set, const Model& model) {
  CHECK(set.live_count() == model.size());
  Model found;
  std::uint64_t rows = 0;
  for (std::size_t b = 0; b < set.block_count(); ++b) {
    const BlockView& view = set.view(b);
    rows += view.count;
    std::uint32_t live = 0;
    for (std::uint32_t p = 0; p < view.block->shape().capacity; ++p) {
      if (!view.live->test(p)) continue;
      REQUIRE(p < view.count);
      ++live;
      found[view.block->slot(p)] = view.block->id(p).number;
    }
    CHECK(live == view.live->live);
  }
  CHECK(rows == set.row_count());
  CHECK(found == model);
}

TEST_CASE("row set: an old snapshot never changes", "[rows]") {
  const Set empty = std::make_shared<const RowSet>();
  const Set first = with_rows(empty, 0, 100);
  const Set second = with_rows(first, 100, 130);
  RowSetEditor editor(second);
  CHECK(editor.kill(5));
  CHECK(editor.kill(120));
  CHECK_FALSE(editor.kill(5));
  CHECK_FALSE(editor.kill(999));
  append_row(editor, 200, 200);
  CHECK(editor.kill(200));
  append_row(editor, 201, 201);
  CHECK(editor.find(201).has_value());
  const Set third = editor.finish(7);
  CHECK(third->sequence() == 7);
  CHECK(third->live_count() == 129);
  CHECK(third->row_count() == 132);

  Model model;
  check_equals(*empty, model);
  for (std::uint64_t slot = 0; slot < 100; ++slot) model[slot] = slot;
  check_equals(*first, model);
  CHECK_FALSE(first->find(100).has_value());
  for (std::uint64_t slot = 100; slot < 130; ++slot) model[slot] = slot;
  check_equals(*second, model);
  CHECK(second->find(5).has_value());
  model.erase(5);
  model.erase(120);
  model[201] = 201;
  check_equals(*third, model);
}

TEST_CASE("row set: blocks that do not change are shared", "[rows]") {
  const Set first = with_rows(nullptr, 0, 200);
  RowSetEditor editor(first);
  CHECK(editor.kill(70));
  const Set second = editor.finish(1);
  REQUIRE(second->block_count() == 4);
  CHECK(&first->view(0) == &second->view(0));
  CHECK(&first->view(1) != &second->view(1));
  CHECK(first->view(1).block == second->view(1).block);
  CHECK(&first->view(3) == &second->view(3));
}

TEST_CASE("row set: find with gaps between slots", "[rows]") {
  RowSetEditor editor(nullptr);
  std::vector<std::uint64_t> slots;
  std::mt19937_64 random(3);
  std::uint64_t slot = 5;
  for (int i = 0; i < 500; ++i) {
    slots.push_back(slot);
    append_row(editor, slot, slot);
    slot += 1 + random() % 5;
    if (i % 100 == 99) slot += std::uint64_t{1} << 33;
  }
  const Set set = editor.finish(1);
  for (const std::uint64_t wanted : slots) {
    const auto ref = set->find(wanted);
    REQUIRE(ref.has_value());
    CHECK(set->view(ref->block).block->slot(ref->position) == wanted);
  }
  std::size_t next = 0;
  for (std::uint64_t probe = 0; probe < slots[99]; ++probe) {
    if (probe == slots[next]) {
      ++next;
    } else {
      CHECK_FALSE(set->find(probe).has_value());
    }
  }
  CHECK_FALSE(set->find(slot).has_value());
}

TEST_CASE("row set: an editor that is dropped takes its rows back", "[rows]") {
  const Set base = with_rows(nullptr, 0, 70);
  {
    RowSetEditor editor(base);
    for (std::uint64_t slot = 70; slot < 140; ++slot) append_row(editor, slot, slot);
    CHECK(editor.kill(3));
    CHECK(base->view(1).block->size() == 64);
  }
  CHECK(base->view(1).block->size() == 6);
  const Set next = with_rows(base, 500, 502);
  CHECK(next->find(500).has_value());
  CHECK_FALSE(next->find(70).has_value());
  CHECK(next->find(3).has_value());
}

TEST_CASE("row set: rewritten blocks take the place of the old ones", "[rows]") {
  const Set before = with_rows(nullptr, 0, 300);  // blocks of 64: 0..63, 64..127, ...
  RowSetEditor thin(before);
  for (std::uint64_t slot = 0; slot < 192; ++slot) {
    if (slot % 4 != 0) CHECK(thin.kill(slot));
  }
  const Set sparse = thin.finish(1);

  const std::vector<std::byte> vector(65'536, std::byte{2});
  const auto fresh = std::make_shared<RowBlock>(small_shape());
  for (std::uint64_t slot = 0; slot < 192; slot += 4) {
    static_cast<void>(fresh->append(slot, IdView(slot), vector.data(), 0));
  }
  RowSetEditor more(sparse);  // meanwhile
  CHECK(more.kill(8));
  append_row(more, 300, 300);
  const Set meanwhile = more.finish(2);

  const std::vector<std::shared_ptr<RowBlock>> old_blocks = {
      sparse->view(0).block, sparse->view(1).block, sparse->view(2).block};
  RowSetEditor editor(meanwhile);
  CHECK(editor.kill(12));
  REQUIRE(editor.replace(old_blocks, {&fresh, 1}));
  CHECK(editor.kill(16));
  CHECK_FALSE(editor.replace(old_blocks, {&fresh, 1}));
  const Set after = editor.finish(3);
  CHECK(after->block_count() == 3);
  Model model;
  for (std::uint64_t slot = 0; slot < 301; ++slot) {
    if (slot >= 192 || slot % 4 == 0) model[slot] = slot;
  }
  for (const std::uint64_t gone : {8u, 12u, 16u}) model.erase(gone);
  check_equals(*after, model);
  for (const auto& [slot, id] : model) CHECK(after->find(slot).has_value());
  CHECK_FALSE(after->find(8).has_value());

  SECTION("never the open block") {
    RowSetEditor other(after);
    const auto open = after->view(2).block;
    CHECK_FALSE(other.replace({&open, 1}, {}));
  }
  SECTION("blocks without a live row just go") {
    RowSetEditor other(after);
    for (const auto& [slot, id] : model) {
      if (slot < 192) CHECK(other.kill(slot));
    }
    const auto first = after->view(0).block;
    REQUIRE(other.replace({&first, 1}, {}));
    const Set rest = other.finish(4);
    CHECK(rest->block_count() == 2);
    CHECK(rest->live_count() == 109);
    CHECK(rest->row_count() == 109);
  }
}

TEST_CASE("row set: an allocation that fails anywhere leaves everything as it was", "[rows]") {
  const Set base = with_rows(nullptr, 0, 70);
  Model model;
  for (std::uint64_t slot = 0; slot < 70; ++slot) model[slot] = slot;
  const auto fresh = std::make_shared<RowBlock>(small_shape());
  const std::vector<std::byte> vector(65'536, std::byte{2});
  static_cast<void>(fresh->append(20, IdView(std::uint64_t{20}), vector.data(), 0));
  const auto old_block = base->view(0).block;
  const std::string long_id(200, 'x');

  const auto edit = [&]() -> Set {
    RowSetEditor editor(base);
    editor.kill(20);
    editor.kill(69);
    for (std::uint64_t slot = 70; slot < 140; ++slot) {
      if (editor.open_block(slot) == nullptr) {
        editor.add_block(std::make_shared<RowBlock>(small_shape()));
      }
      static_cast<void>(
          editor.append(slot, IdView(std::string_view(long_id)), vector.data(), slot));
    }
    editor.replace({&old_block, 1}, {&fresh, 1});
    return editor.finish(9);
  };
  int failures = 0;
  for (long n = 0;; ++n) {
    test::fail_allocation(n);
    Set made;
    try {
      made = edit();
    } catch (const std::bad_alloc&) {
    }
    const bool all_done = test::allocation_failure_pending();
    test::fail_allocation(-1);
    if (all_done) {
      REQUIRE(made != nullptr);
      CHECK(made->live_count() == 75);
      break;
    }
    ++failures;
    REQUIRE(made == nullptr);
    REQUIRE(base->view(1).block->size() == 6);
    check_equals(*base, model);
  }
  CHECK(failures > 10);
}

// std::atomic<std::shared_ptr> of libstdc++ 12 is itself a race to TSan (its load unlocks relaxed).
class Published {
 public:
  [[nodiscard]] Set load() {
    const std::lock_guard lock(mutex_);
    return set_;
  }
  void store(Set set) {
    const std::lock_guard lock(mutex_);
    set_ = std::move(set);
  }

 private:
  std::mutex mutex_;
  Set set_ = std::make_shared<const RowSet>();
};

TEST_CASE("row set: readers go on while a writer appends to the block they read", "[rows]") {
  const RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 4);
  Published published;
  std::atomic<bool> wrong{false};
  constexpr std::uint64_t kRows = 20'000;
  std::thread reader([&] {
    std::uint64_t seen = 0;
    while (seen < kRows) {
      const Set set = published.load();
      if (set->row_count() < seen) wrong = true;
      seen = set->row_count();
      if (seen == 0) continue;
      const BlockView& view = set->view(set->block_count() - 1);
      const std::uint32_t last = view.count - 1;
      float x;
      std::memcpy(&x, view.block->vector(last), sizeof(x));
      const std::uint64_t slot = view.block->slot(last);
      if (x != static_cast<float>(slot) || !view.live->test(last)) wrong = true;
      if (view.block->expires_at_ms(last) != (slot % 3 == 0 ? slot + 1 : 0)) wrong = true;
      if (view.block->id(last).bytes != std::to_string(slot)) wrong = true;
    }
  });
  for (std::uint64_t slot = 0; slot < kRows;) {
    RowSetEditor editor(published.load());
    for (int i = 0; i < 10 && slot < kRows; ++i, ++slot) {
      const auto value = static_cast<float>(slot);
      const float x[4] = {value, value, value, value};
      if (editor.open_block(slot) == nullptr) editor.add_block(std::make_shared<RowBlock>(shape));
      static_cast<void>(editor.append(slot, IdView(std::string_view(std::to_string(slot))),
                                      reinterpret_cast<const std::byte*>(x),
                                      slot % 3 == 0 ? slot + 1 : 0));
    }
    published.store(editor.finish(slot));
  }
  reader.join();
  CHECK_FALSE(wrong.load());
}

}  // namespace
