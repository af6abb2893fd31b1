// Where each live row is: id -> slot, in memory. The committing thread changes it after a write is
// durable and visible; readers look rows up by id at any time. Comes beside the row sets: a slot
// found here is then sought in a RowSet, which says whether the row is alive. Threads: one changer
// at a time (the committing thread, or the parts of a load, which own disjoint ids); any number of
// readers. Each of the shards has its own lock, held for one probe. Always holds: an id has at most
// one entry; an entry names the newest slot of its id.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <span>
#include <vector>

#include "engine/rows/row_block.h"

namespace vecserve::engine {

// A hash of an id under a key that differs from process to process, so that nobody can choose ids
// that collide. For a number it is a bijection: equal hashes mean equal numbers.
[[nodiscard]] std::uint64_t hash_id(const IdView& id);

class IdIndex {
 public:
  static constexpr std::size_t kShards = 64;

  // Tells whether the row in `slot` has this id; asked only for byte-string ids whose hashes agree.
  // A slot that it cannot find counts as "no".
  using Matches = std::function<bool(std::uint64_t slot)>;

  IdIndex();
  ~IdIndex();

  [[nodiscard]] std::optional<std::uint64_t> find(const IdView& id, std::uint64_t hash,
                                                  const Matches& matches) const;

  // Makes sure that the next `extra[s]` inserts into each shard s cannot fail. Throws
  // std::bad_alloc.
  void reserve(const std::array<std::uint32_t, kShards>& extra);
  [[nodiscard]] static std::size_t shard_of(std::uint64_t hash) { return hash >> 58; }

  // After reserve() these never fail. `slot` identifies the entry among equal hashes.
  void insert(bool is_number, std::uint64_t hash, std::uint64_t slot);
  void move(std::uint64_t hash, std::uint64_t old_slot, std::uint64_t new_slot);
  void erase(std::uint64_t hash, std::uint64_t slot);

  // For a load, which may meet the same id twice in a damaged store, and which brings many rows at
  // once: all `ids` belong to one shard, whose lock is taken once. An id whose kind and hash are
  // there already is not inserted but reported. Grows as needed: throws std::bad_alloc.
  struct Loaded {
    std::uint64_t hash = 0;
    std::uint64_t slot = 0;
    bool is_number = false;
  };
  struct Clash {
    std::uint64_t hash = 0;
    std::uint64_t indexed = 0;  // the slot that is there
    std::uint64_t other = 0;    // the one that was not inserted
  };
  void insert_loaded(std::span<const Loaded> ids, std::vector<Clash>& clashes);

  [[nodiscard]] std::size_t memory_bytes() const;

 private:
  struct Shard;
  std::unique_ptr<std::array<Shard, kShards>> shards_;
};

}  // namespace vecserve::engine
