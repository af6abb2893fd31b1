// Checks engine/id_index against a std::map: random changes, equal hashes, growth, and readers
// beside a changer. Always holds: the test keeps every id's bytes, so `matches` can compare them.
// The test thread is the one changer; readers, where there are any, are threads of the case.
#include "engine/id_index.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <utility>

#include "tests/support/dice.h"
#include "tests/support/failing_new.h"
#include "vecserve/types.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using vecserve::test::Dice;

// The index, the truth, and the hash that each id is given.
class Model {
 public:
  explicit Model(std::uint64_t hash_mask) : hash_mask_(hash_mask) {}

  [[nodiscard]] std::uint64_t hash(const RowId& id) const {
    const std::uint64_t full = hash_id(IdView(id));
    return id.is_number() ? full : full & hash_mask_;
  }

  [[nodiscard]] std::optional<std::uint64_t> find(const RowId& id) const {
    const IdView view(id);
    return index.find(view, hash(id), [&](std::uint64_t slot) {
      const auto at = slots.find(slot);
      return at != slots.end() && at->second == id;
    });
  }

  void insert(const RowId& id, std::uint64_t slot) {
    std::array<std::uint32_t, IdIndex::kShards> extra{};
    extra[IdIndex::shard_of(hash(id))] = 1;
    index.reserve(extra);
    index.insert(id.is_number(), hash(id), slot);
    ids[id] = slot;
    slots.emplace(slot, id);
  }
  void move(const RowId& id, std::uint64_t slot) {
    index.move(hash(id), ids[id], slot);
    slots.erase(ids[id]);
    ids[id] = slot;
    slots.emplace(slot, id);
  }
  void erase(const RowId& id) {
    index.erase(hash(id), ids[id]);
    slots.erase(ids[id]);
    ids.erase(id);
  }

  IdIndex index;
  std::map<RowId, std::uint64_t> ids;
  std::map<std::uint64_t, RowId> slots;

 private:
  std::uint64_t hash_mask_;
};

RowId draw_id(Dice& dice) {
  const std::uint64_t n = dice.below(700);
  return dice.percent(50) ? RowId(n) : RowId("id" + std::to_string(n));
}

// `hash_mask` makes byte-string ids collide: with 3 there are four hashes for all of them.
void run_model(std::uint64_t hash_mask, int steps) {
  const std::uint64_t seed = 20260 + hash_mask;
  CAPTURE(seed);
  Dice dice(seed);
  Model model(hash_mask);
  std::uint64_t next_slot = 0;
  for (int step = 0; step < steps; ++step) {
    const RowId id = draw_id(dice);
    const bool there = model.ids.count(id) != 0;
    if (!there) {
      model.insert(id, next_slot++);
    } else if (dice.percent(50)) {
      model.move(id, next_slot++);
    } else {
      model.erase(id);
    }
    const RowId other = draw_id(dice);
    const auto expected = model.ids.find(other);
    const auto found = model.find(other);
    REQUIRE(found.has_value() == (expected != model.ids.end()));
    if (found.has_value()) REQUIRE(*found == expected->second);
  }
  for (const auto& [id, slot] : model.ids) REQUIRE(model.find(id) == slot);
  while (!model.ids.empty()) model.erase(RowId(model.ids.begin()->first));
  for (int n = 0; n < 700; ++n) {
    REQUIRE(model.find(RowId(n)) == std::nullopt);
    REQUIRE(model.find(RowId("id" + std::to_string(n))) == std::nullopt);
  }
}

