// Every setting of the public API, each with its meaning, unit, default and when to change it.
// Option structs are plain values: fill in what you need, leave the rest. They are copied when a
// call takes them and never change afterwards. Each has validate(), which names the wrong field;
// the calls that take the struct run it for you.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vecserve/export.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve {

// What an acknowledged write survives. Every reply to a write says which of the two applied.
enum class Durability : std::uint8_t {
  sync = 0,     // a power loss: the write was fsynced; concurrent writes share one fsync
  process = 1,  // a crash of the process; a power loss may take the most recent writes, never a
                // middle part
};

[[nodiscard]] VECSERVE_API std::string_view to_string(Durability durability);

// Which views of the vectors are kept in memory beside the full ones. They change what a search
// costs, never what it answers.
enum class Planes : std::uint8_t {
  automatic = 0,  // what pays for each collection: the coarse plane where it is at most two thirds
                  // of the full one and the metric has a bound (l2, dot, cosine); a sketch of 16 to
                  // 64 bytes a row where there are enough rows and it turns most of them away
  full = 1,       // nothing but the vectors: least memory
  coarse = 2,     // eight bits a coordinate wherever the metric has a bound
  sketch = 3,     // that, and a sketch wherever it is possible, whether it pays or not
};

[[nodiscard]] VECSERVE_API std::string_view to_string(Planes planes);
[[nodiscard]] VECSERVE_API std::optional<Planes> parse_planes(std::string_view text);

struct VECSERVE_API DatabaseOptions {
  // -- Behaviour --------------------------------------------------------------------------------

  // Make the folder and an empty database when there is none. Off: not_found instead.
  bool create_if_missing = true;

  // The least that every write of this database survives. A single write can ask for more, never
  // for less. `process` is for data that can be loaded again.
  Durability durability = Durability::sync;

  // Keep nothing on disk: the path is ignored and everything is gone at close.
  bool in_memory = false;

  // Remove rows whose time to live has passed this often, in milliseconds. They are invisible at
  // once when it passes; this only bounds how long their memory stays. 0: never.
  std::uint32_t expire_every_ms = 1'000;

  // -- Performance ------------------------------------------------------------------------------

  // Threads that searches share, the caller's own included. 0: one per core.
  std::uint32_t threads = 0;

  // Rewrite a full block of rows in memory when less than this share of it is alive, between 0
  // (never) and 0.95. Higher gives memory back sooner and copies more.
  double rewrite_below_live_share = 0.5;

  // See Planes. With the coarse plane, f32 rows take about a quarter more memory.
  Planes planes = Planes::automatic;

  // Force a table of scan kernels by name ("generic", "avx2", ...); "": the best that the machine
  // has, or what the environment variable VECSERVE_KERNELS names. An unknown name is an error.
  std::string kernels{};

  // Memory, in bytes, that may be taken from a GPU for copies of rows, if the machine has one that
  // this build can use. 0: four fifths of what is free. The environment variable VECSERVE_GPU=off
  // leaves it alone altogether.
  std::size_t gpu_bytes = 0;

  // Be suspicious of that GPU: compute again on the CPU what it says of each so many-th row that it
  // finds. One that is wrong is not used any more. 0: none; 1: every one, which takes time.
  std::uint32_t gpu_recheck_every = 0;

  // Memory, in bytes, in which the store gathers writes before it writes them out sorted. Larger
  // makes long imports a little faster and a restart after a crash slower.
  std::size_t write_buffer_bytes = std::size_t{16} << 20;

  [[nodiscard]] Status validate() const;
};

// What a declared payload field holds. A row may leave a declared field out or give null; any other
// type than the declared one is refused when the row is written.
enum class FieldType : std::uint8_t { number = 0, string = 1, boolean = 2 };

[[nodiscard]] VECSERVE_API std::string_view to_string(FieldType type);
[[nodiscard]] VECSERVE_API std::optional<FieldType> parse_field_type(std::string_view text);

// A payload field that is also kept as a typed column in memory, which makes filters on it fast.
// Filters may name any field; one that is not declared is read from each row's JSON instead.
struct FieldOptions {
  std::string name{};  // 1 to 64 of A-Z a-z 0-9 _ -
  FieldType type = FieldType::number;

