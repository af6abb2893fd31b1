// See id_index.h. Each shard is an open-addressing table with linear probing and deletion by moving
// entries back, so that no dead entries pile up. An entry is 16 bytes: the hash, and the slot with
// a bit that tells numbers from byte strings. Always holds: a shard is at most five sixths full, so
// a probe ends, after some twenty entries that lie side by side; it grows by a fifth, so that it is
// never less than two thirds full for long.
#include "engine/id_index.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <random>
#include <utility>

#include "engine/base/check.h"

namespace vecserve::engine {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr unsigned kShardBits = 6;
static_assert(IdIndex::kShards == std::size_t{1} << kShardBits);
constexpr std::size_t kCapacityMin = 16;

struct Entry {
  std::uint64_t hash = 0;
  std::uint64_t tag = 0;  // 0: free; else (slot + 1) * 2 + (number ? 1 : 0)
};

std::uint64_t tag_of(bool is_number, std::uint64_t slot) {
  return (slot + 1) * 2 + (is_number ? 1 : 0);
}

bool is_number_tag(std::uint64_t tag) {
  return (tag & 1) != 0;
}
std::uint64_t slot_of(std::uint64_t tag) {
  return tag / 2 - 1;
}

std::uint64_t process_key() {
  static const std::uint64_t key = [] {
    std::random_device device;
    return (std::uint64_t{device()} << 32) ^ device();
  }();
  return key;
}

// Folding a 128-bit product mixes every input bit into every output bit.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Invertible steps only (xor with a shift of itself, odd multipliers): a bijection.
std::uint64_t mix(std::uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 29;
  x *= 0xa0761d6478bd642full;
  x ^= x >> 32;
  return x;
}

}  // namespace

std::uint64_t hash_id(const IdView& id) {
  const std::uint64_t key = process_key();
  if (id.is_number()) {
    return mix(id.number ^ key);
  }
  std::uint64_t hash = key ^ (0x9e3779b97f4a7c15ull * id.bytes.size());
  const char* at = id.bytes.data();
  std::size_t left = id.bytes.size();
  while (left > 0) {
    std::uint64_t word = 0;
    const std::size_t taken = std::min<std::size_t>(left, 8);
    std::memcpy(&word, at, taken);
    hash = fold(hash ^ word, key | 0x8000000000000001ull) + 0xe7037ed1a0b428dbull;
    at += taken;
    left -= taken;
  }
  return mix(hash);
}

// Entries of one shard in the order of their hashes, as far as collisions let them be, so that all
// move on to a larger table from front to back.
struct IdIndex::Shard {
  mutable std::shared_mutex mutex;
  std::vector<Entry> entries;
  std::size_t used = 0;

  [[nodiscard]] std::size_t capacity() const { return entries.size(); }
  [[nodiscard]] std::size_t after(std::size_t at) const {
    return at + 1 == capacity() ? 0 : at + 1;
  }
  // How far `to` lies behind `from`, around the end.
  [[nodiscard]] std::size_t steps(std::size_t from, std::size_t to) const {
    return to >= from ? to - from : to + capacity() - from;
  }
  // The bits below those that name the shard, as a share of the capacity.
  [[nodiscard]] std::size_t home(std::uint64_t hash) const {
    return static_cast<std::size_t>((Wide{hash << kShardBits} * capacity()) >> 64);
  }

  // A larger table with the same entries, or an empty one when there is room for `extra` more. Only
  // reads, so the one changer may call it beside readers.
  [[nodiscard]] std::vector<Entry> enlarged(std::size_t extra) const {
    std::size_t larger = std::max<std::size_t>(capacity(), kCapacityMin);
    while ((used + extra) * 6 > larger * 5) larger += larger / 5;
    if (larger == capacity()) return {};
    Shard filled;
    filled.entries.resize(larger);
    for (std::size_t at = 0; at < capacity(); ++at) {
      if (entries[at].tag != 0) filled.place(entries[at]);
    }
    return std::move(filled.entries);
  }

  void place(const Entry& placed) {
    std::size_t at = home(placed.hash);
    while (entries[at].tag != 0) at = after(at);
    entries[at] = placed;
  }