TEST_CASE("id index: agrees with a map over random changes", "[engine]") {
  run_model(~std::uint64_t{0}, 20'000);
}

TEST_CASE("id index: byte strings with equal hashes are told apart", "[engine]") {
  run_model(3, 4'000);
  run_model(0, 1'500);
}

TEST_CASE("id index: a number and a string of the same hash and digits are two ids", "[engine]") {
  IdIndex index;
  std::array<std::uint32_t, IdIndex::kShards> extra{};
  const std::uint64_t hash = 77;
  extra[IdIndex::shard_of(hash)] = 2;
  index.reserve(extra);
  index.insert(true, hash, 10);
  index.insert(false, hash, 20);
  const auto never = [](std::uint64_t) { return false; };
  const auto always = [](std::uint64_t) { return true; };
  CHECK(index.find(IdView(std::uint64_t{1}), hash, never) == 10);
  CHECK(index.find(IdView(std::string_view("1")), hash, always) == 20);
  CHECK(index.find(IdView(std::string_view("1")), hash, never) == std::nullopt);
  index.erase(hash, 10);
  CHECK(index.find(IdView(std::uint64_t{1}), hash, never) == std::nullopt);
  CHECK(index.find(IdView(std::string_view("1")), hash, always) == 20);
}

// The slot that was there already, if one was.
std::optional<std::uint64_t> load_one(IdIndex& index, bool is_number, std::uint64_t hash,
                                      std::uint64_t slot) {
  std::vector<IdIndex::Clash> clashes;
  const IdIndex::Loaded id{hash, slot, is_number};
  index.insert_loaded(std::span(&id, 1), clashes);
  if (clashes.empty()) return std::nullopt;
  CHECK(clashes.size() == 1);
  CHECK(clashes[0].hash == hash);
  CHECK(clashes[0].other == slot);
  return clashes[0].indexed;
}

TEST_CASE("id index: a load learns of an entry that is there already", "[engine]") {
  IdIndex index;
  CHECK(load_one(index, true, 5, 100) == std::nullopt);
  CHECK(load_one(index, true, 5, 200) == 100);
  CHECK(load_one(index, false, 5, 300) == std::nullopt);
  CHECK(load_one(index, false, 5, 400) == 300);
  const auto always = [](std::uint64_t) { return true; };
  CHECK(index.find(IdView(std::uint64_t{9}), 5, always) == 100);
}

TEST_CASE("id index: a load of many finds clashes within them and with what is there", "[engine]") {
  IdIndex index;
  std::vector<IdIndex::Clash> clashes;
  index.insert_loaded({}, clashes);
  std::vector<IdIndex::Loaded> ids;
  for (std::uint64_t n = 0; n < 3'000; ++n) ids.push_back({n, n, true});
  ids.push_back({7, 9'000, true});
  index.insert_loaded(ids, clashes);
  REQUIRE(clashes.size() == 1);
  CHECK(clashes[0].indexed == 7);
  CHECK(clashes[0].other == 9'000);
  index.insert_loaded(std::span(ids).first(2), clashes);
  CHECK(clashes.size() == 3);
  const auto always = [](std::uint64_t) { return true; };
  for (std::uint64_t n = 0; n < 3'000; ++n) {
    REQUIRE(index.find(IdView(n), n, always) == n);
  }
}

TEST_CASE("id index: slot zero and the largest slot are kept apart from free entries", "[engine]") {
  IdIndex index;
  const std::uint64_t largest = (std::uint64_t{1} << 48) - 1;
  CHECK(load_one(index, true, 1, 0) == std::nullopt);
  CHECK(load_one(index, true, 2, largest) == std::nullopt);
  const auto always = [](std::uint64_t) { return true; };
  CHECK(index.find(IdView(std::uint64_t{0}), 1, always) == 0);
  CHECK(index.find(IdView(std::uint64_t{0}), 2, always) == largest);
}

TEST_CASE("id index: hashes of numbers never collide and ids of all lengths spread", "[engine]") {
  std::set<std::uint64_t> hashes;
  std::set<std::size_t> shards;
  for (std::uint64_t n = 0; n < 50'000; ++n) {
    hashes.insert(hash_id(IdView(n << 32 | n)));
  }
  CHECK(hashes.size() == 50'000);
  hashes.clear();
  for (std::size_t length = 1; length <= 255; ++length) {
    const std::string id(length, '\0');
    const std::uint64_t hash = hash_id(IdView(std::string_view(id)));
    hashes.insert(hash);
    shards.insert(IdIndex::shard_of(hash));
  }
  CHECK(hashes.size() == 255);
  CHECK(shards.size() > 40);  // 255 balls into 64 bins leave about one bin empty
}

TEST_CASE("id index: room that cannot be had leaves every entry findable", "[engine]") {
  Model model(~std::uint64_t{0});
  for (std::uint64_t n = 0; n < 2'000; ++n) model.insert(RowId(n), n);
  std::array<std::uint32_t, IdIndex::kShards> extra{};
  extra.fill(1'000);
  bool failed = false;
  test::fail_allocation(5);
  try {
    model.index.reserve(extra);
  } catch (const std::bad_alloc&) {
    failed = true;
  }
  test::fail_allocation(-1);
  CHECK(failed);
  for (const auto& [id, slot] : model.ids) REQUIRE(model.find(id) == slot);
  const std::size_t before = model.index.memory_bytes();
  model.index.reserve(extra);
  CHECK(model.index.memory_bytes() > before);
  for (const auto& [id, slot] : model.ids) REQUIRE(model.find(id) == slot);
}

TEST_CASE("id index: readers find what stays while a changer moves and grows", "[engine]") {
  IdIndex index;
  const auto always = [](std::uint64_t) { return true; };
  constexpr std::uint64_t kStay = 500;
  for (std::uint64_t n = 0; n < kStay; ++n) {
    REQUIRE(load_one(index, true, hash_id(IdView(n)), n) == std::nullopt);
  }
  std::atomic<bool> done{false};
  std::atomic<int> lost{0};
  std::vector<std::thread> readers;
  for (int t = 0; t < 2; ++t) {
    readers.emplace_back([&] {
      do {
        for (std::uint64_t n = 0; n < kStay; ++n) {
          const IdView id(n);
          const auto slot = index.find(id, hash_id(id), always);
          if (!slot.has_value() || *slot % 1'000'000 != n) ++lost;
        }
      } while (!done);
    });
  }
  for (std::uint64_t round = 1; round <= 10; ++round) {
    for (std::uint64_t n = 0; n < kStay; ++n) {
      const std::uint64_t hash = hash_id(IdView(n));
      index.move(hash, (round - 1) * 1'000'000 + n, round * 1'000'000 + n);
    }
    std::array<std::uint32_t, IdIndex::kShards> extra{};
    extra.fill(static_cast<std::uint32_t>(round * 200));
    index.reserve(extra);
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  CHECK(lost == 0);
}

}  // namespace