  friend bool operator==(const FieldOptions&, const FieldOptions&) = default;
};

// Fixed when the collection is created; stored with it.
struct VECSERVE_API CollectionOptions {
  std::uint32_t dim = 0;               // 1 to 65,536; required
  Metric metric = Metric::l2;          // hamming if and only if type is bit
  ScalarType type = ScalarType::f32;   // f16, bf16 and i8 save memory at the price of precision
  std::vector<FieldOptions> fields{};  // at most 64, names unique

  [[nodiscard]] Status validate() const;
  friend bool operator==(const CollectionOptions&, const CollectionOptions&) = default;
};

// Identifies one write of one client, so that a write that is sent again is applied once. Both
// halves zero: no identity. The most recent 65,536 of a database are remembered, durably.
struct RequestId {
  std::uint64_t client = 0;
  std::uint64_t sequence = 0;

  [[nodiscard]] bool empty() const { return client == 0 && sequence == 0; }
  friend bool operator==(const RequestId&, const RequestId&) = default;
};

struct VECSERVE_API WriteOptions {
  // More than the database's own durability for this write; asking for less changes nothing.
  std::optional<Durability> durability{};

  // See RequestId. When it is remembered, nothing is written and the first outcome is returned.
  RequestId request_id{};

  [[nodiscard]] Status validate() const;
};

// Lets another thread stop a running call; the call then returns `cancelled`.
class CancelToken {
 public:
  void cancel() { cancelled_.store(true, std::memory_order_release); }
  [[nodiscard]] bool cancelled() const { return cancelled_.load(std::memory_order_acquire); }

 private:
  std::atomic<bool> cancelled_{false};
};

using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNoDeadline = Deadline::max();

// One query of a batch. Left at its default, a field takes the value of SearchOptions.
struct Query {
  VectorView vector;                       // f32, or the collection's own type
  std::uint32_t k = 0;                     // 0: SearchOptions::k
  std::optional<std::string_view> filter;  // nullopt: SearchOptions::filter

  Query() = default;
  Query(VectorView view) : vector(view) {}               // NOLINT
  Query(std::span<const float> f32) : vector(f32) {}     // NOLINT
  Query(const std::vector<float>& f32) : vector(f32) {}  // NOLINT
};

struct VECSERVE_API SearchOptions {
  std::uint32_t k = 10;       // 1 to 65,536
  std::string filter{};       // only rows that match; "": every row
  bool with_payload = false;  // fill Neighbor::payload
  bool with_vector = false;   // fill Neighbor::vector

  // Approximate answers, from a graph over the rows, in a fraction of the time. Either the share of
  // the true answers that is wanted, such as 0.95: the collection knows from samples what effort
  // that takes; 1: the exact answer. Or the effort itself: how many near rows a walk keeps in
  // sight, 1 to 65,536; 0: by `recall`. The first such search has the graph made, in the
  // background; until it is there, and wherever that is faster, answers are exact. Metrics l2, dot
  // and cosine up to 4,096 dimensions; others are exact.
  double recall = 1.0;
  std::uint32_t ef = 0;

  bool explain = false;  // fill SearchResult::times, for a few looks at the clock; over the wire
                         // SearchResult::reads too

  Deadline deadline = kNoDeadline;
  std::shared_ptr<const CancelToken> cancel{};

  [[nodiscard]] Status validate() const;
};

struct VECSERVE_API RangeSearchOptions {
  double radius = 0.0;           // every row whose distance is at most this
  std::uint32_t limit = 10'000;  // answers per query, the nearest ones; 1 to 10,000,000
  std::string filter{};
  bool with_payload = false;
  bool with_vector = false;
  bool explain = false;  // as in SearchOptions
  Deadline deadline = kNoDeadline;
  std::shared_ptr<const CancelToken> cancel{};

  [[nodiscard]] Status validate() const;
};

struct VECSERVE_API ScanOptions {
  std::optional<RowId> after{};  // start behind this id; nullopt: at the beginning
  std::string filter{};
  bool with_payload = true;
  bool with_vector = true;

  [[nodiscard]] Status validate() const;
};

struct GetOptions {
  bool with_payload = true;
  bool with_vector = true;
};

}  // namespace vecserve