  [[nodiscard]] std::size_t locate(std::uint64_t hash, std::uint64_t slot) const {
    std::size_t at = home(hash);
    while (entries[at].hash != hash || (entries[at].tag | 1) != tag_of(true, slot)) {
      VECSERVE_DCHECK(entries[at].tag != 0);
      at = after(at);
    }
    return at;
  }

  void remove(std::size_t hole) {
    for (std::size_t at = after(hole); entries[at].tag != 0; at = after(at)) {
      // An entry may move back into the hole when the hole lies between its home and itself.
      if (steps(home(entries[at].hash), at) >= steps(hole, at)) {
        entries[hole] = entries[at];
        hole = at;
      }
    }
    entries[hole] = Entry{};
    --used;
  }
};

IdIndex::IdIndex() : shards_(std::make_unique<std::array<Shard, kShards>>()) {}
IdIndex::~IdIndex() = default;

std::optional<std::uint64_t> IdIndex::find(const IdView& id, std::uint64_t hash,
                                           const Matches& matches) const {
  const Shard& shard = (*shards_)[shard_of(hash)];
  const std::shared_lock lock(shard.mutex);
  if (shard.capacity() == 0) {
    return std::nullopt;
  }
  for (std::size_t at = shard.home(hash); shard.entries[at].tag != 0; at = shard.after(at)) {
    const Entry& entry = shard.entries[at];
    if (entry.hash == hash && is_number_tag(entry.tag) == id.is_number() &&
        (id.is_number() || matches(slot_of(entry.tag)))) {
      return slot_of(entry.tag);
    }
  }
  return std::nullopt;
}

void IdIndex::reserve(const std::array<std::uint32_t, kShards>& extra) {
  for (std::size_t i = 0; i < kShards; ++i) {
    if (extra[i] == 0) {
      continue;
    }
    Shard& shard = (*shards_)[i];
    // Built beside the readers: moving a large shard takes milliseconds, swapping it in none.
    std::vector<Entry> larger = shard.enlarged(extra[i]);
    if (!larger.empty()) {
      const std::unique_lock lock(shard.mutex);
      std::swap(shard.entries, larger);
    }
  }
}

void IdIndex::insert(bool is_number, std::uint64_t hash, std::uint64_t slot) {
  Shard& shard = (*shards_)[shard_of(hash)];
  const std::unique_lock lock(shard.mutex);
  shard.place({hash, tag_of(is_number, slot)});
  ++shard.used;
}

void IdIndex::move(std::uint64_t hash, std::uint64_t old_slot, std::uint64_t new_slot) {
  Shard& shard = (*shards_)[shard_of(hash)];
  const std::unique_lock lock(shard.mutex);
  Entry& entry = shard.entries[shard.locate(hash, old_slot)];
  entry.tag = tag_of(is_number_tag(entry.tag), new_slot);
}

void IdIndex::erase(std::uint64_t hash, std::uint64_t slot) {
  Shard& shard = (*shards_)[shard_of(hash)];
  const std::unique_lock lock(shard.mutex);
  shard.remove(shard.locate(hash, slot));
}

void IdIndex::insert_loaded(std::span<const Loaded> ids, std::vector<Clash>& clashes) {
  if (ids.empty()) {
    return;
  }
  Shard& shard = (*shards_)[shard_of(ids.front().hash)];
  const std::unique_lock lock(shard.mutex);
  if (std::vector<Entry> larger = shard.enlarged(ids.size()); !larger.empty()) {
    shard.entries = std::move(larger);
  }
  for (const Loaded& id : ids) {
    std::size_t at = shard.home(id.hash);
    const auto taken_by_another = [&](const Entry& entry) {
      return entry.tag != 0 && !(entry.hash == id.hash && is_number_tag(entry.tag) == id.is_number);
    };
    while (taken_by_another(shard.entries[at])) at = shard.after(at);
    if (shard.entries[at].tag != 0) {
      clashes.push_back({id.hash, slot_of(shard.entries[at].tag), id.slot});
    } else {
      shard.entries[at] = {id.hash, tag_of(id.is_number, id.slot)};
      ++shard.used;
    }
  }
}

std::size_t IdIndex::memory_bytes() const {
  std::size_t bytes = sizeof(*shards_);
  for (const Shard& shard : *shards_) {
    const std::shared_lock lock(shard.mutex);
    bytes += shard.entries.size() * sizeof(Entry);
  }
  return bytes;
}

}  // namespace vecserve::engine
